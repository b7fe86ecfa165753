from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from shapely import area, box, intersection
from shapely.affinity import rotate
from shapely.geometry.base import BaseGeometry

from geotranslate.chips.chip import Mask, covered

numbers = st.floats(-30, 60, allow_nan=False)


def shared(ground: BaseGeometry, height: int, width: int) -> NDArray[np.float64]:
    """Return the area that every pixel shares with a shape."""
    rows, cols = np.mgrid[:height, :width]
    return area(intersection(ground, box(cols, rows, cols + 1, rows + 1)))


@given(
    st.tuples(numbers, numbers, st.floats(0.01, 70), st.floats(0.01, 70)),
    st.sampled_from([0.0, 90.0, 30.0, 11.3]),
    st.sampled_from([0.0, 3.0]),
    st.integers(1, 40),
    st.integers(1, 40),
)
def test_pixels_are_covered_if_and_only_if_they_share_ground(
    place: tuple[float, float, float, float], angle: float, buffer: float, height: int, width: int
) -> None:
    left, top, across, down = place
    ground = rotate(box(left, top, left + across, top + down), angle).buffer(buffer)
    found, expected = covered(ground, height, width), shared(ground, height, width)
    assert found[expected > 1e-5].all()
    assert not found[expected == 0].any()


@given(*[st.integers(-5, 45)] * 2, *[st.integers(1, 30)] * 2, st.sampled_from([0, 1e-8, -1e-8]))
def test_on_one_grid_exactly_the_pixels_inside_are_covered(
    col: int, row: int, across: int, down: int, rounding: float
) -> None:
    ground = box(col - rounding, row, col + across + rounding, row + down + rounding)
    expected = np.zeros((32, 40), bool)
    expected[max(row, 0) : max(row + down, 0), max(col, 0) : max(col + across, 0)] = True
    np.testing.assert_array_equal(covered(ground, 32, 40), expected)


def test_large_chips_are_covered_block_by_block() -> None:
    ground = rotate(box(-100, 20, 700, 60), 5)
    expected = shared(ground, 80, 520)
    found = covered(ground, 80, 520)
    assert found[expected > 1e-5].all()
    assert not found[expected == 0].any()


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (32, 40)])
def test_masks_keep_their_pixels(size: tuple[int, int]) -> None:
    hidden = np.random.default_rng(1).random(size) < 0.4
    np.testing.assert_array_equal(Mask.of(hidden).hidden, hidden)
