"""The way from two rasters to numbers, on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from rasterio import Affine

from geotranslate.cli import main


def ok(*arguments: str) -> Any:
    """Return the JSON that a command prints."""
    result = CliRunner().invoke(main, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def rasters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    values = np.random.default_rng(0).integers(0, 255, (3, 128, 320), np.uint8)
    for name, written in (("photo", values), ("map", 255 - values)):
        with rasterio.open(
            f"{name}.tif",
            "w",
            driver="GTiff",
            width=320,
            height=128,
            count=3,
            dtype="uint8",
            crs="EPSG:32632",
            transform=Affine(1, 0, 500_000, 0, -1, 5_000_000),
        ) as dataset:
            dataset.write(written)
    return tmp_path


def test_two_rasters_become_a_model_a_scene_and_numbers(rasters: Path) -> None:
    export = ok("export-chips", "photo.tif", "map.tif", "chips", "--tile-size", "64")
    assert (Path(export["folder"]).name, export["pairs"]) == ("chips", 10)
    found = ok("inspect", "chips", "--plot", "split.png", "--val-split-pct", "0.2")
    assert (found["layout"], found["train"], found["validation"]) == ("images + images2", 8, 2)
    assert Path("split.png").read_bytes()[:4] == b"\x89PNG"
    options = "--epochs 1 --ngf 4 --ndf 4 --n-layers 1 --val-split-pct 0.2 --lambda-gan 0"
    trained = ok("train", "chips", "-o", "model", "--folder", "run", *options.split())
    assert Path("model/train.toml").read_text() == Path("run/train.toml").read_text()
    measured = ok("evaluate", "model", "chips", "--val-split-pct", "0.2", "--metrics", "mae,psnr")
    assert measured["mae"] == pytest.approx(trained["metrics"]["mae"])
    assert "ssim" not in measured
    (written,) = ok("predict", "model", "photo.tif", "-o", "out.tif", "--no-progress")
    assert written["path"] == "out.tif"
    with rasterio.open("out.tif") as dataset:
        assert (dataset.count, dataset.width, dataset.height) == (3, 320, 128)
    before = Path("model/model.safetensors").read_bytes()
    ok("train", "--config", "run/train.toml", "--resume")
    assert Path("model/model.safetensors").read_bytes() == before
    ok("train", "--config", "run/train.toml", "--resume", "--epochs", "2")
    assert Path("model/model.safetensors").read_bytes() != before
    assert "epochs = 2" in Path("run/train.toml").read_text()


@pytest.mark.parametrize(
    ("interrupted", "arguments", "said"),
    [
        (
            "geotranslate.data.preparation.prepare_data",
            ["train", "chips", "-o", "m", "--folder", "run"],
            f"go on with:\n  geotranslate train --config {Path('run/train.toml')} --resume",
        ),
        (
            "geotranslate.translators.registry.load_model",
            ["predict", "model", "a.tif"],
            "the same command with --resume goes on with them",
        ),
        ("geotranslate.chips.export.export_chips", ["export-chips", "a", "b", "c"], "as it was"),
    ],
)
def test_interruption_says_how_to_go_on(
    interrupted: str, arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    import geotranslate.cli.training  # noqa: F401

    for place in (interrupted, "geotranslate.cli.training.prepare_data"):
        monkeypatch.setattr(place, stop)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 130
    assert f"Stopped. {said}" in result.stderr or said in result.stderr
    assert result.stdout == ""


def test_failures_and_wrong_usage_have_exit_codes(tmp_path: Path) -> None:
    for arguments, code in (
        (["inspect", str(tmp_path / "nowhere")], 1),
        (["train", str(tmp_path), "-o", str(tmp_path / "no" / "model")], 1),
        (["train", "--config", "nowhere.toml"], 2),
        (["train", "chips", "-o", "m", "--epochs", "many"], 2),
        (["export-chips", "a.tif"], 2),
    ):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output


def test_package_runs_as_a_module_without_torch() -> None:
    code = (
        "import runpy, sys; sys.argv = ['geotranslate', 'train', '--help']\n"
        "try: runpy.run_module('geotranslate', run_name='__main__')\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: geotranslate train")
    assert done.stdout.splitlines()[-1] == "0 False False"
