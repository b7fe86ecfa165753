from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import box

from geotranslate import prepare_data
from geotranslate.chips.split.folds import areas, split_fold
from geotranslate.errors import InvalidInputError

WriteChips = Callable[..., Path]


@given(
    count=st.integers(2, 60),
    folds=st.integers(2, 12),
    method=st.sampled_from(["auto", "random", "block"]),
    step=st.sampled_from([5, 10, 20]),
    seed=st.integers(0, 5),
)
def test_each_chip_validates_in_one_fold(
    count: int, folds: int, method: str, step: int, seed: int
) -> None:
    across = int(np.ceil(count**0.5))
    places = [(step * (i % across), step * (i // across)) for i in range(count)]
    outlines = [box(x, y, x + 10, y + 10) for x, y in places]
    if count < folds:
        with pytest.raises(InvalidInputError, match=rf"folds is {folds}, but there are {count} "):
            split_fold(count, (0, folds), seed, outlines, method=method, noun="pair")
        return
    splits = [
        split_fold(count, (fold, folds), seed, outlines, method=method, noun="pair")
        for fold in range(folds)
    ]
    assert sorted(i for split in splits for i in split.validation) == list(range(count))
    sizes = [len(split.validation) for split in splits]
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 2
    for split in splits:
        assert sorted((*split.train, *split.validation)) == list(range(count))


def test_areas_are_compact() -> None:
    points = np.array([(x, y) for x in range(12) for y in range(12)], float)
    for folds in (2, 4, 6):
        for area in areas(points, folds):
            extent = np.ptp(points[area], axis=0) + 1
            assert extent.prod() == len(area)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"folds": 5}, "folds is 5 and fold is None; give both"),
        ({"fold": 0}, "folds is None and fold is 0; give both"),
        ({"folds": 1, "fold": 0}, "folds is 1; give a whole number of at least 2"),
        ({"folds": 3, "fold": 3}, "fold is 3; give a whole number of at least 0 and at most 2"),
        ({"folds": 9, "fold": 0}, "folds is 9, but there are 4 pairs"),
        ({"folds": 2, "fold": 0, "split": "folder"}, "folds is 2, but split is 'folder', which"),
        ({"folds": "all", "fold": 0}, "folds is 'all'; give a whole number"),
    ],
)
def test_impossible_folds_are_said(
    write_chips: WriteChips, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidInputError, match=said):
        prepare_data(write_chips(count=4), **options)


def test_folds_of_chips_share_no_validation(write_chips: WriteChips) -> None:
    folder = write_chips(count=6)
    found = [prepare_data(folder, folds=3, fold=fold).card for fold in range(3)]
    names = [name for card in found for name in card.validation_pairs]
    assert sorted(names) == sorted({*found[0].train_pairs, *found[0].validation_pairs})
