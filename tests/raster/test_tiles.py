from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotranslate.errors import InvalidInputError
from geotranslate.raster.tiles import Axis, hann_ramp, tile_starts, tile_windows


@st.composite
def axes(draw: st.DrawFn) -> Axis:
    tile = draw(st.integers(1, 64))
    return Axis(draw(st.integers(1, 300)), tile, draw(st.integers(0, tile // 2)))


@given(axes())
def test_tiles_cover_the_axis_without_gap_and_end_at_its_edge(axis: Axis) -> None:
    starts = np.array(axis.starts)
    assert starts[0] == 0
    assert starts[-1] + axis.tile == axis.padded
    assert (np.diff(starts) > 0).all()
    assert (np.diff(starts) <= axis.tile - axis.overlap).all()


@given(axes())
def test_all_but_the_last_tile_lie_one_stride_apart(axis: Axis) -> None:
    stride = axis.tile - axis.overlap
    assert list(axis.starts[:-1]) == [stride * i for i in range(len(axis) - 1)]


@given(axes(), st.integers(0, 2**32 - 1))
def test_running_shares_give_the_mean_weighted_by_the_windows(axis: Axis, seed: int) -> None:
    tiles = np.random.default_rng(seed).normal(size=(len(axis), axis.tile))
    total, weight, running = (np.zeros(axis.padded) for _ in range(3))
    for index, start in enumerate(axis.starts):
        share = axis.shares[index]
        reach = slice(start, start + axis.tile)
        window = axis.window(index)
        if not axis.overlap:
            window[: len(share)] = 0
        total[reach] += window * tiles[index]
        weight[reach] += window
        running[reach][: len(share)] += share * (tiles[index] - running[reach])[: len(share)]
        running[reach][len(share) :] = tiles[index][len(share) :]
    np.testing.assert_allclose(running, total / weight, atol=1e-5)


@given(st.integers(1, 200))
def test_a_ramp_and_its_mirror_sum_to_one(overlap: int) -> None:
    ramp = hann_ramp(overlap)
    np.testing.assert_allclose(ramp + ramp[::-1], 1)
    assert 0 < ramp.min()
    assert ramp.max() < 1


def test_two_tiles_share_the_middle_of_their_overlap_equally() -> None:
    axis = Axis(size=12, tile=8, overlap=4)
    assert axis.starts == (0, 4)
    np.testing.assert_allclose(axis.shares[1], hann_ramp(4))


def test_without_overlap_a_pixel_belongs_to_the_first_tile_that_has_it() -> None:
    axis = Axis(size=10, tile=8, overlap=0)
    assert axis.starts == (0, 2)
    assert axis.shares[1].tolist() == [0] * 6


def test_ends_of_the_axis_have_no_ramp() -> None:
    axis = Axis(size=100, tile=32, overlap=8)
    assert axis.window(0)[0] == 1
    assert axis.window(len(axis) - 1)[-1] == 1
    assert axis.window(1)[0] < 0.05


@pytest.mark.parametrize(("size", "starts"), [(5, (0,)), (8, (0,)), (9, (0, 1)), (20, (0, 6, 12))])
def test_starts(size: int, starts: tuple[int, ...]) -> None:
    assert tile_starts(size, tile=8, stride=6) == starts


@pytest.mark.parametrize("overlap", [-1, 5, 8])
def test_impossible_overlap_says_what_is_possible(overlap: int) -> None:
    with pytest.raises(
        InvalidInputError, match=rf"overlap is {overlap} with tiles of 8; give 0 to 4"
    ):
        Axis(100, 8, overlap)


def test_tile_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="tile_size is 0; give at least 1 pixel"):
        Axis(100, 0, 0)


@given(st.integers(1, 100), st.integers(1, 100), st.integers(1, 40), st.integers(1, 40))
def test_windows_of_chips_are_whole_and_inside(h: int, w: int, tile: int, stride: int) -> None:
    windows = list(tile_windows(h, w, tile, stride))
    assert all(v.width == v.height == tile for v in windows)
    assert all(v.row_off + tile <= h and v.col_off + tile <= w for v in windows)
    fits = (max(h - tile, -1) // stride + 1) * (max(w - tile, -1) // stride + 1)
    assert len(windows) == fits
