from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from geotranslate.chips.bands.scaling import Scaling, ScalingKind, make_scaling
from geotranslate.chips.bands.statistics import Statistics
from geotranslate.errors import InvalidInputError

DTYPES = ["uint8", "int16", "uint16", "int32", "float32", "float64"]
MEASURED: list[ScalingKind] = ["minmax", "percentile", "robust", "asinh", "zscore", "db"]
UNBOUNDED: tuple[ScalingKind, ...] = ("robust", "asinh", "zscore")

Draw = Callable[[np.random.Generator, int], NDArray[Any]]
DRAWS: dict[str, Draw] = {
    "even": lambda chance, size: chance.random(size),
    "bell": lambda chance, size: chance.normal(size=size),
    "long tails": lambda chance, size: chance.standard_cauchy(size) * 10 ** chance.uniform(-5, 8),
    "speckle": lambda chance, size: chance.exponential(size=size) ** 5,
    "one value": lambda chance, size: np.full(size, chance.normal() * 1e6),
    "zero": lambda chance, size: np.zeros(size),
    "few values": lambda chance, size: chance.integers(-1, 3, size) * 50.0,
    "mostly one": lambda chance, size: np.where(chance.random(size) < 0.01, 9e6, -3.0),
    "a few outliers": lambda chance, size: np.where(
        chance.random(size) < 0.01, -3e30, chance.random(size)
    ),
    "neighbours": lambda chance, size: 1e6 + chance.integers(0, 2, size) / 16,
}


def drawn(name: str, dtype: str, seed: int, size: int) -> NDArray[Any]:
    """Return `(1, 1, size)` values of a dtype, spread over its range where it has one."""
    data = DRAWS[name](np.random.default_rng(seed), size).reshape(1, 1, size)
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        data = np.rint(data * min(limits.max, 10_000)).clip(limits.min, limits.max)
    return data.astype(dtype)


def statistics_of(data: NDArray[Any]) -> Statistics:
    return Statistics.of(data, np.isfinite(data).all(axis=0))


cases = given(
    name=st.sampled_from(sorted(DRAWS)),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 2**31),
    size=st.sampled_from([1, 2, 3, 50, 1000]),
)


@pytest.mark.parametrize("kind", ["auto", "dtype", *MEASURED])
@cases
def test_training_values_come_back(
    kind: ScalingKind, name: str, dtype: str, seed: int, size: int
) -> None:
    data = drawn(name, dtype, seed, size)
    if (kind == "dtype" and "float" in dtype) or (kind == "db" and data.max() <= 0):
        return
    scaling = make_scaling(kind, statistics_of(data), dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scaled = scaling.scale(data)
        back = scaling.unscale(scaled)
    assert scaled.dtype == back.dtype == np.float32
    order = data[0, 0].argsort()
    assert (np.diff(scaled[0, 0, order]) >= 0).all()
    if scaling.bounded and kind != "db":
        assert abs(scaled).max() <= 1
    if scaling.floor is not None:
        data = np.maximum(data, scaling.floor[0])
    if np.issubdtype(dtype, np.integer) and np.iinfo(dtype).bits <= 16:
        np.testing.assert_array_equal(np.rint(back), data)
    elif kind == "db":
        np.testing.assert_allclose(back, data, rtol=2e-5)
    else:
        room = np.subtract(scaling.high, scaling.low)[0]
        np.testing.assert_allclose(back, data, rtol=1e-6, atol=1e-6 * room)


@cases
def test_kinds_map_their_range_to_the_whole(name: str, dtype: str, seed: int, size: int) -> None:
    data = drawn(name, dtype, seed, size)
    for kind in get_args(ScalingKind):
        if (kind == "dtype" and "float" in dtype) or (kind == "db" and data.max() <= 0):
            continue
        scaling = make_scaling(kind, statistics_of(data), dtype)
        if scaling.floor and data.max() <= scaling.floor[0]:
            continue  # one value, and what lies below it is raised to it
        ends = np.array([scaling.low[0], scaling.high[0]]).reshape(1, 1, 2)
        np.testing.assert_allclose(scaling.scale(ends)[0, 0], (-1, 1), atol=1e-5)
        back = scaling.unscale(np.array([[[-1.0, 1.0]]]))
        np.testing.assert_allclose(back, ends, rtol=1e-6, atol=1e-7 * np.ptp(ends))
        if kind in ("minmax", "percentile") and data.min() < data.max():
            assert (scaling.low, scaling.high) == ((data.min(),), (data.max(),))


@given(st.integers(0, 2**31), st.sampled_from(MEASURED))
def test_values_beyond_the_training_range_are_not_clipped(seed: int, kind: ScalingKind) -> None:
    data = np.random.default_rng(seed).standard_cauchy((1, 30, 30)) ** 2 + 0.1
    scaling = make_scaling(kind, statistics_of(data), "float32")
    high = scaling.high[0]
    beyond = np.array([[[high, 1.5 * high, 2 * high, 4 * high]]])
    scaled = scaling.scale(beyond)
    assert (np.diff(scaled[0, 0]) > 0).all()
    np.testing.assert_allclose(scaling.unscale(scaled), beyond, rtol=2e-5)
    # They never run away: the outer pieces are no steeper than the middle.
    assert scaled.max() < 1 + 2 * 4 * high / (high - scaling.low[0]) or kind == "db"


@given(st.integers(0, 2**31), st.floats(1e2, 1e30))
def test_outliers_do_not_squeeze_the_others(seed: int, far: float) -> None:
    data = np.random.default_rng(seed).normal(size=(1, 22, 22)).astype("float32")
    data[0, 0, :3] = far, -far, 3 * far
    scaling = make_scaling("percentile", statistics_of(data), "float32")
    marks = np.percentile(data, (2, 98))
    np.testing.assert_allclose(scaling.scale(marks.reshape(1, 1, 2))[0, 0], (-0.9, 0.9), atol=1e-5)
    inner = data[(data >= marks[0]) & (data <= marks[1])].reshape(1, 1, -1)
    np.testing.assert_allclose(scaling.unscale(scaling.scale(inner)), inner, atol=2e-6)


def test_data_without_tails_are_scaled_by_their_range() -> None:
    data = np.linspace(-5, 20, 1000).reshape(1, 10, 100)
    robust, plain = (
        make_scaling(kind, statistics_of(data), "float32") for kind in ("percentile", "minmax")
    )
    np.testing.assert_allclose(robust.scale(data), plain.scale(data), atol=1e-6)


def test_three_standard_deviations_fill_the_whole() -> None:
    data = np.random.default_rng(0).normal(5, 2, (1, 50, 50))
    scaling = make_scaling("zscore", statistics_of(data), "float64")
    np.testing.assert_allclose(
        scaling.scale(data), (data - data.mean()) / (3 * data.std()), atol=1e-6
    )


def test_power_is_scaled_in_decibels() -> None:
    data = 10 ** np.linspace(-3, 1, 1000).reshape(1, 10, 100)
    scaling = make_scaling("db", statistics_of(data), "float32")
    np.testing.assert_allclose(scaling.scale(data)[0].ravel(), np.linspace(-1, 1, 1000), atol=1e-5)


def test_power_without_logarithm_becomes_the_smallest_positive_value() -> None:
    data = np.array([[[-1.0, 0.0, 0.0, 0.5, 2.0, 8.0, np.nan]]])
    scaling = make_scaling("db", statistics_of(data), "float32")
    assert scaling.floor == (0.5,)
    back = scaling.unscale(scaling.scale(data))[0, 0]
    np.testing.assert_allclose(back, (0.5, 0.5, 0.5, 0.5, 2, 8, np.nan), rtol=1e-6)
    assert scaling.low == pytest.approx((0.5,))
    assert scaling.high == pytest.approx((8,))


@pytest.mark.parametrize(
    ("dtype", "low", "high"), [("uint8", 0, 255), ("int16", -32768, 32767), ("uint16", 0, 65535)]
)
def test_dtype_is_the_whole_range(dtype: str, low: int, high: int) -> None:
    scaling = make_scaling("dtype", Statistics.empty(2), dtype)
    assert (scaling.low, scaling.high) == ((low, low), (high, high))


def test_auto_is_the_dtype_for_bytes_and_else_about_the_median() -> None:
    statistics = statistics_of(np.random.default_rng(0).exponential(9, (2, 20, 20)))
    kinds = {False: "asinh", True: "robust"}
    for dtype in ("uint8", "uint16", "float32"):
        for target, about in kinds.items():
            kind: ScalingKind = "dtype" if dtype == "uint8" else about  # type: ignore[assignment]
            found = make_scaling("auto", statistics, dtype, target=target)
            assert found == make_scaling(kind, statistics, dtype)


def test_none_changes_nothing() -> None:
    data = np.random.default_rng(0).uniform(-2, 2, (3, 4, 4)).astype("float32")
    scaling = make_scaling("none", Statistics.empty(3), "float32")
    np.testing.assert_array_equal(scaling.scale(data), data)
    np.testing.assert_array_equal(scaling.unscale(data), data)


@given(st.integers(0, 2**31), st.sampled_from(MEASURED))
def test_bands_are_apart_batches_alike_and_nan_stays(seed: int, kind: ScalingKind) -> None:
    chance = np.random.default_rng(seed)
    data = np.stack(
        [chance.normal(size=(9, 9)), chance.exponential(1e6, (9, 9)), np.full((9, 9), 7.0)]
    )
    both = make_scaling(kind, statistics_of(data), "float32")
    alone = [make_scaling(kind, statistics_of(band[None]), "float32") for band in data]
    data[:, chance.random((9, 9)) > 0.8] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scaled = both.scale(data)
        expected = np.concatenate(
            [scaling.scale(band[None]) for scaling, band in zip(alone, data, strict=True)]
        )
        back = both.unscale(scaled)
    np.testing.assert_array_equal(scaled, expected)
    np.testing.assert_array_equal(np.isnan(scaled), np.isnan(data))
    np.testing.assert_array_equal(np.isnan(back), np.isnan(data))
    np.testing.assert_array_equal(both.scale(np.stack([data, data]))[1], scaled)
    np.testing.assert_array_equal(both.unscale(np.stack([scaled, scaled]))[1], back)
    assert abs(scaled[2][np.isfinite(scaled[2])]).max() < 1e-6


@cases
def test_scaling_survives_strict_json(name: str, dtype: str, seed: int, size: int) -> None:
    data = drawn(name, dtype, seed, size)
    for kind in get_args(ScalingKind):
        if (kind == "dtype" and "float" in dtype) or (kind == "db" and data.max() <= 0):
            continue
        scaling = make_scaling(kind, statistics_of(data), dtype)
        text = json.dumps(scaling.to_json(), allow_nan=False)
        assert Scaling.from_json(json.loads(text)) == scaling


@pytest.mark.parametrize(
    ("kind", "dtype", "value", "sentence"),
    [
        ("log", "uint8", 1, "There is no scaling 'log'; choose one of auto, dtype, minmax, .*none"),
        ("dtype", "float32", 1, "the chips are float32, .* choose 'percentile' or 'minmax'"),
        ("db", "float32", -4, r"band 1 has no positive value \(its maximum is -4\).*decibels"),
        ("percentile", "int16", np.nan, "no valid pixel to choose the scaling 'percentile' from"),
    ],
)
def test_impossible_kinds_are_said(kind: Any, dtype: str, value: float, sentence: str) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        make_scaling(kind, statistics_of(np.full((1, 2, 2), float(value))), dtype)


@pytest.mark.parametrize("shape", [(3, 4, 4), (1, 4, 4), (4, 4)])
def test_array_with_other_bands_is_refused(shape: tuple[int, ...]) -> None:
    scaling = Scaling.linear((0, 0), (1, 1))
    for change in (scaling.scale, scaling.unscale):
        with pytest.raises(InvalidInputError, match=r"shape .* with 2 bands; give those"):
            change(np.zeros(shape))


@pytest.mark.parametrize(
    ("knots", "levels", "floor"),
    [
        (((0.0, 0.0),), (-1.0, 1.0), None),
        (((0.0, np.nan),), (-1.0, 1.0), None),
        (((0.0, np.inf),), (-1.0, 1.0), None),
        (((0.0, 1.0, 2.0),), (-1.0, 1.0), None),
        (((0.0, 1.0),), (1.0, -1.0), None),
        (((0.0, 1.0),), (-1.0, 1.0), (0.0,)),
        (((0.0, 1.0),), (-1.0, 1.0), (1.0, 1.0)),
    ],
)
def test_numbers_that_are_no_scaling_are_refused(knots: Any, levels: Any, floor: Any) -> None:
    with pytest.raises(InvalidInputError, match="every band needs as many increasing, finite"):
        Scaling(knots, levels, floor)


def test_every_positive_value_comes_back_from_decibels_beside_zeros() -> None:
    data = np.random.default_rng(0).exponential(size=(1, 200, 200))
    data[0, 0, 0], data[0, 0, 1] = 0, 1e-3
    statistics = Statistics.of(data, np.ones((200, 200), bool))
    scaling = make_scaling("db", statistics, "float64")
    positive = data > 0
    back = scaling.unscale(scaling.scale(data))
    np.testing.assert_allclose(back[positive], data[positive], rtol=1e-4)


@cases
def test_equal_errors_in_units_weigh_alike_by_the_scaling_of_targets(
    name: str, dtype: str, seed: int, size: int
) -> None:
    scaling = make_scaling("robust", statistics_of(drawn(name, dtype, seed, size)), dtype)
    assert not scaling.bounded
    assert len(scaling.levels) == 2  # one line


@given(st.integers(0, 2**31), st.floats(1e-6, 1e6), st.floats(-100, 100))
def test_deviations_from_the_median_decide_on_the_scale(
    seed: int, factor: float, shift: float
) -> None:
    values = np.random.default_rng(seed).normal(size=(1, 20, 25))
    # The sample is float32, which tells values apart that are near to what they deviate from.
    data = (values + shift) * factor
    for kind in ("robust", "asinh"):
        one, other = (make_scaling(kind, statistics_of(x), "float64") for x in (values, data))
        np.testing.assert_allclose(one.scale(values), other.scale(data), atol=1e-2)
        middle = np.median(data).reshape(1, 1, 1)
        np.testing.assert_allclose(other.scale(middle), 0, atol=1e-2)


def test_the_tails_of_sources_grow_by_their_logarithm() -> None:
    data = np.random.default_rng(0).normal(size=(1, 22, 22)).astype("float32")
    scaling = make_scaling("asinh", statistics_of(data), "float32")
    far = np.array([[[8.0, 16.0, 24.0]]]) * np.abs(data - np.median(data)).mean()
    steps = np.diff(scaling.scale(np.median(data) + far)[0, 0])
    assert steps[0] == pytest.approx(np.log(2) / np.arcsinh(4), rel=0.02)
    assert steps[1] < steps[0]


@pytest.mark.parametrize("kind", ["robust", "asinh"])
def test_a_few_huge_values_do_not_squeeze_the_others(kind: ScalingKind) -> None:
    data = np.random.default_rng(0).normal(size=(1, 22, 22)).astype("float32")
    clean = make_scaling(kind, statistics_of(data), "float32")
    data[0, 0, 0] = 1e30
    spoiled = make_scaling(kind, statistics_of(data), "float32")
    np.testing.assert_allclose(clean.low + clean.high, spoiled.low + spoiled.high, rtol=0.05)
    np.testing.assert_allclose(spoiled.unscale(spoiled.scale(data)), data, rtol=1e-5, atol=1e-5)
