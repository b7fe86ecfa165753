from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import Polygon, box

from geotranslate.chips.split import split_pairs
from geotranslate.errors import InvalidInputError


def chips(rows: int, cols: int, size: float, stride: float) -> list[Polygon]:
    return [
        box(c * stride, r * stride, c * stride + size, r * stride + size)
        for r in range(rows)
        for c in range(cols)
    ]


@given(st.integers(2, 200), st.floats(0.01, 0.99), st.integers(0, 2**32))
def test_every_pair_has_one_place_and_both_sides_have_some(
    count: int, share: float, seed: int
) -> None:
    split = split_pairs(count, share, seed)
    assert sorted(split.train + split.validation) == list(range(count))
    assert split.train
    assert split.validation
    assert abs(len(split.validation) - count * share) <= 1


@given(st.integers(2, 100), st.integers(0, 2**32))
def test_same_seed_same_split(count: int, seed: int) -> None:
    assert split_pairs(count, 0.2, seed) == split_pairs(count, 0.2, seed)


def test_other_seed_other_split() -> None:
    assert len({split_pairs(100, 0.1, seed).validation for seed in range(10)}) > 5


@given(st.integers(3, 9), st.integers(3, 9), st.integers(1, 20), st.integers(0, 99))
def test_training_and_validation_never_share_ground(
    rows: int, cols: int, stride: int, seed: int
) -> None:
    footprints = chips(rows, cols, 10, stride)
    try:
        split = split_pairs(len(footprints), 0.15, seed, footprints)
    except InvalidInputError as error:
        assert "none is left to train on" in str(error)
        return
    shared = [
        (a, b)
        for a in split.train
        for b in split.validation
        if footprints[a].intersection(footprints[b]).area > 1e-9
    ]
    assert not shared
    assert sorted(split.train + split.validation + split.left_out) == list(range(rows * cols))
    if stride >= 10:
        assert not split.left_out


def test_equal_chips_count_as_overlapping() -> None:
    footprints = [box(0, 0, 1, 1), box(0, 0, 1, 1), box(5, 5, 6, 6), box(9, 9, 10, 10)]
    for seed in range(20):
        split = split_pairs(4, 0.25, seed, footprints)
        assert not ({0, 1} & set(split.train) and {0, 1} & set(split.validation))


def test_chips_that_all_overlap_cannot_be_split() -> None:
    with pytest.raises(InvalidInputError, match=r"Each of the 5 chips overlaps a validation chip"):
        split_pairs(5, 0.2, 0, chips(1, 5, 100, 1))
