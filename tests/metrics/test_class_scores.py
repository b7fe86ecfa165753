from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    jaccard_score,
    precision_recall_fscore_support,
)

from geotranslate.metrics.class_scores import SCORES, ClassAgreement

CODES = (1, 2, 5, 9, 40)


def measured(
    prediction: np.ndarray, target: np.ndarray, palette: object = [(code,) for code in CODES]
) -> ClassAgreement:
    agreement = ClassAgreement(palette)
    pair = (torch.from_numpy(each.astype(float)) for each in (prediction, target))
    agreement.add(*pair, torch.ones(len(target), 1, *target.shape[2:], dtype=torch.bool))
    return agreement


@given(
    seed=st.integers(0, 9999),
    occurring=st.sets(st.sampled_from(CODES), min_size=1),
    wrong=st.sampled_from([0.0, 0.1, 1.0]),
    size=st.integers(1, 20),
)
def test_scores_are_those_of_scikit_learn(
    seed: int, occurring: set[int], wrong: float, size: int
) -> None:
    chance = np.random.default_rng(seed)
    target = chance.choice(sorted(occurring), (2, 1, size, size))
    other = chance.choice(CODES, target.shape)
    prediction = np.where(chance.random(target.shape) < wrong, other, target)
    agreement = measured(prediction, target)
    flat = target.ravel(), prediction.ravel()
    np.testing.assert_array_equal(agreement.confusion, confusion_matrix(*flat, labels=CODES))
    macro = precision_recall_fscore_support(*flat, average="macro", zero_division=0)
    expected = {
        "accuracy": accuracy_score(*flat),
        **dict(zip(("precision", "recall", "f1"), macro[:3], strict=True)),
        "iou": jaccard_score(*flat, average="macro", zero_division=0),
    }
    assert agreement.overall() == pytest.approx(expected, abs=1e-9)
    single = precision_recall_fscore_support(*flat, labels=CODES, zero_division=0)
    for place, (label, found) in enumerate(agreement.per_class().items()):
        assert label == str(CODES[place])
        assert found["count"] == single[3][place]
        if CODES[place] in {*flat[0], *flat[1]}:
            for row, name in enumerate(("precision", "recall", "f1")):
                assert found[name] == pytest.approx(single[row][place], abs=1e-9)
        else:
            assert all(math.isnan(found[name]) for name in SCORES)


@given(seed=st.integers(0, 9999), bands=st.integers(1, 4))
def test_values_belong_to_the_nearest_class(seed: int, bands: int) -> None:
    chance = np.random.default_rng(seed)
    palette = chance.integers(0, 255, (6, bands)).astype(float)
    values = chance.integers(0, 255, (1, bands, 9, 9)).astype(float)
    away = ((values[:, None] - palette[None, :, :, None, None]) ** 2).sum(2)
    nearest = away.argmin(1)[:, None]
    target = np.moveaxis(palette[nearest[:, 0]], -1, 1)
    expected = ClassAgreement(palette.tolist())
    found = measured(values, target, palette.tolist())
    assert found.confusion.trace() == found.confusion.sum() or len(np.unique(palette, axis=0)) < 6
    assert expected.confusion.sum() == 0
    np.testing.assert_array_equal(
        found.confusion, measured(target, values, palette.tolist()).confusion.T
    )


def test_of_two_classes_as_near_it_is_the_first() -> None:
    half = measured(np.full((1, 1, 1, 1), 1.5), np.full((1, 1, 1, 1), 2))
    assert half.confusion[1].tolist() == [1, 0, 0, 0, 0]


def test_nothing_compared_is_not_a_number() -> None:
    agreement = ClassAgreement([(0,), (1,)])
    assert all(math.isnan(value) for value in agreement.overall().values())
    assert agreement.confusion.tolist() == [[0, 0], [0, 0]]
