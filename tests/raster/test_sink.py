from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS

from geotranslate.errors import InvalidInputError, OutputExistsError, RasterFileError
from geotranslate.raster.completeness import is_complete
from geotranslate.raster.destination import check_output, default_output
from geotranslate.raster.dtypes import avoid_value, to_dtype
from geotranslate.raster.grid import Grid
from geotranslate.raster.sink import Sink
from tests.conftest import NORTH_UP, values

GRID = Grid(CRS.from_epsg(32633), NORTH_UP, 20, 30)
ALL = np.ones((20, 30), bool)
INTEGERS = ["uint8", "int8", "uint16", "int16", "uint32", "int32"]


@given(st.sampled_from(INTEGERS), st.floats(allow_nan=False, width=32))
def test_integers_are_rounded_half_to_even_and_clipped(dtype: str, value: float) -> None:
    limits = np.iinfo(dtype)
    expected = min(max(round(value) if np.isfinite(value) else value, limits.min), limits.max)
    found = to_dtype(np.array([value], np.float32), dtype)
    assert found.dtype == dtype
    assert int(found[0]) == expected


@given(st.sampled_from([*INTEGERS, "float32", "float64"]), st.data())
def test_avoided_value_moves_to_a_neighbour_and_others_stay(
    dtype: str, data: st.DataObject
) -> None:
    array = values((50,), dtype, data.draw(st.integers(0, 999)))
    value = array[data.draw(st.integers(0, 49))]
    moved = avoid_value(array, float(value))
    assert moved.dtype == dtype
    assert (moved != value).all()
    np.testing.assert_array_equal(moved[array != value], array[array != value])
    if np.issubdtype(dtype, np.integer):
        assert abs(int(moved[array == value][0]) - int(value)) == 1


def test_file_appears_only_when_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.tif"
    with Sink(path, GRID, 1, "uint8") as sink:
        sink.write(0, np.ones((1, 20, 30), np.float32), ALL)
        assert not path.exists()
    assert [item.name for item in tmp_path.iterdir()] == ["out.tif"]


def test_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "out.tif"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="stop"), Sink(path, GRID, 1, "uint8") as sink:
        sink.write(0, np.ones((1, 20, 30), np.float32), ALL)
        raise RuntimeError("stop")
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["out.tif"]


def test_valid_pixels_never_become_nodata(tmp_path: Path) -> None:
    path = tmp_path / "out.tif"
    data = np.zeros((1, 20, 30), np.float32)
    valid = values((20, 30), "uint8") > 100
    with Sink(path, GRID, 1, "uint8", nodata=0, masked=True) as sink:
        sink.write(0, data, valid)
    with rasterio.open(path) as dataset:
        assert dataset.nodata == 0
        np.testing.assert_array_equal(dataset.read_masks(1) > 0, valid)
        np.testing.assert_array_equal(dataset.read(1), valid)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_invalid_pixels_are_marked_without_a_nodata_value(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "out.tif"
    valid = values((20, 30), "uint8") > 100
    with Sink(path, GRID, 2, dtype, masked=True) as sink:
        sink.write(0, np.ones((2, 20, 30), np.float32), valid)
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(dataset.dataset_mask() > 0, valid)
        assert (dataset.nodata is None) == (dtype in ("uint8", "int16"))
    assert [item.name for item in tmp_path.iterdir()] == ["out.tif"]


@pytest.mark.parametrize(
    ("nodata", "dtype"), [(-1, "uint8"), (256, "uint8"), (0.5, "int16"), (float("nan"), "uint16")]
)
def test_nodata_that_does_not_fit_is_refused(tmp_path: Path, nodata: float, dtype: str) -> None:
    with pytest.raises(
        InvalidInputError, match=rf"nodata is {nodata:g}, which {dtype} cannot hold"
    ):
        Sink(tmp_path / "out.tif", GRID, 1, dtype, nodata=nodata)


def test_halves_are_rounded_to_even() -> None:
    halves = np.arange(-3.5, 4, 1, np.float32)
    assert to_dtype(halves, "int16").tolist() == [-4, -2, -2, 0, 0, 2, 2, 4]
    assert to_dtype(halves, "int32").tolist() == [-4, -2, -2, 0, 0, 2, 2, 4]


def write_ones(path: Path, **options: Any) -> None:
    with Sink(path, GRID, 1, "uint8", **options) as sink:
        sink.write(0, np.ones((1, 20, 30), np.float32), ALL)


def test_who_reads_the_old_file_is_not_disturbed(tmp_path: Path) -> None:
    path = tmp_path / "out.tif"
    path.write_text("old")
    with path.open() as reader:
        write_ones(path)
        assert reader.read() == "old"
    assert path.read_bytes()[:2] == b"II"


def test_old_file_stays_until_the_new_one_takes_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.tif"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise PermissionError("a virus scanner has it")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(RasterFileError, match=r"out\.tif cannot be completed: a virus scanner has"):
        write_ones(path)
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["out.tif"]


@pytest.mark.parametrize("masked", [False, True])
def test_cut_off_file_is_not_complete(tmp_path: Path, masked: bool) -> None:
    path = tmp_path / "out.tif"
    grid = Grid(CRS.from_epsg(32633), NORTH_UP, 600, 700)
    data = values((2, 600, 700), "uint8").astype(np.float32)
    with Sink(path, grid, 2, "uint8", masked=masked) as sink:
        for row in range(0, 600, 256):
            part = data[:, row : row + 256]
            sink.write(row, part, part[0] > 100)
    assert is_complete(path, masked=masked)
    whole = path.read_bytes()
    for size in (len(whole) - 1, len(whole) - 1000, len(whole) // 2, 1000, 4, 0):
        path.write_bytes(whole[:size])
        assert not is_complete(path, masked=masked)


def test_file_without_its_mask_is_not_complete(tmp_path: Path) -> None:
    write_ones(tmp_path / "out.tif")
    assert is_complete(tmp_path / "out.tif", masked=False)
    assert not is_complete(tmp_path / "out.tif", masked=True)


def test_sidecars_of_the_former_output_go_with_it(tmp_path: Path) -> None:
    path = tmp_path / "out.tif"
    write_ones(path)
    stale = [tmp_path / f"out.tif{ending}" for ending in (".ovr", ".msk", ".msk.ovr", ".aux.xml")]
    kept = [tmp_path / "out.tfw", tmp_path / "other.tif.ovr"]
    for file in stale + kept:
        file.write_text("")
    with pytest.raises(RuntimeError), Sink(path, GRID, 1, "uint8"):
        raise RuntimeError("stop")
    assert all(file.exists() for file in stale)
    write_ones(path)
    assert sorted(tmp_path.iterdir()) == sorted([path, *kept])


def test_large_files_may_become_bigtiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create, asked = rasterio.open, []

    def watch(*args: Any, **options: Any) -> Any:
        asked.append(options.get("bigtiff"))
        return create(*args, **options)

    # To see it in a file, more than 2 GB would have to be written.
    monkeypatch.setattr("rasterio.open", watch)
    write_ones(tmp_path / "out.tif")
    assert asked[0] == "if_safer"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("masked", [False, True])
def test_raster_without_georeference_is_written_without_a_warning(
    tmp_path: Path, masked: bool
) -> None:
    grid = Grid(None, Affine.identity(), 20, 30)
    with Sink(tmp_path / "out.tif", grid, 1, "uint8", masked=masked) as sink:
        sink.write(0, np.ones((1, 20, 30), np.float32), ALL)


@pytest.mark.parametrize("name", ["a b.tif", "a#1.tif", "50%20.tif", "höhe.tif", "a,b;c!d.tif"])
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    write_ones(tmp_path / name, masked=True)
    assert [item.name for item in tmp_path.iterdir()] == [name]


def test_bands_are_named(tmp_path: Path) -> None:
    with Sink(tmp_path / "out.tif", GRID, 2, "uint8", band_names=["höhe", "slope"]) as sink:
        sink.write(0, np.ones((2, 20, 30), np.float32), ALL)
    with rasterio.open(tmp_path / "out.tif") as dataset:
        assert dataset.descriptions == ("höhe", "slope")
    assert [item.name for item in tmp_path.iterdir()] == ["out.tif"]


@pytest.mark.parametrize("names", [("a",), ("a", "b", "c"), "ab"])
def test_names_for_another_number_of_bands_are_refused(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    with pytest.raises(
        InvalidInputError, match=r"band_names is .*; give one name for each of the 2"
    ):
        Sink(tmp_path / "out.tif", GRID, 2, "uint8", band_names=names)


def test_output_is_compressed_and_in_blocks(tmp_path: Path) -> None:
    with Sink(tmp_path / "out.tif", Grid(None, Affine.scale(2), 600, 700), 1, "uint8") as sink:
        sink.write(0, np.ones((1, 600, 700), np.float32), np.ones((600, 700), bool))
    with rasterio.open(tmp_path / "out.tif") as dataset:
        assert dataset.block_shapes == [(256, 256)]
        assert dataset.compression.name == "deflate"


def test_fourth_band_is_not_taken_for_alpha(tmp_path: Path) -> None:
    with Sink(tmp_path / "out.tif", GRID, 4, "uint8") as sink:
        sink.write(0, np.zeros((4, 20, 30), np.float32), ALL)
    with rasterio.open(tmp_path / "out.tif") as dataset:
        assert dataset.dataset_mask().all()


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
