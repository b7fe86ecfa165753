from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotranslate.raster.tiling.axis import Axis
from geotranslate.raster.tiling.interpolation import InterpolationGrid


def interpolated(
    centers: InterpolationGrid, values: np.ndarray, index: int, size: int
) -> np.ndarray:
    return centers.weights(index, size) @ values[centers.neighbors(index)]


@given(
    size=st.integers(1, 400), tile=st.integers(8, 64), overlap=st.floats(0, 0.5), step=st.just(1)
)
def test_tiles_agree_where_they_overlap(size: int, tile: int, overlap: float, step: int) -> None:
    axis = Axis(size, tile, int(tile * overlap), 0, step)
    centers = InterpolationGrid(axis, tile)
    values = np.random.default_rng(0).normal(size=len(axis))
    found = np.full(axis.padded, np.nan)
    for index, start in enumerate(axis.starts):
        own = interpolated(centers, values, index, tile)
        before = found[start : start + tile]
        both = np.isfinite(before)
        np.testing.assert_allclose(own[both], before[both], rtol=0, atol=1e-6)
        found[start : start + tile] = own
    places = np.arange(axis.padded) + 0.5
    middles = np.array(axis.starts) + tile / 2
    np.testing.assert_allclose(found, np.interp(places, middles, values), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "radius"), [(64, 0), (50, 0), (64 + 48, 1), (64 + 5 * 48, 1), (64 + 5 * 48 + 9, 2)]
)
def test_neighbors_in_radius_are_few(size: int, radius: int) -> None:
    centers = InterpolationGrid(Axis(size, 64, 16), 64)
    assert centers.radius == radius
    last = len(centers.axis) - 1
    assert centers.neighbors(last).tolist()[-1] == last
    assert centers.weights(last, 4).shape == (4, 2 * radius + 1)


def test_deep_overlap_of_cropped_tiles_reaches_further() -> None:
    centers = InterpolationGrid(Axis(500, 64, 48, 24), 64)
    values = np.arange(len(centers.axis), dtype=float)
    expected = np.interp(
        centers.axis.starts[9] + np.arange(64) + 0.5, np.array(centers.axis.starts) + 32, values
    )
    assert centers.radius >= 2
    np.testing.assert_allclose(interpolated(centers, values, 9, 64), expected, atol=1e-5)


def test_padded_tiles_and_smaller_layers() -> None:
    """A tile of 48 px that is padded to 64, in a layer of 8 px: each stands for 8."""
    centers = InterpolationGrid(Axis(400, 48, 8), 64)
    values = np.arange(len(centers.axis), dtype=float)
    places = centers.axis.starts[3] + np.arange(8) * 8 + 4
    expected = np.interp(places, np.array(centers.axis.starts) + 24, values)
    np.testing.assert_allclose(interpolated(centers, values, 3, 8), expected, atol=1e-5)
