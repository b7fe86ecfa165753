from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotranslate.raster.dtypes import DTYPES, avoid_value, fits, to_dtype
from tests.conftest import values

INTEGERS = [dtype for dtype in DTYPES if "int" in dtype]


@given(st.sampled_from(INTEGERS), st.floats(allow_nan=False, width=32))
def test_integers_are_rounded_half_to_even_and_clipped(dtype: str, value: float) -> None:
    limits = np.iinfo(dtype)
    expected = min(max(round(value) if np.isfinite(value) else value, limits.min), limits.max)
    given = np.array([value], np.float32)
    found = to_dtype(given, dtype)
    assert found.dtype == dtype
    assert int(found[0]) == expected
    assert given[0] == np.float32(value)


def test_halves_are_rounded_to_even() -> None:
    halves = np.arange(-3.5, 4, 1, np.float32)
    assert to_dtype(halves, "int16").tolist() == [-4, -2, -2, 0, 0, 2, 2, 4]
    assert to_dtype(halves, "int32").tolist() == [-4, -2, -2, 0, 0, 2, 2, 4]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floats_stay_what_they_are(dtype: str) -> None:
    given = np.array([0.1, -np.inf, np.nan, 1e38], np.float32)
    found = to_dtype(given, dtype)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, given)


@given(st.sampled_from(DTYPES), st.data())
def test_avoided_value_moves_to_a_neighbor_and_others_stay(dtype: str, data: st.DataObject) -> None:
    array = values((50,), dtype, data.draw(st.integers(0, 999)))
    value = array[data.draw(st.integers(0, 49))]
    moved = avoid_value(array, float(value))
    assert moved.dtype == dtype
    assert (moved != value).all()
    np.testing.assert_array_equal(moved[array != value], array[array != value])
    if np.issubdtype(dtype, np.integer):
        assert abs(int(moved[array == value][0]) - int(value)) == 1


@given(st.sampled_from(INTEGERS), st.integers(-(2**33), 2**33))
def test_integers_fit_within_their_range(dtype: str, value: int) -> None:
    assert fits(value, dtype) == (np.iinfo(dtype).min <= value <= np.iinfo(dtype).max)
    assert not fits(value + 0.5, dtype)


def test_what_a_float_cannot_hold_does_not_fit() -> None:
    assert fits(float("nan"), "float32") and fits(-3.4028234663852886e38, "float32")
    assert not fits(1e39, "float32")
    assert fits(1e39, "float64")
    assert not fits(float("nan"), "uint8") and not fits(float("inf"), "int32")
