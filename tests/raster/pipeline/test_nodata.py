"""Invalid pixels: they stay invalid, and nothing of them or of NaN spreads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.features
from affine import Affine
from numpy.typing import NDArray
from shapely import Polygon, box

from geotranslate.errors import GeotranslateWarning, InvalidInputError
from geotranslate.raster.pipeline import translate_raster
from tests.conftest import NORTH_UP, WriteRaster, values

Batch = NDArray[np.float32]


def smooth(batch: Batch) -> Batch:
    """Add the mean of the tile: what is spoilt anywhere in a tile is spoilt everywhere."""
    return batch + batch.mean(axis=(1, 2, 3), keepdims=True)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("nodata", [None, 0])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_become_invalid_and_are_reported(
    write_raster: WriteRaster, tmp_path: Path, dtype: str, nodata: float | None, bad: float
) -> None:
    data = values((2, 700, 300), "uint8") // 2 + 1
    path = write_raster("a.tif", data)

    def spoil(batch: Batch) -> Batch:
        translated = batch.copy()
        translated[:, 0][batch[:, 0] == 5] = bad
        return translated

    with pytest.warns(GeotranslateWarning, match="valid pixels of .* translated to NaN or inf"):
        result = translate_raster(
            path,
            tmp_path / "b.tif",
            spoil,
            bands_out=2,
            tile_size=64,
            overlap=16,
            dtype=dtype,
            nodata=nodata,
            progress=False,
        )
    good = data[0] != 5
    assert result.lost == (~good).sum()
    assert result.warnings
    with rasterio.open(result) as dataset:
        np.testing.assert_array_equal(dataset.dataset_mask() > 0, good)
        np.testing.assert_array_equal(dataset.read()[:, good], data[:, good])


def test_tiles_without_a_valid_pixel_are_skipped_and_nothing_else_changes(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    data = values((1, 600, 500), "uint8").astype("float32")
    valid = np.zeros((600, 500), bool)
    valid[:300, :120] = True
    valid[450:, 333] = True
    data[:, ~valid] = np.nan
    seen = []

    def count(batch: Batch) -> Batch:
        seen.append(len(batch))
        return batch * 2

    result = translate_raster(
        write_raster("a.tif", data),
        tmp_path / "b.tif",
        count,
        bands_out=1,
        tile_size=64,
        overlap=16,
        progress=False,
    )
    with rasterio.open(result) as dataset:
        np.testing.assert_array_equal(dataset.read(), data * 2)
    assert result.skipped + sum(seen) == result.tiles
    assert result.skipped > result.tiles / 2


def test_scene_without_a_valid_pixel_is_invalid(write_raster: WriteRaster, tmp_path: Path) -> None:
    path = write_raster("a.tif", np.full((1, 500, 400), 7, np.uint8), nodata=7)
    result = translate_raster(
        path, tmp_path / "b.tif", smooth, bands_out=1, nodata=9, progress=False
    )
    with rasterio.open(result) as dataset:
        assert (dataset.read() == 9).all()
    assert result.skipped == result.tiles


def holes(shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return what a swath on a north-up grid leaves: wedges, missing tiles and single pixels."""
    rows, cols = np.indices(shape)
    wedges = (cols > rows // 4) & (cols < shape[1] - (shape[0] - rows) // 5)
    tiles = (rows // 64 + cols // 64) % 5 > 0
    return wedges & tiles & (values(shape, "uint8", seed=3) > 9)


def by_value(write: WriteRaster, data: NDArray[Any], valid: NDArray[np.bool_]) -> Path:
    return write("a.tif", np.where(valid, data, 0), nodata=0)


def by_nan(write: WriteRaster, data: NDArray[Any], valid: NDArray[np.bool_]) -> Path:
    return write("a.tif", np.where(valid, data, np.nan).astype("float32"), nodata=np.nan)


def by_mask(write: WriteRaster, data: NDArray[Any], valid: NDArray[np.bool_]) -> Path:
    return write("a.tif", data, valid=valid)


def by_file_beside(write: WriteRaster, data: NDArray[Any], valid: NDArray[np.bool_]) -> Path:
    path = write("a.tif", data)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(valid)
    assert path.with_name("a.tif.msk").exists()
    return path


def by_alpha(write: WriteRaster, data: NDArray[Any], valid: NDArray[np.bool_]) -> Path:
    alpha = np.where(valid, 255, 0).astype(data.dtype)[None]
    return write("a.tif", np.concatenate([data, alpha]), photometric="RGB", alpha="YES")


def by_one_band(write: WriteRaster, data: NDArray[Any], valid: NDArray[np.bool_]) -> Path:
    """Mark every invalid pixel in one band, each band its share; uint16, as in measurements."""
    share = np.indices(valid.shape).sum(axis=0) % 3
    marked = [np.where(valid | (share != band), data[band], 0) for band in range(3)]
    return write("a.tif", np.stack(marked).astype("uint16"), nodata=0)


@pytest.mark.slow_after(8)
@pytest.mark.parametrize("blend", ["hann", "crop"])
@pytest.mark.parametrize("nodata", [None, 200])
@pytest.mark.parametrize("mark", [by_value, by_nan, by_mask, by_file_beside, by_alpha, by_one_band])
def test_nothing_of_an_invalid_pixel_reaches_a_valid_one(
    write_raster: WriteRaster, tmp_path: Path, mark: Any, nodata: float | None, blend: Any
) -> None:
    """Valid pixels are what they are when all others hold the fill, and only they are valid."""
    data = values((3, 400, 300), "uint8") // 3 + 1
    valid = holes((400, 300))
    options: dict[str, Any] = {
        "bands_out": 3,
        "tile_size": 64,
        "overlap": 16,
        "blend": blend,
        "fill": 50,
        "dtype": "uint8",
        "progress": False,
    }
    filled = write_raster("filled.tif", np.where(valid, data, 50).astype("uint8"))
    expected = translate_raster(filled, tmp_path / "expected.tif", smooth, **options)
    garbage = np.where(valid, data, values((3, 400, 300), "uint8", seed=1) | 1).astype("uint8")
    path = mark(write_raster, garbage, valid)
    result = translate_raster(path, tmp_path / "b.tif", smooth, nodata=nodata, **options)
    assert result.skipped
    with rasterio.open(expected) as before, rasterio.open(result) as after:
        np.testing.assert_array_equal(after.dataset_mask() > 0, valid)
        np.testing.assert_array_equal(after.read()[:, valid], before.read()[:, valid])


def test_black_in_some_bands_of_a_picture_is_a_color(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    data = values((3, 90, 70), "uint8") % 3
    path = write_raster("a.tif", data, nodata=0)
    result = translate_raster(
        path, tmp_path / "b.tif", lambda batch: batch, bands_out=3, progress=False
    )
    with rasterio.open(result) as dataset:
        np.testing.assert_array_equal(dataset.read(), data)
        np.testing.assert_array_equal(dataset.dataset_mask() > 0, data.any(axis=0))


@pytest.mark.parametrize("blend", ["hann", "crop"])
def test_area_changes_no_pixel_in_it(write_raster: WriteRaster, tmp_path: Path, blend: Any) -> None:
    """A tile's translation depends on all of it, also on what lies outside of the area."""
    path = write_raster("a.tif", values((1, 500, 400), "uint8"))
    left, top = NORTH_UP @ (100.3, 77.7)
    right, bottom = NORTH_UP @ (222.2, 390.1)
    whole_box = box(left, bottom, right, top)
    area = whole_box - whole_box.centroid.buffer(60) - box(left, bottom, left + 99, top - 90)
    area |= box(left, bottom, left + 30, bottom + 40)
    assert area.geom_type == "MultiPolygon"
    options: dict[str, Any] = {
        "bands_out": 1,
        "tile_size": 64,
        "overlap": 16,
        "blend": blend,
        "dtype": "float32",
        "progress": False,
    }
    whole = translate_raster(path, tmp_path / "whole.tif", smooth, **options)
    part = translate_raster(path, tmp_path / "part.tif", smooth, aoi=area, **options)
    with rasterio.open(whole) as one, rasterio.open(part) as other:
        assert other.shape == (391 - 77, 223 - 100)
        assert other.transform == one.transform @ Affine.translation(100, 77)
        found, valid = other.read(1), other.dataset_mask() > 0
        expected = one.read(1)[77:391, 100:223]
    inside = rasterio.features.geometry_mask([area], found.shape, part.grid.transform, invert=True)
    np.testing.assert_array_equal(valid, inside)
    np.testing.assert_array_equal(found[valid], expected[valid])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"aoi": box(0, 0, 1, 1)}, r"The aoi \(0 to 1 east.*\) does not overlap the raster"),
        ({"aoi": Polygon()}, r"The aoi \(empty\) does not overlap the raster"),
        ({"bbox": (0, 0, 1, 1)}, r"The bbox .* does not overlap .*; give an area on it, in its"),
        ({"bbox": (1, 0, 0, 1)}, r"bbox is \(1, 0, 0, 1\); give \(left, bottom, right, top\)"),
        ({"bbox": "here"}, r"bbox is 'here'; give \(left, bottom, right, top\)"),
    ],
)
def test_area_that_is_not_on_the_raster_is_said(
    write_raster: WriteRaster, tmp_path: Path, options: dict[str, Any], sentence: str
) -> None:
    path = write_raster("a.tif", values((1, 50, 40), "uint8"))
    with pytest.raises(InvalidInputError, match=sentence):
        translate_raster(path, tmp_path / "b.tif", smooth, bands_out=1, progress=False, **options)


def test_bbox_cuts_without_a_mask(write_raster: WriteRaster, tmp_path: Path) -> None:
    data = values((1, 100, 90), "uint8")
    path = write_raster("a.tif", data)
    left, top = NORTH_UP @ (10, 20)
    right, bottom = NORTH_UP @ (50, 95)
    result = translate_raster(
        path,
        tmp_path / "b.tif",
        lambda batch: batch,
        bands_out=1,
        bbox=(left, bottom, right, top),
        progress=False,
    )
    with rasterio.open(result) as dataset:
        np.testing.assert_array_equal(dataset.read(), data[:, 20:95, 10:50])
        assert dataset.dataset_mask().all()
