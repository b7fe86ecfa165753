from __future__ import annotations

import geopandas as gpd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import Polygon, box

from geotranslate.chips.split import Split, SplitMethod, split_by_polygons, split_pairs
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


@settings(deadline=None)
@given(
    st.integers(3, 9),
    st.integers(3, 9),
    st.integers(1, 20),
    st.integers(0, 99),
    st.sampled_from(["random", "block"]),
    st.sampled_from([0, 3, 25]),
)
def test_no_method_lets_training_share_ground_with_validation(
    rows: int, cols: int, stride: int, seed: int, method: SplitMethod, buffer: float
) -> None:
    footprints = chips(rows, cols, 10, stride)
    try:
        split = split_pairs(
            len(footprints), 0.1, seed, footprints, 10, method=method, buffer=buffer
        )
    except InvalidInputError as error:
        assert "none is left to train on" in str(error)
        return
    for a in split.train:
        for b in split.validation:
            assert footprints[a].intersection(footprints[b]).area < 1e-9
            if method == "block":
                assert footprints[a].distance(footprints[b]) >= 1 + buffer - 1e-6


def test_block_takes_neighbours() -> None:
    split = split_pairs(100, 0.09, 3, chips(10, 10, 10, 10), method="block")
    places = [divmod(i, 10) for i in split.validation]
    for axis in zip(*places, strict=True):
        assert max(axis) - min(axis) <= 4


def test_labels_make_a_split() -> None:
    assert Split.of_labels(["train", "val", "test", None, "train"]) == Split((0, 4), (1,), (2, 3))
    with pytest.raises(InvalidInputError, match=r"labels no pair 'val' \(found 'train'\)"):
        Split.of_labels(["train", "train"])


def test_polygons_make_a_split_of_the_chips_wholly_inside() -> None:
    footprints = chips(1, 10, 10, 10)
    areas = gpd.GeoDataFrame(
        {"part": ["train", "val"]}, geometry=[box(0, 0, 45, 10), box(60, 0, 100, 10)]
    )
    split = split_by_polygons(footprints, areas, "part")
    assert split == Split((0, 1, 2, 3), (6, 7, 8, 9), (4, 5))


def test_overlapping_polygons_do_not_leak() -> None:
    footprints = chips(1, 19, 10, 5)
    areas = gpd.GeoDataFrame(
        {"split": ["train", "val"]}, geometry=[box(0, 0, 60, 10), box(40, 0, 100, 10)]
    )
    split = split_by_polygons(footprints, areas, "split")
    for a in split.train:
        assert all(footprints[a].intersection(footprints[b]).area == 0 for b in split.validation)


@pytest.mark.parametrize(
    ("areas", "sentence"),
    [
        ({"kind": ["train"]}, "no column 'split' "),
        ({"split": ["train"]}, "labels no pair 'val'"),
    ],
)
def test_polygons_that_cannot_split_are_said(areas: dict[str, list[str]], sentence: str) -> None:
    frame = gpd.GeoDataFrame(areas, geometry=[box(0, 0, 100, 100)])
    with pytest.raises(InvalidInputError, match=sentence):
        split_by_polygons(chips(2, 2, 10, 10), frame, "split")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"method": "blocks"},
            "split is 'blocks' with buffer 0.0; give one of auto, random, block",
        ),
        ({"buffer": -1}, "buffer -1; give one of"),
    ],
)
def test_impossible_methods_are_said(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        split_pairs(5, 0.2, 0, chips(1, 5, 10, 10), **options)


def test_block_keeps_a_pixel_of_the_largest_chips_away() -> None:
    # A large chip validates, its pixel is 2; small ones lie 0, 1.5 and 2.5 from it.
    small = [box(21.5, 0, 31.5, 10), box(20, 11, 30, 21), box(0, 22.5, 10, 32.5)]
    footprints = [box(0, 0, 20, 20), *small]
    for seed in range(20):
        split = split_pairs(4, 0.25, seed, footprints, 10, method="block")
        if split.validation == (0,):
            assert split == Split((3,), (0,), (1, 2))
            return
    raise AssertionError("no seed lets the large chip validate")


def test_block_needs_a_crs() -> None:
    with pytest.raises(InvalidInputError, match="split='block' needs chips with a CRS"):
        split_pairs(5, 0.2, 0, None, method="block")
