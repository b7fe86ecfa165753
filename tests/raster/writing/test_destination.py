from __future__ import annotations

import sys
from pathlib import Path

import pytest

from geotranslate.errors import InvalidInputError, OutputExistsError, RasterFileError
from geotranslate.files import put_in_place
from geotranslate.raster.writing.destination import (
    check_output,
    default_output,
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
    with pytest.raises(OutputExistsError, match=r"exists; .* overwrite=True \(--overwrite\)"):
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


@pytest.mark.parametrize("length", [199, 200, 201, 234, 239])
@pytest.mark.parametrize("letter", ["a", "\u00e4", "\u6728"])
def test_long_names_have_temporary_ones_that_can_be_made(
    tmp_path: Path, length: int, letter: str
) -> None:
    stem = letter * (length // len(letter.encode()))
    path = check_output(tmp_path / f"{stem}.tif", overwrite=False)
    temporary = temporary_for(path)
    left = [temporary, Path(f"{temporary}.msk.ovr.tmp")]
    kept = temporary_for(path.with_name(f"{stem[:-1]}b.tif"))
    for file in (*left, kept, path.with_name(f".{path.name}.parts.lock")):
        file.write_text("")
    remove_temporaries(path, tmp_path)
    assert not any(file.exists() for file in left)
    assert kept.exists()
    remove_sidecars(path)


def test_name_that_is_too_long_is_said(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidInputError, match=r"aaa\.\.\. has 244 bytes; give one of at most 243"
    ):
        check_output(tmp_path / f"{'a' * 240}.tif", overwrite=False)


@pytest.mark.skipif(sys.platform == "win32", reason="needs links")
def test_links_are_followed(tmp_path: Path) -> None:
    link, other, target = tmp_path / "link.tif", tmp_path / "other.tif", tmp_path / "target.bin"
    link.symlink_to(other)
    other.symlink_to(target)
    assert check_output(link, overwrite=False) == target
    target.write_text("precious")
    with pytest.raises(OutputExistsError, match=r"target\.bin exists"):
        check_output(link, overwrite=False)
    assert check_output(link, overwrite=True) == target
    target.unlink()
    target.symlink_to(link)
    with pytest.raises(RasterFileError, match="is a link that leads to itself"):
        check_output(link, overwrite=True)
    lost = tmp_path / "lost.tif"
    lost.symlink_to(tmp_path / "no" / "b.tif")
    with pytest.raises(RasterFileError, match=r"folder .*no of the output b\.tif does not exist"):
        check_output(lost, overwrite=True)
