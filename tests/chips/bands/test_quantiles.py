"""Quantiles describe bands, and map the values of one raster to those of another."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotranslate.chips.bands.quantiles import LEVELS, QuantileMap, Quantiles, sample_scene
from geotranslate.errors import InvalidInputError
from geotranslate.raster.reader import RasterReader
from tests.conftest import WriteRaster, values


def sample(pixels: int = 4000, bands: int = 2) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).normal(100, 20, (bands, pixels))


def of(data: np.ndarray[Any, Any]) -> Quantiles:
    found = Quantiles.of(data)
    assert found is not None
    return found


@given(
    gain=st.floats(0.2, 5),
    offset=st.floats(-500, 500),
    power=st.floats(0.5, 2),
    seed=st.integers(0, 9),
)
def test_recolored_values_are_mapped_back(
    gain: float, offset: float, power: float, seed: int
) -> None:
    data = np.random.default_rng(seed).uniform(20, 200, (2, 60, 60))
    other = gain * (data / 200) ** power * 200 + offset
    found = QuantileMap.of(of(other.reshape(2, -1)).array, of(data.reshape(2, -1)).array)(other)
    assert np.abs(found - data).mean() < 1
    assert (np.diff(np.sort(found, axis=None)) >= 0).all()


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.integers(0, 3))
def test_a_map_increases_and_takes_any_values(given_values: list[float], seed: int) -> None:
    one = of(np.array([given_values]))
    other = of(np.random.default_rng(seed).normal(size=(1, 50)))
    turn = QuantileMap.of(one.array, other.array)
    line = np.linspace(-2e6, 2e6, 500)[None, None]
    found = turn(line)
    assert np.isfinite(found).all()
    assert (np.diff(found[0, 0]) >= 0).all()
    np.testing.assert_array_equal(np.isnan(turn(np.full((1, 1, 2), np.nan))), True)


def test_the_inverse_is_what_the_map_takes_there() -> None:
    data = sample()
    turn = QuantileMap.of(of(data).array, of(data * 3 + 7).array)
    assert turn.inverse((307.0, 250.0)) == pytest.approx((100, 81), abs=1)
    mapped = turn(np.array(turn.inverse((307.0, 250.0)))[:, None, None])
    assert mapped.ravel() == pytest.approx((307, 250), abs=1e-3)


@given(st.floats(-3, 3), st.floats(1e-3, 1e3))
def test_distance_counts_deviations_in_any_unit(shift: float, unit: float) -> None:
    data = sample(bands=1)
    known = of(data * unit)
    other = of((data + shift * data.std()) * unit)
    assert known.distances(known) == (0,)
    # The outermost quantiles are inside of the extremes, so the deviation is a bit smaller.
    assert known.distances(other)[0] == pytest.approx(abs(shift), rel=0.05, abs=1e-3)


def test_a_constant_band_is_near_itself_alone() -> None:
    flat = of(np.full((1, 9), 7.0))
    assert flat.distances(flat) == (0,)
    assert flat.distances(of(np.full((1, 9), 8.0)))[0] > 1000


def test_json_brings_them_back() -> None:
    found = of(sample())
    again = Quantiles.from_json(json.loads(json.dumps(found.to_json())))
    assert again == found
    assert found.array.shape == (2, len(LEVELS))
    assert Quantiles.of(np.empty((3, 0))) is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"values": []}, "has 0 values; give at least 1"),
        ({"values": [[1.0] * 64]}, "has 64 values; give 65"),
        ({"values": [[*range(64, -1, -1)]]}, "band 1 are not 65 numbers in increasing order"),
        ({"values": [["x"] * 65]}, "give a finite number"),
        ({"count": 0}, "count is 0; give a whole number of at least 1"),
    ],
)
def test_damaged_quantiles_are_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        Quantiles.from_json(of(sample()).to_json() | changed)


@pytest.mark.parametrize("size", [(1, 1), (64, 10), (65, 500), (400, 300)])
def test_a_scene_is_sampled_all_over_and_without_gaps(
    write_raster: WriteRaster, size: tuple[int, int]
) -> None:
    data = values((2, *size), "uint8", 1).astype("float32")
    data[:, : size[0] // 2] = np.nan
    with RasterReader(write_raster("s.tif", data)) as source:
        found, again = sample_scene(source), sample_scene(source)
    np.testing.assert_array_equal(found, again)
    assert np.isfinite(found).all()
    assert 0 < found.shape[1] <= 36 * 64**2
