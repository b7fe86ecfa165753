"""The command `report` writes one HTML file."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import pytest
from click.testing import CliRunner

from geotranslate.cli import main
from geotranslate.cli.commands.report_command import SceneWithReference
from tests.conftest import WriteRaster
from tests.report.conftest import small_model, waves


def test_a_page_of_a_saved_model(
    write_raster: WriteRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_model(tmp_path, write_raster).save(tmp_path / "model")
    pixels = waves(3, 70, 90)
    scene = write_raster("a=b.tif", pixels)
    truth = write_raster("truth.tif", pixels[:2] // 2)
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    page = tmp_path / "report.html"
    command = ["report", str(tmp_path / "model"), str(page), "--scene", f"{scene}={truth}"]
    options = ["--data", str(tmp_path / "chips"), "--seed", "1", "--open", "--no-progress"]
    result = CliRunner().invoke(main, [*command, "--scene", str(scene), *options])
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(page) and opened == [page.as_uri()]
    text = page.read_text("utf-8")
    assert text.count("<article") == 2 and '<section id="data"' in text
    assert "not the data that the model was trained with" not in text
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 1 and "report.html exists; give another name" in result.output


def test_scenes_and_references_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "a=b.tif"
    file.touch()
    read = SceneWithReference().convert
    assert read(str(file), None, None) == (str(file), None)
    assert read("a.tif", None, None) == ("a.tif", None)
    assert read(f"{file}=c.tif", None, None) == (str(file), "c.tif")
    for wrong in ("=a.tif", "b.tif="):
        result = CliRunner().invoke(main, ["report", "model", "a.html", "--scene", wrong])
        assert result.exit_code == 2 and "is not a scene and its reference" in result.output
