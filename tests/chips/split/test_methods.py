from __future__ import annotations

import geopandas as gpd
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import union_all
from shapely.affinity import translate
from shapely.geometry import Polygon, box

from geotranslate.chips.split.methods import (
    Split,
    SplitMethod,
    grown,
    split_by_polygons,
    split_pairs,
)
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


@pytest.mark.parametrize("stride", [2, 5])
@pytest.mark.parametrize("seed", range(5))
def test_block_takes_less_from_training_than_one_in_the_middle(stride: int, seed: int) -> None:
    footprints = chips(12, 12, 10, stride)
    split = split_pairs(144, 0.1, seed, footprints)

    def taken(block: set[int]) -> float:
        ground = union_all([footprints[i] for i in block])
        return sum(footprints[i].intersection(ground).area for i in {*range(144)} - block)

    middle = {12 * row + col for row in range(4, 8) for col in range(4, 8)}
    assert taken({*split.validation}) < 0.8 * taken(set(sorted(middle)[:14]))


def test_block_is_a_scene_of_its_own_where_there_is_one() -> None:
    scenes = [translate(chip, 500 * n) for n in range(8) for chip in chips(4, 4, 10, 5)]
    for seed in range(5):
        split = split_pairs(128, 1 / 8, seed, scenes)
        assert len({i // 16 for i in split.validation}) == 1


def test_block_is_no_corner_of_nodata() -> None:
    footprints = chips(12, 12, 10, 5)
    # Only the middle is valid throughout.
    valid = [1.0 if {*divmod(i, 12)} <= {*range(3, 9)} else 0.5 for i in range(144)]
    for seed in range(5):
        validation = split_pairs(144, 0.1, seed, footprints, valid=valid).validation
        assert np.mean([valid[i] for i in validation]) >= 0.9 * np.mean(valid)
        chosen = split_pairs(144, 0.1, seed, footprints).validation
        assert split_pairs(144, 0.1, seed, footprints, valid=[0.5] * 144).validation == chosen


@given(
    st.integers(2, 9),
    st.integers(2, 9),
    st.integers(1, 20),
    st.integers(0, 99),
    st.sampled_from(["auto", "random", "block"]),
    st.sampled_from([0, 3, 25]),
)
def test_share_of_validation_pairs_is_the_one_asked_for(
    rows: int, cols: int, stride: int, seed: int, method: SplitMethod, buffer: float
) -> None:
    footprints = chips(rows, cols, 10, stride)
    split = split_pairs(len(footprints), 0.15, seed, footprints, method=method, buffer=buffer)
    assert sorted(split.train + split.validation) == list(range(rows * cols))
    assert len(split.validation) == max(1, round(0.15 * rows * cols))


def test_ground_grows_by_the_distance_and_hardly_more() -> None:
    ground = grown(box(0, 0, 10, 10), 4)
    assert ground.bounds == (-4, -4, 14, 14)
    assert ground.covers(box(0, 0, 10, 10).buffer(4, 200))
    assert box(0, 0, 10, 10).buffer(4 * 1.002, 200).covers(ground)


def test_block_takes_neighbors() -> None:
    split = split_pairs(100, 0.09, 3, chips(10, 10, 10, 10), method="block")
    places = [divmod(i, 10) for i in split.validation]
    for axis in zip(*places, strict=True):
        assert max(axis) - min(axis) <= 4


def test_labels_make_a_split() -> None:
    labels = ["train", "val", None, "test", "train"]
    assert Split.of_labels(labels) == Split((0, 4), (1,), (2, 3), (3,))
    with pytest.raises(InvalidInputError, match=r"labels no pair 'val' \(found 'train'\)"):
        Split.of_labels(["train", "train"])


def test_polygons_make_a_split_of_the_chips_wholly_inside() -> None:
    footprints = chips(1, 10, 10, 10)
    areas = gpd.GeoDataFrame(
        {"part": ["train", "val"]}, geometry=[box(0, 0, 45, 10), box(60, 0, 100, 10)]
    )
    split, area = split_by_polygons(footprints, areas, "part")
    assert split == Split((0, 1, 2, 3), (6, 7, 8, 9), (4, 5))
    assert area.equals(box(60, 0, 100, 10))


def test_chips_that_a_polygon_for_validation_cuts_train_on_the_rest() -> None:
    footprints = chips(1, 10, 10, 10)
    areas = gpd.GeoDataFrame(
        {"split": ["train", "val", "val"]},
        geometry=[box(0, 0, 65, 10), box(34, 2, 36, 4), box(65, 0, 95, 10)],
    )
    split, area = split_by_polygons(footprints, areas, "split")
    assert split == Split((0, 1, 2, 3, 4, 5, 6), (7, 8), (9,))
    assert area.area == 4 + 300


def test_ground_of_both_kinds_of_polygons_validates() -> None:
    footprints = chips(1, 19, 10, 5)
    areas = gpd.GeoDataFrame(
        {"split": ["train", "val"]}, geometry=[box(0, 0, 60, 10), box(40, 0, 100, 10)]
    )
    split, area = split_by_polygons(footprints, areas, "split")
    assert split.validation == tuple(range(8, 19))
    assert split.train == tuple(range(8))
    assert area.equals(box(40, 0, 100, 10))


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


def test_block_needs_a_crs() -> None:
    with pytest.raises(InvalidInputError, match="split='block' needs chips with a CRS"):
        split_pairs(5, 0.2, 0, None, method="block")
