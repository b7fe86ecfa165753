from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
from shapely.geometry import Point

from geotranslate.errors import InvalidInputError, OutputExistsError, RasterFileError
from geotranslate.prediction.scenefiles import outputs_in, removed_if_empty, several, translate_each
from geotranslate.raster.grid import Grid
from geotranslate.raster.pipeline.result import TranslatedRaster
from tests.conftest import NORTH_UP


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.tif", "a.TIF", "a_translated.tif", "c_translated.tif", "d.vrt", "notes.txt"):
        (tmp_path / name).write_text("")
    return tmp_path


def test_folder_gives_its_rasters_without_their_translations(folder: Path) -> None:
    found = several(folder)
    assert found == [folder / name for name in ("a.TIF", "b.tif", "c_translated.tif", "d.vrt")]


def test_pattern_gives_the_files_that_match(folder: Path) -> None:
    assert several(str(folder / "[ab].*")) == [str(folder / "a.TIF"), str(folder / "b.tif")]
    assert several(str(folder / "**" / "*.vrt")) == [str(folder / "d.vrt")]


@pytest.mark.parametrize("pattern", ["*.[tT]*", "**/*.[tT][iI]*"])
@pytest.mark.parametrize("here", [True, False])
def test_pattern_gives_no_translations_of_its_own_files(
    folder: Path, pattern: str, here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "notes.txt").unlink()
    found = several(pattern if here else str(folder / pattern))
    assert found is not None
    assert [Path(str(file)).name for file in found] == ["a.TIF", "b.tif", "c_translated.tif"]


def test_list_is_taken_as_it_is(folder: Path) -> None:
    files = [folder / "a.TIF", folder / "a_translated.tif"]
    assert several(files) == files


@pytest.mark.parametrize("column", ["path", "location"])
def test_table_gives_its_column(column: str) -> None:
    table = gpd.GeoDataFrame({column: ["x.tif", Path("y.tif")]}, geometry=[Point(), Point()])
    assert several(table) == ["x.tif", "y.tif"]


def test_single_rasters_are_not_several(folder: Path) -> None:
    (folder / "odd[1].tif").write_text("")
    for path in ("x.tif", "https://h/x.tif?a=*", "/vsicurl?url=*", folder / "odd[1].tif"):
        assert several(path) is None


def test_folder_that_is_a_raster_is_one_and_an_empty_one_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "grid").mkdir()
    with pytest.raises(
        RasterFileError, match=r"^The folder \S*grid has no rasters to translate: no"
    ):
        several(folder / "grid")
    monkeypatch.setattr(
        "geotranslate.prediction.scenefiles.open_raster", lambda raster, stack: None
    )
    assert several(folder / "grid") is None


@pytest.mark.parametrize("wrong", [None, 5, b"x", object()])
def test_scene_that_is_no_raster_is_said(folder: Path, wrong: Any) -> None:
    with pytest.raises(InvalidInputError, match="A raster is expected, not a value of type"):
        outputs_in([folder / "b.tif", wrong], None)


def test_nothing_to_translate_is_said(folder: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"No file matches .*\*\.nc; check the pattern"):
        several(str(folder / "*.nc"))
    with pytest.raises(InvalidInputError, match="list of scenes is empty; give at least one"):
        several([])
    table = gpd.GeoDataFrame({"file": ["x.tif"]}, geometry=[Point()])
    with pytest.raises(InvalidInputError, match="columns file, geometry; give one with their path"):
        several(table)


def test_outputs_lie_in_the_folder_or_beside_their_scenes(folder: Path) -> None:
    scenes = [folder / "b.tif", str(folder / "d.vrt")]
    names = ["b_translated.tif", "d_translated.tif"]
    assert outputs_in(scenes, folder / "new" / "er") == [folder / "new" / "er" / n for n in names]
    assert (folder / "new" / "er").is_dir()
    assert outputs_in(scenes, None) == [folder / name for name in names]


def test_scenes_of_one_name_and_impossible_folders_are_said(folder: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"x/a\.tif and y/a\.tif would both be translated"):
        outputs_in(["x/a.tif", "y/a.tif"], folder / "out")
    with pytest.raises(RasterFileError, match="for the translations cannot be created"):
        outputs_in(["x/a.tif"], folder / "notes.txt")


def test_error_names_the_scene_and_what_is_written() -> None:
    done: list[Path] = []

    def translate(scene: str, output: Path) -> TranslatedRaster:
        if scene == "c.tif":
            raise OutputExistsError("It exists.")
        done.append(output)
        return TranslatedRaster(output, Grid(None, NORTH_UP, 1, 1))

    outputs = [Path("1"), Path("2"), Path("3"), Path("4")]
    assert [r.path for r in translate_each(["a.tif", "b.tif"], outputs[:2], translate)] == done
    with pytest.raises(
        OutputExistsError, match=r"Scene 3 of 4, c\.tif: It exists\. 2 before it are written; with"
    ):
        translate_each(["a.tif", "b.tif", "c.tif", "d.tif"], outputs, translate)


@pytest.mark.parametrize(("there", "written"), [(False, False), (True, False), (False, True)])
def test_a_failure_leaves_no_new_empty_folder(tmp_path: Path, there: bool, written: bool) -> None:
    folder = tmp_path / "out"
    if there:
        folder.mkdir()
    with pytest.raises(RasterFileError), removed_if_empty(folder):
        folder.mkdir(exist_ok=True)
        if written:
            (folder / "a_translated.tif").touch()
        raise RasterFileError("b.tif cannot be read.")
    assert folder.exists() == (there or written)
