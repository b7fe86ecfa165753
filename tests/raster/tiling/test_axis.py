from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from geotranslate.errors import InvalidInputError
from geotranslate.raster.tiling.axis import Axis, hann_ramp, tile_windows


@st.composite
def axes(draw: st.DrawFn) -> Axis:
    tile = draw(st.integers(1, 64))
    padding = draw(st.integers(0, (tile - 1) // 2))
    most = min(tile // 2 + padding, tile - 1) if tile > 1 else 0
    overlap = draw(st.integers(2 * padding, max(most, 2 * padding)))
    step = draw(st.sampled_from([d for d in (1, 2, 3, 4, 8) if (tile - overlap) % d == 0]))
    return Axis(draw(st.integers(1, 300)), tile, overlap, padding, step)


@given(axes())
def test_tiles_cover_the_axis_without_gap_and_end_within_a_step_of_its_edge(axis: Axis) -> None:
    starts = np.array(axis.starts)
    assert starts[0] == 0
    assert axis.size <= starts[-1] + axis.tile == axis.padded
    assert axis.padded < max(axis.size, axis.tile) + axis.step
    assert (np.diff(starts) > 0).all()
    assert (np.diff(starts) <= axis.stride).all()


@given(axes())
def test_tiles_start_at_multiples_of_the_step(axis: Axis) -> None:
    assert list(axis.starts[:-1]) == [axis.stride * i for i in range(len(axis) - 1)]
    assert all(start % axis.step == 0 for start in axis.starts)


@given(axes(), st.integers(0, 2**32 - 1))
def test_joined_tiles_are_the_mean_weighted_by_the_windows(axis: Axis, seed: int) -> None:
    assume(axis.ramp)
    tiles = np.random.default_rng(seed).normal(size=(len(axis), axis.tile))
    total, weight = np.zeros(axis.padded), np.zeros(axis.padded)
    for index, start in enumerate(axis.starts):
        total[start : start + axis.tile] += axis.window(index) * tiles[index]
        weight[start : start + axis.tile] += axis.window(index)
    np.testing.assert_allclose(joined(axis, tiles), total / weight, atol=1e-5)


def joined(axis: Axis, tiles: np.ndarray) -> np.ndarray:
    """Join tiles in order as seams say."""
    line = np.zeros(axis.padded)
    for start, join, tile in zip(axis.starts, axis.joins, tiles, strict=True):
        here = line[start : start + axis.tile]
        ramp = slice(join.keep, join.own)
        here[ramp] += join.shares * (tile[ramp] - here[ramp])
        here[join.own :] = tile[join.own :]
    return line


@given(axes())
def test_without_a_ramp_a_pixel_belongs_to_one_tile_and_not_to_its_padding(axis: Axis) -> None:
    assume(not axis.ramp)
    inside = np.tile(np.arange(axis.tile), (len(axis), 1))
    numbers = np.tile(np.arange(len(axis))[:, None], (1, axis.tile))
    place, number = joined(axis, inside), joined(axis, numbers).astype(int)
    np.testing.assert_array_equal(place + np.array(axis.starts)[number], np.arange(axis.padded))
    first, last = number == 0, number == len(axis) - 1
    assert (place[~first] >= axis.padding).all()
    assert (place[~last] < axis.tile - axis.padding).all()


@given(axes())
def test_what_a_tile_does_not_reach_does_not_depend_on_it(axis: Axis) -> None:
    tiles = np.random.default_rng(0).normal(size=(len(axis), axis.tile))
    before = joined(axis, tiles)
    for index, (first, last) in enumerate(axis.extents):
        other = tiles.copy()
        other[index] += 1
        changed = np.flatnonzero(joined(axis, other) != before)
        assert first <= changed.min()
        assert changed.max() < last


@given(axes(), st.integers(0, 299), st.integers(1, 300))
def test_touching_tiles_are_all_that_reach_the_pixels(axis: Axis, begin: int, length: int) -> None:
    begin = min(begin, axis.size - 1)
    end = min(begin + length, axis.size)
    found = axis.touching(begin, end)
    for index, (first, last) in enumerate(axis.extents):
        assert (index in found) == (first < end and last > begin)


@given(axes(), st.sampled_from([Fraction(2), Fraction(4), Fraction(1, 2), Fraction(1, 3)]))
def test_tiles_of_a_scaled_output_lie_on_those_of_the_source(axis: Axis, factor: Fraction) -> None:
    whole = (axis.tile, axis.overlap, axis.padding, axis.step)
    assume(all((size * factor).denominator == 1 for size in whole))
    scaled = axis.scaled(factor)
    assert [start / factor for start in scaled.starts] == list(axis.starts)
    assert scaled.size == -(-axis.size * factor.numerator // factor.denominator)


def test_tiles_that_cannot_be_scaled_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"1/2 times the source.*give multiples of 2\."):
        Axis(100, 33, 0).scaled(Fraction(1, 2))


@given(st.integers(1, 200))
def test_a_ramp_and_its_mirror_sum_to_one(overlap: int) -> None:
    ramp = hann_ramp(overlap)
    np.testing.assert_allclose(ramp + ramp[::-1], 1)
    assert 0 < ramp.min()
    assert ramp.max() < 1


def test_two_tiles_share_the_middle_of_their_overlap_equally() -> None:
    axis = Axis(size=12, tile=8, overlap=4)
    assert axis.starts == (0, 4)
    np.testing.assert_allclose(axis.joins[1].shares, hann_ramp(4))


def test_without_overlap_a_pixel_belongs_to_the_first_tile_that_has_it() -> None:
    axis = Axis(size=10, tile=8, overlap=0)
    assert axis.starts == (0, 2)
    assert axis.joins[1].keep == axis.joins[1].own == 6


def test_ends_of_the_axis_have_no_ramp() -> None:
    axis = Axis(size=100, tile=32, overlap=8)
    assert axis.window(0)[0] == 1
    assert axis.window(len(axis) - 1)[-1] == 1
    assert axis.window(1)[0] < 0.05


@pytest.mark.parametrize(("size", "starts"), [(5, (0,)), (8, (0,)), (9, (0, 1)), (20, (0, 6, 12))])
def test_starts(size: int, starts: tuple[int, ...]) -> None:
    assert Axis(size, tile=8, overlap=2).starts == starts


@pytest.mark.parametrize("overlap", [-1, 5, 8])
def test_impossible_overlap_says_what_is_possible(overlap: int) -> None:
    with pytest.raises(
        InvalidInputError, match=rf"overlap is {overlap} with tiles of 8; give 0 to 4"
    ):
        Axis(100, 8, overlap)


@pytest.mark.parametrize("padding", [-1, 4, 5])
def test_impossible_padding_says_what_is_possible(padding: int) -> None:
    sentence = rf"padding is {padding} with tiles of 8; give 0 to 3, so that something is left"
    with pytest.raises(InvalidInputError, match=sentence):
        Axis(100, 8, 0, padding)


def test_overlap_is_at_least_twice_the_padding() -> None:
    sentence = "overlap is 3 with tiles of 16 and padding 2; give 4 to 10"
    with pytest.raises(InvalidInputError, match=sentence):
        Axis(100, 16, 3, 2)


def test_tiles_apart_by_no_multiple_of_the_step_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"lie 6 px apart; .* a multiple of 4"):
        Axis(100, 8, 2, 0, 4)


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
