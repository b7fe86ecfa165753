from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from shapely.geometry import box

from geotranslate.errors import InvalidInputError
from geotranslate.raster.grid import Grid
from geotranslate.raster.pipeline import translate_raster
from geotranslate.raster.tiling.region import region_of
from tests.conftest import GRIDS, NORTH_UP, WriteRaster, values

FACTORS = [Fraction(text) for text in ("1", "2", "3", "1/2", "1/3", "3/2", "2/3", "5/4", "4/5")]


def resized(factor: Fraction) -> Any:
    """Return nearest neighbors, `factor` times as many."""
    grown, shrunk = factor.numerator, factor.denominator

    def apply(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        return batch.repeat(grown, 2).repeat(grown, 3)[:, :, ::shrunk, ::shrunk]

    return apply


@pytest.mark.slow_after(9)
@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("grid", GRIDS)
def test_cut_is_the_whole_at_its_place_whatever_the_scale(
    write_raster: WriteRaster, tmp_path: Path, factor: Fraction, grid: str
) -> None:
    transform = GRIDS[grid]
    path = write_raster("a.tif", values((1, 101, 133), "uint8"), transform=transform)
    options: dict[str, Any] = {
        "bands_out": 1,
        "tile_size": 60,
        "overlap": 0,
        "scale": factor,
        "progress": False,
        "overwrite": True,
    }
    whole = translate_raster(path, tmp_path / "whole.tif", resized(factor), **options)
    with rasterio.open(whole) as dataset:
        expected, there = dataset.read(), dataset.transform
    chance = np.random.default_rng(0)
    for _ in range(3):
        (top, bottom), (left, right) = (
            sorted(chance.choice(size + 1, 2, replace=False)) for size in (101, 133)
        )
        pixels = box(left, top, right, bottom)
        corners = [transform @ corner for corner in pixels.exterior.coords]
        area = type(pixels)(corners)
        cut = translate_raster(path, tmp_path / "cut.tif", resized(factor), aoi=area, **options)
        with rasterio.open(cut) as dataset:
            found, valid = dataset.read(), dataset.dataset_mask() > 0
            col, row = ~there @ (dataset.transform.c, dataset.transform.f)
            moved = there @ Affine.translation(round(col), round(row))
            assert dataset.transform.almost_equals(moved, 1e-6)
        # The cut covers all of the area and lies where its pixels do.
        col, row = round(col), round(row)
        assert row <= top * factor
        assert col <= left * factor
        assert row + found.shape[1] >= bottom * factor
        assert col + found.shape[2] >= right * factor
        same = expected[:, row : row + found.shape[1], col : col + found.shape[2]]
        np.testing.assert_array_equal(found[:, valid], same[:, valid])


@given(
    st.sampled_from(FACTORS),
    st.lists(st.integers(0, 500), min_size=2, max_size=2, unique=True).map(sorted),
)
def test_region_begins_on_an_edge_of_source_and_output(factor: Fraction, edges: list[int]) -> None:
    first, last = edges
    grid = Grid(None, NORTH_UP, 500, 500)
    (left, top), (right, bottom) = (NORTH_UP @ (edge, edge) for edge in edges)
    found = region_of(grid, None, (left, bottom, right, top), factor)
    assert (found.top / factor).denominator == 1
    assert first * factor - factor.numerator < found.top <= first * factor
    assert last * factor <= found.bottom < last * factor + max(factor.numerator, 1) + 1
    assert (found.left, found.right) == (found.top, found.bottom)


@pytest.mark.parametrize(
    ("area", "sentence"),
    [
        ({"bbox": (-np.inf, 0, np.inf, 1)}, r"bbox is .*inf.*; give \(left, bottom, right, top\)"),
        ({"bbox": "abcd"}, "bbox is 'abcd'; give"),
        ({"bbox": 5}, "bbox is 5; give"),
        ({"aoi": "park.gpkg"}, "aoi is 'park.gpkg'; give a shapely geometry in the raster's CRS"),
        ({"aoi": {"type": "Point"}}, "aoi is {'type': 'Point'}; give a shapely geometry"),
        ({"aoi": box(0, 0, np.inf, 1)}, "aoi .* give an area of finite coordinates"),
    ],
)
def test_area_that_is_none_is_said_before_anything_is_computed(
    write_raster: WriteRaster, tmp_path: Path, area: Any, sentence: str
) -> None:
    def never(batch: Any) -> Any:
        raise AssertionError("computed")

    path = write_raster("a.tif", values((1, 300, 300), "uint8"))
    with pytest.raises(InvalidInputError, match=sentence):
        translate_raster(path, tmp_path / "b.tif", never, bands_out=1, progress=False, **area)


def test_a_window_of_the_scene_is_cut_exactly(write_raster: WriteRaster, tmp_path: Path) -> None:
    data = values((1, 90, 90), "uint8")
    path = write_raster("a.tif", data)
    left, top = NORTH_UP @ (30, 20)
    right, bottom = NORTH_UP @ (50, 60)
    cut = translate_raster(
        path,
        tmp_path / "b.tif",
        lambda batch: batch,
        bands_out=1,
        bbox=np.array([left, bottom, right, top]),
        progress=False,
    )
    with rasterio.open(cut) as dataset:
        np.testing.assert_array_equal(dataset.read(), data[:, 20:60, 30:50])
        assert dataset.transform == NORTH_UP @ Affine.translation(30, 20)
