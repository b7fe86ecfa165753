from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotranslate.interop.deepness.deepnesstiles import (
    MOST_PERCENT,
    MOST_SIDE,
    DeepnessTiles,
    needed_overlap,
    other_tiles,
    seamless_tiles,
)
from tests.interop.deepness.emulation import Axis


@given(
    stride=st.sampled_from([1, 2, 4, 8, 16, 32, 64, 128]),
    radius=st.integers(0, 400),
    size=st.integers(1, 5000),
)
def test_kept_pixels_see_their_receptive_field_and_every_pixel_is_kept(
    stride: int, radius: int, size: int
) -> None:
    tiles = seamless_tiles(stride, radius)
    if tiles is None:
        assert needed_overlap(stride, radius) > 0.5 * MOST_SIDE
        return
    assert tiles.side % stride == 0 and tiles.percent <= MOST_PERCENT
    axis = Axis(size, tiles.side, tiles.side - tiles.overlap)
    kept = set()
    for start in axis.starts:
        assert start % stride == 0
        found = axis.kept(start)
        assert start == 0 or found.start - start >= radius
        assert start == axis.starts[-1] or start + tiles.side - found.stop >= radius
        kept.update(range(found.start, found.stop))
    assert kept == set(range(axis.extended))


@pytest.mark.parametrize(
    ("stride", "radius", "side", "expected"),
    [
        (8, 15, None, (256, 16)),
        (64, 90, None, (1024, 25)),
        (4, 46, 256, (256, 41)),
        (256, 500, None, (2048, 50)),
        (256, 900, None, None),
        (8, 15, 64, (64, 50)),
        (8, 15, 32, None),
    ],
)
def test_tiles_are_as_large_as_they_need_to_be(
    stride: int, radius: int, side: int | None, expected: tuple[int, int] | None
) -> None:
    found = seamless_tiles(stride, radius, side)
    assert (found and (found.side, found.percent)) == expected


@given(stride=st.sampled_from([1, 4, 8, 64, 256]), times=st.integers(1, 40) | st.none())
def test_other_tiles_overlap_where_they_can(stride: int, times: int | None) -> None:
    tiles = other_tiles(stride, times and times * stride)
    assert tiles.side == times * stride if times else tiles.side >= 512
    assert 0 < tiles.percent <= MOST_PERCENT
    assert isinstance(tiles, DeepnessTiles)
