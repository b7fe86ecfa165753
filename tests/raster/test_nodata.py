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
from shapely import box

from geotranslate.errors import GeotranslateWarning
from geotranslate.raster import translate_raster
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


@pytest.mark.parametrize("blend", ["hann", "crop"])
def test_area_changes_no_pixel_in_it(write_raster: WriteRaster, tmp_path: Path, blend: Any) -> None:
    """A tile's translation depends on all of it, also on what lies outside of the area."""
    path = write_raster("a.tif", values((1, 500, 400), "uint8"))
    left, top = NORTH_UP @ (100.3, 77.7)
    right, bottom = NORTH_UP @ (222.2, 390.1)
    triangle = box(left, bottom, right, top) - box(left, bottom, (left + right) / 2, top - 90)
    options: dict[str, Any] = {
        "bands_out": 1,
        "tile_size": 64,
        "overlap": 16,
        "blend": blend,
        "dtype": "float32",
        "progress": False,
    }
    whole = translate_raster(path, tmp_path / "whole.tif", smooth, **options)
    part = translate_raster(path, tmp_path / "part.tif", smooth, aoi=triangle, **options)
    with rasterio.open(whole) as one, rasterio.open(part) as other:
        assert other.shape == (391 - 77, 223 - 100)
        assert other.transform == one.transform @ Affine.translation(100, 77)
        found, valid = other.read(1), other.dataset_mask() > 0
        expected = one.read(1)[77:391, 100:223]
    inside = rasterio.features.geometry_mask(
        [triangle], found.shape, part.grid.transform, invert=True
    )
    np.testing.assert_array_equal(valid, inside)
    np.testing.assert_array_equal(found[valid], expected[valid])


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
