from __future__ import annotations

from pathlib import Path

import pytest

from geotranslate.errors import InvalidInputError, OutputExistsError, RasterFileError
from geotranslate.raster.destination import (
    check_output,
    default_output,
    put_in_place,
    remove_sidecars,
    remove_temporaries,
    temporary_for,
)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(RasterFileError, match=r"folder .*no of the output out\.tif does not exist"):
        check_output(tmp_path / "no" / "out.tif", overwrite=False)


def test_existing_output_needs_consent(tmp_path: Path) -> None:
    path = tmp_path / "out.tif"
    path.write_text("")
    with pytest.raises(OutputExistsError, match=r"out\.tif exists; .* overwrite=True"):
        check_output(path, overwrite=False)
    assert check_output(path, overwrite=True) == path


def test_folder_is_no_output(tmp_path: Path) -> None:
    with pytest.raises(RasterFileError, match="is a folder; give the name of a file in it"):
        check_output(tmp_path, overwrite=True)


@pytest.mark.parametrize("name", ["out.png", "out", "out.tif.gz", "out.vrt"])
def test_output_that_is_not_named_as_a_geotiff_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"{name} is written as a GeoTIFF; give a name"):
        check_output(tmp_path / name, overwrite=False)


@pytest.mark.parametrize("name", ["out.tif", "out.TIF", "out.tiff", "out.Tiff"])
def test_output_may_be_named_in_any_case(tmp_path: Path, name: str) -> None:
    assert check_output(tmp_path / name, overwrite=False) == tmp_path / name


def test_default_output_lies_beside_a_local_source(tmp_path: Path) -> None:
    scene = tmp_path / "a scene.v2.tif"
    scene.write_text("")
    assert default_output(str(scene)) == tmp_path / "a scene.v2_translated.tif"


@pytest.mark.parametrize(
    "name", ["https://example.org/a/scene.tif?key=1", "/vsicurl/https://example.org/scene.tif"]
)
def test_default_output_of_a_remote_source_lies_in_the_working_directory(name: str) -> None:
    assert default_output(name) == Path("scene_translated.tif")


def test_temporary_names_are_fresh_and_in_the_same_folder(tmp_path: Path) -> None:
    names = {temporary_for(tmp_path / "a b.tif") for _ in range(50)}
    assert len(names) == 50
    assert all(name.parent == tmp_path and name.name.endswith(".partial.tif") for name in names)


def test_temporaries_of_one_path_alone_are_removed(tmp_path: Path) -> None:
    path = tmp_path / "a[1].tif"
    temporary = temporary_for(path, tmp_path)
    left = [temporary, Path(f"{temporary}.ovr.tmp"), Path(f"{temporary}.msk.ovr.tmp")]
    kept = [path, temporary_for(tmp_path / "a1.tif"), temporary_for(tmp_path / "a[1].b.tif")]
    for file in left + kept:
        file.write_text("")
    remove_temporaries(path, tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)


def test_who_reads_the_old_file_is_not_disturbed(tmp_path: Path) -> None:
    path, temporary = tmp_path / "out.tif", tmp_path / "new.tif"
    path.write_text("old")
    temporary.write_text("new")
    with path.open() as reader:
        put_in_place(temporary, path)
        assert reader.read() == "old"
    assert path.read_text() == "new"
    assert [item.name for item in tmp_path.iterdir()] == ["out.tif"]


def test_only_what_belongs_to_the_raster_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "out.tif"
    stale = [tmp_path / f"out.tif{ending}" for ending in (".ovr", ".msk", ".msk.ovr", ".aux.xml")]
    kept = [path, tmp_path / "out.tfw", tmp_path / "other.tif.ovr"]
    for file in stale + kept:
        file.write_text("")
    remove_sidecars(path)
    remove_sidecars(path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)
