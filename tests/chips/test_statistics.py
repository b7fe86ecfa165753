from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotranslate.chips.statistics import Scaling, Statistics
from tests.conftest import values


@given(st.integers(0, 2**31), st.integers(0, 39))
def test_statistics_merge_to_those_of_all_pixels(seed: int, cut: int) -> None:
    chance = np.random.default_rng(seed)
    data = (chance.normal(size=(3, 40, 20)) * 10 + 1e6).astype("float32")
    valid = chance.random((40, 20)) > 0.3
    parts = [Statistics.of(data[:, at], valid[at]) for at in (np.s_[:cut], np.s_[cut:])]
    found = parts[0] + parts[1]
    pixels = data[:, valid].astype("float64")
    assert found.count == pixels.shape[1]
    np.testing.assert_allclose(found.mean, pixels.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.std, pixels.std(axis=1), rtol=1e-9)
    np.testing.assert_array_equal(found.minimum, pixels.min(axis=1))
    np.testing.assert_array_equal(found.maximum, pixels.max(axis=1))


def test_no_pixel_adds_nothing() -> None:
    some = Statistics.of(values((2, 5, 5), "int16"), np.ones((5, 5), bool))
    for total in (some + Statistics.empty(2), Statistics.empty(2) + some):
        assert total.count == some.count
        np.testing.assert_array_equal(total.mean, some.mean)
        np.testing.assert_array_equal(total.m2, some.m2)
        np.testing.assert_array_equal(total.minimum, some.minimum)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32"])
def test_scaling_maps_training_values_into_range_and_back(dtype: str) -> None:
    data = values((3, 50, 60), dtype)
    scaling = Scaling.for_side(Statistics.of(data, np.ones((50, 60), bool)), dtype)
    scaled = scaling.scale(data)
    assert scaled.dtype == np.float32
    assert -1 - 1e-6 <= scaled.min() <= scaled.max() <= 1 + 1e-6
    back = scaling.unscale(scaled)
    if np.issubdtype(dtype, np.integer):
        np.testing.assert_array_equal(np.rint(back), data)
    else:
        np.testing.assert_allclose(back, data, atol=1e-6 * np.abs(data).max())


def test_bytes_are_scaled_by_their_whole_range() -> None:
    data = np.full((1, 2, 2), 100, "uint8")
    scaling = Scaling.for_side(Statistics.of(data, np.ones((2, 2), bool)), "uint8")
    assert (scaling.low, scaling.high) == ((0.0,), (255.0,))


def test_every_band_has_its_own_range_and_batches_are_scaled_alike() -> None:
    scaling = Scaling((0.0, -10.0), (1.0, 30.0))
    data = np.stack([np.full((2, 2), 1.0), np.full((2, 2), 10.0)])
    np.testing.assert_allclose(scaling.scale(data)[:, 0, 0], (1, 0))
    np.testing.assert_array_equal(scaling.scale(data[None])[0], scaling.scale(data))


def test_constant_band_keeps_its_value() -> None:
    scaling = Scaling((7.0,), (7.0,))
    assert scaling.scale(np.full((1, 1, 1), 7.0)) == 0
    assert scaling.unscale(np.zeros((1, 1, 1))) == 7


def test_nan_stays_nan() -> None:
    assert np.isnan(Scaling((0.0,), (1.0,)).scale(np.full((1, 1, 1), np.nan))).all()
