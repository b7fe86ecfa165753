"""The command `evaluate-raster` compares two rasters."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from geotranslate import evaluate_raster
from geotranslate.cli import main
from tests.conftest import WriteRaster
from tests.evaluation.conftest import images


@pytest.fixture
def rasters(write_raster: WriteRaster) -> list[str]:
    """Return a prediction and a reference."""
    ours, theirs = images((2, 70, 80))
    return [str(write_raster("a.tif", ours)), str(write_raster("b.tif", theirs))]


def test_results_are_printed_as_text_or_json(rasters: list[str], tmp_path: Path) -> None:
    options = ["--window-size", "64", "--no-progress", "--source", rasters[1]]
    plot, error = tmp_path / "plot.png", tmp_path / "error.tif"
    files = ["--plot", str(plot), "--error", str(error), "--error-kind", "absolute"]
    result = CliRunner().invoke(main, ["evaluate-raster", *rasters, *options, *files])
    assert result.exit_code == 0, result.output
    assert "skill_over_source" in result.output and plot.stat().st_size and error.exists()
    result = CliRunner().invoke(main, ["evaluate-raster", *rasters, *options, "--json"])
    expected = evaluate_raster(*rasters, source=rasters[1], progress=False)
    values = json.loads(result.stdout)
    assert {name: values[name] for name in ("mae", "ssim", "uqi")} == pytest.approx(
        {name: expected[name] for name in ("mae", "ssim", "uqi")}, rel=1e-9
    )
    assert values["ms_ssim"] is None
    result = CliRunner().invoke(
        main, ["evaluate-raster", *rasters, "--plot", str(tmp_path / "no" / "a.png")]
    )
    assert result.exit_code == 1 and "a.png cannot be written" in result.output


def test_colors_are_a_palette(write_raster: WriteRaster) -> None:
    labels = np.random.default_rng(0).integers(0, 2, (1, 30, 30)).astype("uint8")
    shown = write_raster("shown.tif", (labels * 200).repeat(3, 0))
    truth = write_raster("truth.tif", labels)
    colors = ["--color", "0:0,0,0", "--color", "1:200,200,200"]
    result = CliRunner().invoke(
        main, ["evaluate-raster", str(shown), str(truth), *colors, "--json"]
    )
    assert json.loads(result.stdout)["accuracy"] == 1
    result = CliRunner().invoke(main, ["evaluate-raster", "a", "b", "--color", "red"])
    assert result.exit_code == 2 and "such as 2:180,60,40" in result.output


def test_errors_are_sentences(rasters: list[str]) -> None:
    result = CliRunner().invoke(main, ["evaluate-raster", *rasters, "--window-size", "20"])
    assert result.exit_code == 1
    assert "Error: window_size is 20; give a multiple of 16." in result.output
