from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotranslate.chips.bands.histogram import Histogram


@given(st.sampled_from(["uint8", "int8", "uint16", "int16"]), st.integers(0, 2**31))
def test_counts_and_moments_are_those_of_the_values(dtype: str, seed: int) -> None:
    chance = np.random.default_rng(seed)
    limits = np.iinfo(dtype)
    low, high = np.sort(chance.integers(limits.min, limits.max + 1, 2))
    values = chance.integers(low, high + 1, chance.integers(1, 200)).astype(dtype)[:: 1 + seed % 2]
    found = Histogram.of(values)
    assert found is not None
    expected = np.unique(values, return_counts=True)
    np.testing.assert_array_equal(found.values, expected[0])
    np.testing.assert_array_equal(found.counts, expected[1])
    whole = [int(value) for value in values]
    mean = Fraction(sum(whole), len(whole))
    assert found.moments == (
        min(whole),
        max(whole),
        float(mean),
        float(sum((value - mean) ** 2 for value in whole)),
        min((value for value in whole if value > 0), default=float("inf")),
    )


@pytest.mark.parametrize("dtype", ["int32", "uint32", "float32", "float64", "int64"])
def test_other_values_are_not_counted(dtype: str) -> None:
    assert Histogram.of(np.ones(3, dtype)) is None
