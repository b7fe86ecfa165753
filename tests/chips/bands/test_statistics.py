from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotranslate.chips.bands.sample import Sample
from geotranslate.chips.bands.statistics import MOST_SAMPLED, Statistics
from geotranslate.errors import InvalidInputError
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


def measured(seed: int, count: int, bands: int = 2) -> list[Statistics]:
    chance = np.random.default_rng(seed)
    return [
        Statistics.of(chance.normal(size=(bands, 9, 7)), chance.random((9, 7)) > chance.random())
        for _ in range(count)
    ]


def assert_same(one: Statistics, other: Statistics) -> None:
    assert one.count == other.count
    for name in ("minimum", "maximum", "mean", "m2"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for band in range(len(one.mean)):
        np.testing.assert_array_equal(one.sample(band), other.sample(band))


@given(st.integers(0, 2**31), st.integers(0, 5))
def test_total_is_repeated_addition(seed: int, count: int) -> None:
    parts = measured(seed, count)
    assert_same(Statistics.total(iter(parts), 2), sum(parts, Statistics.empty(2)))


@given(st.integers(0, 2**31), st.integers(1, 3))
def test_statistics_survive_as_bytes_to_the_last_bit(seed: int, bands: int) -> None:
    for one in measured(seed, 2, bands):
        sample = one.samples[0] if one.samples else None
        assert sample is None or isinstance(sample, Sample)
        assert_same(Statistics.from_bytes(one.to_bytes(), sample), one)


@given(st.integers(0, 2**31), st.integers(1, 4))
def test_percentiles_of_few_pixels_are_numpys(seed: int, count: int) -> None:
    chance = np.random.default_rng(seed)
    data = chance.standard_cauchy((2, 15, 10 * count))
    valid = chance.random((15, 10 * count)) > 0.2
    parts = (Statistics.of(data[:, at], valid[at]) for at in (np.s_[:4], np.s_[4:]))
    qs = (0, 2, 50, 97.5, 100)
    found = Statistics.total(parts, 2).percentiles(qs)
    expected = np.percentile(data[:, valid], qs, axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(found[[0, -1]], expected[[0, -1]])


@pytest.mark.parametrize("width", [1021, 512, 64])
def test_percentiles_of_many_pixels_are_close_to_numpys(width: int) -> None:
    # Values that depend on the column alone: a sample of few columns would miss most of them.
    data = np.tile(np.random.default_rng(width).permutation(width).astype("float32"), (1, 300, 1))
    statistics = Statistics.of(data, np.ones((300, width), bool))
    assert statistics.sample(0).size <= 1024
    qs = (0, 2, 25, 50, 75, 98, 100)
    np.testing.assert_allclose(
        statistics.percentiles(qs)[:, 0], np.percentile(data, qs), atol=0.02 * width
    )


def test_percentiles_never_leave_the_values() -> None:
    # Neighbours in float64 that float32 cannot tell from others outside the range.
    data = np.array([16777217.0, 16777217.1]).reshape(1, 1, 2)
    statistics = Statistics.of(data, np.ones((1, 2), bool))
    found = statistics.percentiles((0, 1, 50, 99, 100))
    assert (found >= data.min()).all()
    assert (found <= data.max()).all()


def test_no_pixel_has_no_percentiles() -> None:
    with pytest.raises(InvalidInputError, match="no valid pixel to take percentiles of; give"):
        Statistics.empty(1).percentiles((50,))


@given(
    st.sampled_from(["uint8", "int8", "int16", "uint16", "float32"]),
    st.integers(0, 2**31),
    st.integers(1, 4),
)
def test_samples_are_kept_exactly(dtype: str, seed: int, bands: int) -> None:
    chance = np.random.default_rng(seed)
    data = chance.integers(0, 2**31, (bands, 8, 8), dtype=np.int64).astype(dtype)
    sample = Statistics.of(data, np.ones((8, 8), bool)).samples[0]
    assert isinstance(sample, Sample)
    assert sample.values.dtype == dtype
    np.testing.assert_array_equal(sample.values, np.sort(data.reshape(bands, -1), axis=1))


def test_sample_of_many_arrays_is_bounded_and_spread() -> None:
    one = Statistics.of(
        np.arange(500.0, dtype="float32").reshape(1, 1, 500), np.ones((1, 500), bool)
    )
    total = Statistics.total([one] * 20_000, 1)
    assert 0.9 * MOST_SAMPLED < total.sample(0).size <= MOST_SAMPLED
    np.testing.assert_allclose(total.percentiles((25, 50, 75))[:, 0], (125, 250, 375), atol=3)
