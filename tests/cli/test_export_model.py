from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from geotranslate import Pix2Pix
from geotranslate.cli import main
from geotranslate.translators.base import Translator
from tests.conftest import WriteRaster, values
from tests.interop.conftest import chips64, onnx_file, small_model

__all__ = ["chips64", "onnx_file", "small_model"]


def test_a_saved_model_is_exported(
    small_model: Pix2Pix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, asked = small_model.save(tmp_path / "model"), []

    def export(model: Translator, path: str, **options: Any) -> Path:
        asked.append((type(model), path, options))
        return Path(path)

    monkeypatch.setattr(Translator, "export", export)
    command = ["export-model", str(folder), "a.onnx", "--norm-stats", "tile", "--overwrite"]
    result = CliRunner().invoke(main, [*command, "--json"])
    assert json.loads(result.stdout) == {"path": "a.onnx"}
    assert asked == [(Pix2Pix, "a.onnx", {"norm_stats": "tile", "overwrite": True})]


def test_errors_are_sentences(small_model: Pix2Pix, tmp_path: Path) -> None:
    folder = small_model.save(tmp_path / "model")
    result = CliRunner().invoke(main, ["export-model", str(folder), str(tmp_path / "a.pt")])
    assert result.exit_code == 1
    assert "give a name that ends in .onnx" in result.stderr


def test_an_onnx_file_translates_without_torch(
    onnx_file: Path, write_raster: WriteRaster, tmp_path: Path
) -> None:
    file = shutil.copy(onnx_file, tmp_path / "model.onnx")
    scene = write_raster("scene.tif", values((3, 40, 50), "uint8"))
    code = (
        "import sys; from geotranslate.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, "predict", str(file), str(scene), "--tile-size", "32"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == [str(tmp_path / "scene_translated.tif"), "False"]
    result = CliRunner().invoke(main, [*command[3:], "--device", "cpu"])
    assert result.exit_code == 1
    assert "--device is an option for saved models" in result.stderr
