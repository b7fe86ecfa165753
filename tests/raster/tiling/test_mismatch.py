from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotranslate.raster.tiling.merge import Mismatch


def measured(apart: np.ndarray) -> Mismatch:
    found = Mismatch()
    zeros = np.zeros((1, 1, len(apart)), np.float32)
    found.add(zeros, apart.astype(np.float32)[None, None], np.ones((1, len(apart)), bool))
    return found


@given(st.lists(st.floats(0, 2**99, width=32), min_size=1), st.floats(0.01, 1))
def test_mean_and_percentile_are_those_of_numpy(values: list[float], share: float) -> None:
    apart = np.array(values)
    apart[apart < 1e-30] = 0
    found = measured(apart)
    assert found.count == len(apart)
    assert found.mean == pytest.approx(apart.mean(), rel=1e-6)
    expected = np.quantile(apart, share, method="inverted_cdf")
    assert found.percentile(share) == pytest.approx(expected, rel=0.016)


@given(st.lists(st.floats(0, 2**99, width=32), min_size=2), st.integers(1, 50))
def test_counted_in_pieces_it_is_the_same(values: list[float], cut: int) -> None:
    cut = min(cut, len(values) - 1)
    pieces = measured(np.array(values[:cut]))
    pieces.merge(measured(np.array(values[cut:])))
    once = measured(np.array(values))
    assert pieces.to_json() == once.to_json()
    assert pieces.mean == once.mean


@given(st.lists(st.floats(0, 2**99, width=32)))
def test_json_gives_it_back(values: list[float]) -> None:
    once = measured(np.array(values))
    again = Mismatch.from_json(json.loads(json.dumps(once.to_json())))
    np.testing.assert_array_equal(again.bins, once.bins)
    assert (again.mean, again.count) == (once.mean, once.count)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_none_do_not_count(bad: float) -> None:
    with np.errstate(invalid="ignore"):
        assert measured(np.array([1.0, bad])).mean == 1


def test_without_overlap_there_is_no_mismatch() -> None:
    assert Mismatch().mean is None
    assert Mismatch().percentile(0.5) is None


@given(st.lists(st.floats(0, width=32, allow_infinity=False), min_size=1))
def test_mean_is_exact(values: list[float]) -> None:
    """The smallest numbers have an exponent of their own."""
    assert measured(np.array(values)).mean == float(sum(map(Fraction, values)) / len(values))
