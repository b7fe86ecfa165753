from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from geotranslate.errors import InvalidInputError, RasterFileError
from geotranslate.raster.reader import RasterReader, band_choice, fill_gaps, reflected
from tests.conftest import NORTH_UP, WriteRaster, values


@given(st.integers(1, 50), st.data())
def test_reflection_is_that_of_numpy_as_far_as_it_reaches(size: int, data: st.DataObject) -> None:
    before, after = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size - 1))
    found = reflected(-before, before + size + after, size)
    np.testing.assert_array_equal(found, np.pad(np.arange(size), (before, after), mode="reflect"))


@given(st.integers(-200, 200), st.integers(1, 300), st.integers(1, 50))
def test_reflection_stays_on_the_axis(start: int, length: int, size: int) -> None:
    found = reflected(start, length, size)
    assert len(found) == length
    assert found.min() >= 0
    assert found.max() < size


@given(st.integers(-30, 60), st.integers(-30, 60), st.integers(1, 60), st.integers(1, 60))
def test_any_window_is_a_cut_of_the_reflected_raster(
    row: int, col: int, height: int, width: int
) -> None:
    data = values((2, 31, 47), "int16")
    with rasterio.MemoryFile() as memory:
        profile = {"driver": "GTiff", "count": 2, "height": 31, "width": 47, "dtype": "int16"}
        with memory.open(**profile, transform=NORTH_UP) as dataset:
            dataset.write(data)
        with RasterReader(memory.name) as source:
            found, valid = source.read(Window(col, row, width, height))
    rows, cols = reflected(row, height, 31), reflected(col, width, 47)
    np.testing.assert_array_equal(found, data[:, rows][:, :, cols])
    assert valid.shape == (height, width)
    assert valid.all()


def nodata_in_one_and_all_bands(dtype: str) -> NDArray[Any]:
    data = np.ones((2, 4, 4), dtype)
    data[:, 0] = 0
    data[0, 1] = 0
    return data


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int16", "int32", "float32", "float64"])
def test_measurements_are_invalid_where_any_band_is_nodata(
    write_raster: WriteRaster, dtype: str
) -> None:
    with RasterReader(
        write_raster("a.tif", nodata_in_one_and_all_bands(dtype), nodata=0)
    ) as source:
        assert source.may_have_gaps
        valid = source.read()[1]
        second = RasterReader(source.dataset, [2]).read()[1]
    assert valid.all(axis=1).tolist() == [False, False, True, True]
    assert second.all(axis=1).tolist() == [False, True, True, True]


def test_pictures_are_invalid_only_where_all_bands_of_the_file_are_nodata(
    write_raster: WriteRaster,
) -> None:
    with RasterReader(
        write_raster("a.tif", nodata_in_one_and_all_bands("uint8"), nodata=0)
    ) as source:
        assert source.may_have_gaps
        for valid in (source.read()[1], RasterReader(source.dataset, [1]).read()[1]):
            assert valid.all(axis=1).tolist() == [False, True, True, True]


def test_pixels_are_invalid_where_a_band_is_not_finite(write_raster: WriteRaster) -> None:
    data = np.ones((2, 3, 3), "float32")
    data[0, 0, 0], data[1, 1, 1] = np.nan, np.inf
    with RasterReader(write_raster("a.tif", data)) as source:
        valid = source.read()[1]
    assert np.argwhere(~valid).tolist() == [[0, 0], [1, 1]]


def test_mask_inside_the_file_is_seen(write_raster: WriteRaster) -> None:
    mask = values((20, 20), "uint8") > 100
    with RasterReader(write_raster("a.tif", values((1, 20, 20), "uint8"), valid=mask)) as source:
        np.testing.assert_array_equal(source.read()[1], mask)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_alpha_is_a_mask_and_not_a_band(write_raster: WriteRaster, dtype: str) -> None:
    data = values((4, 20, 20), dtype)
    data[3] = np.arange(20) > 5
    path = write_raster("a.tif", data)
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [
            ColorInterp.red,
            ColorInterp.green,
            ColorInterp.blue,
            ColorInterp.alpha,
        ]
    with RasterReader(path) as source:
        found, valid = source.read(dtype=None)
        assert source.bands == 3
        assert source.may_have_gaps
    np.testing.assert_array_equal(found, data[:3])
    np.testing.assert_array_equal(valid, data[3] > 0)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_alpha_and_nodata_both_hide_pixels_without_a_warning(
    write_raster: WriteRaster, dtype: str
) -> None:
    data = np.ones((4, 5, 5), dtype)
    data[:3, 0] = 0
    data[3, 1] = 0
    path = write_raster("a.tif", data, nodata=0, photometric="RGB", alpha="YES")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with RasterReader(path) as source:
            assert source.has_alpha
            assert source.may_have_gaps
            valid = source.read()[1]
    assert valid.all(axis=1).tolist() == [False, False, True, True, True]


def test_raster_without_gaps_says_so(write_raster: WriteRaster) -> None:
    with RasterReader(write_raster("a.tif", values((1, 5, 5), "uint8"))) as source:
        assert not source.may_have_gaps


def test_dataset_given_open_stays_open(write_raster: WriteRaster) -> None:
    with rasterio.open(write_raster("a.tif", values((1, 5, 5), "uint8"))) as dataset:
        with RasterReader(dataset) as source:
            source.read()
        assert not dataset.closed


@pytest.mark.parametrize("mode", ["r+", "w+"])
def test_dataset_open_for_reading_and_writing_is_read(write_raster: WriteRaster, mode: str) -> None:
    data = values((1, 5, 5), "uint8")
    path = write_raster("a.tif", np.zeros_like(data))
    with rasterio.open(path) as dataset:
        profile = dataset.profile if mode == "w+" else {}
    with rasterio.open(path, mode, **profile) as dataset:
        dataset.write(data)
        np.testing.assert_array_equal(RasterReader(dataset).read()[0], data)


def test_dataset_that_cannot_be_read_is_named(write_raster: WriteRaster) -> None:
    path = write_raster("a.tif", values((1, 5, 5), "uint8"))
    with rasterio.open(path) as dataset:
        profile = dataset.profile
    with pytest.raises(InvalidInputError, match=r"dataset .*a\.tif is closed; give it open, or"):
        RasterReader(dataset)
    with (
        rasterio.open(path, "w", **profile) as written,
        pytest.raises(InvalidInputError, match=r"a\.tif is open for writing alone; close it and"),
    ):
        RasterReader(written)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "NoneType"),
        (np.zeros((3, 99, 99)), "ndarray"),
        (["a.tif", "b.tif"], "list"),
        (7, "int"),
        (b"a.tif", "bytes"),
    ],
)
def test_what_is_no_raster_is_refused_by_its_type(value: Any, kind: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        RasterReader(value)
    assert str(caught.value) == (
        f"A raster is expected, not a value of type {kind}; give its path, URL or GDAL name, or "
        "an open rasterio dataset."
    )


def test_gaps_are_filled_band_by_band() -> None:
    data = np.zeros((2, 2, 2), np.float32)
    valid = np.array([[True, False], [True, True]])
    filled = fill_gaps(data, valid, (5, np.nan))
    assert filled[0].tolist() == [[0, 5], [0, 0]]
    assert np.isnan(filled[1, 0, 1])
    assert fill_gaps(data, np.ones((2, 2), bool), 9) is data


def test_missing_raster_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        RasterFileError, match=r"gone\.tif cannot be opened as a raster: .* Give the"
    ):
        RasterReader(tmp_path / "gone.tif")


def test_file_that_is_no_raster_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.tif").write_text("no raster")
    with pytest.raises(OSError, match=r"notes\.tif cannot be opened as a raster"):
        RasterReader(tmp_path / "notes.tif")


def test_cut_off_raster_is_named(write_raster: WriteRaster) -> None:
    path = write_raster("a.tif", values((3, 300, 300), "uint8"), compress="deflate")
    path.write_bytes(path.read_bytes()[:100_000])
    with (
        RasterReader(path) as source,
        pytest.raises(
            RasterFileError, match=r"a\.tif cannot be read at row 0, .* damaged or cut off"
        ),
    ):
        source.read()


def test_raster_in_memory_is_read_as_often_as_it_is_given(write_raster: WriteRaster) -> None:
    data = values((2, 30, 40), "int16")
    with rasterio.MemoryFile(write_raster("a.tif", data).read_bytes()) as memory:
        for _ in range(2):
            with RasterReader(memory) as source:
                np.testing.assert_array_equal(source.read(dtype=None)[0], data)
    for spoilt in (memory, rasterio.MemoryFile(), rasterio.MemoryFile(b"no raster")):
        with pytest.raises(RasterFileError, match=r"The MemoryFile .* cannot be opened as a ras"):
            RasterReader(spoilt)


def test_container_names_the_rasters_in_it(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    facts = {"driver": "GPKG", "count": 1, "height": 20, "width": 30, "dtype": "uint8"}
    for table, more in (("first", "NO"), ("second", "YES")):
        place = {"RASTER_TABLE": table, "APPEND_SUBDATASET": more}
        with rasterio.open(
            path, "w", crs="EPSG:3857", transform=NORTH_UP, **facts, **place
        ) as made:
            made.write(np.ones((1, 20, 30), "uint8"))
    sentence = r"a\.gpkg is a container of 2 rasters; give one of them, such as GPKG:.*:first\.$"
    with pytest.raises(InvalidInputError, match=sentence):
        RasterReader(path)
    with RasterReader(f"GPKG:{path}:second") as source:
        assert source.grid.width == 30


def test_blocks_too_large_to_be_decoded_are_refused(
    write_raster: WriteRaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = np.zeros((3, 64, 128), "uint16")
    apart, together = (
        write_raster(f"{kind}.tif", data, blockysize=16, interleave=kind)
        for kind in ("band", "pixel")
    )
    block = 16 * 128 * 2
    monkeypatch.setattr("geotranslate.raster.reader.LARGEST_BLOCK", block)
    RasterReader(apart).close()
    with pytest.raises(InvalidInputError, match=r"pixel\.tif .* blocks of 16 x 128 px, .*TILED"):
        RasterReader(together)
    monkeypatch.setattr("geotranslate.raster.reader.LARGEST_BLOCK", 3 * block)
    RasterReader(together).close()


def test_complex_numbers_are_refused(write_raster: WriteRaster) -> None:
    path = write_raster("slc.tif", np.ones((1, 4, 4), "complex64"))
    with pytest.raises(InvalidInputError, match="complex numbers; write amplitude"):
        RasterReader(path)


def test_masks_of_real_rasters_are_seen(shared_data: Path) -> None:
    folder = shared_data / "corpus"
    for name in ("mask/cog_rgba.tif", "mask/cog_rgb_mask.tif", "nodata/cog_nodata_nan.tif"):
        with RasterReader(folder / name) as source:
            valid = source.read()[1]
        assert 0 < valid.mean() < 1, name
    with RasterReader(folder / "nodata" / "all-nodata.tif") as source:
        assert not source.read()[1].any()


def test_names_that_bands_share_are_ambiguous(write_raster: WriteRaster) -> None:
    path = write_raster("a.tif", values((4, 8, 8), "uint8"), names=("red", "nir", "red", ""))
    for bands in (["red"], ["nir", "red"]):
        sentence = r"a\.tif has 2 bands named 'red'; give the number of the one .*: 1 or 3\.$"
        with pytest.raises(InvalidInputError, match=sentence):
            RasterReader(path, bands)
    assert RasterReader(path, ["nir", 3]).indexes == (2, 3)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("dtype", [None, "float32"])
def test_bands_of_several_dtypes_are_read_in_one_that_holds_them(
    write_raster: WriteRaster, tmp_path: Path, dtype: str | None
) -> None:
    kinds = ("uint8", "int16", "float32")
    bands = [values((1, 8, 8), kind, i) for i, kind in enumerate(kinds)]
    parts = "".join(
        f'<VRTRasterBand dataType="{name}" band="{i + 1}"><SimpleSource><SourceFilename>'
        f"{write_raster(f'{i}.tif', data)}</SourceFilename><SourceBand>1</SourceBand>"
        "</SimpleSource></VRTRasterBand>"
        for i, (name, data) in enumerate(zip(("Byte", "Int16", "Float32"), bands, strict=True))
    )
    vrt = tmp_path / "a.vrt"
    vrt.write_text(f'<VRTDataset rasterXSize="8" rasterYSize="8">{parts}</VRTDataset>')
    with RasterReader(vrt) as source:
        data, valid = source.read(dtype=dtype)
    assert source.dtype == data.dtype == "float32"
    np.testing.assert_array_equal(data, np.concatenate(bands))
    assert valid.all()


@pytest.mark.parametrize("band", [10**5000, -(10**5000), 2**31], ids=["long", "minus", "large"])
def test_numbers_that_no_band_has_are_refused(band: int) -> None:
    with pytest.raises(InvalidInputError, match=r"^The bands to use are .*; give a list of num"):
        band_choice([1, band])
