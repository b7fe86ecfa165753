"""Each layer of a stack has its own scaling, and bands of validity have one of their own."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from geotranslate.chips.bands import Scaling, Side, Statistics, scaling_of
from geotranslate.chips.bands.scaling import ScalingKind, make_scaling
from geotranslate.errors import InvalidInputError
from geotranslate.interop.onnx.scalinglayers import scaling_layer, unscaling_layer
from geotranslate.interop.stacscaling import inverse, value_scaling
from geotranslate.metrics.errors import Units

KINDS = ("auto", "minmax", "percentile", "robust", "asinh", "zscore", "db", "none")
NAMES = ("s1:VV", "dem:1", "s1:VH", "s1:valid", "rgb:1")
LAYERS = {"s1": [0, 2], "dem": [1], "rgb": [4]}


def drawn(seed: int) -> tuple[NDArray[np.float32], Statistics]:
    """Return the values of the bands of `NAMES`, and their statistics."""
    chance = np.random.default_rng(seed)
    data = chance.gamma(2, 1, (len(NAMES), 30, 30)).astype(np.float32)
    data[1] = chance.normal(300, 200, (30, 30))
    data[3] = chance.integers(0, 2, (30, 30)) if seed % 2 else 1
    return data, Statistics.of(data, np.ones((30, 30), bool))


@given(
    st.dictionaries(st.sampled_from(["s1", "rgb"]), st.sampled_from(KINDS)),
    st.sampled_from([{}, {"dem": "robust"}, {"dem": "percentile"}]),
    st.integers(0, 9),
    st.sampled_from(["source", "target"]),
)
def test_each_layer_is_mapped_by_its_own_kind(
    kinds: dict[str, Any], heights: dict[str, Any], seed: int, name: str
) -> None:
    kinds = {**kinds, **heights}
    data, statistics = drawn(seed)
    scaling = scaling_of(name, kinds, statistics, "float32", NAMES, classes=False)
    assert Scaling.from_json(json.loads(json.dumps(scaling.to_json()))) == scaling
    scaled, levels = scaling.scale(data), np.random.default_rng(seed).uniform(-2, 2, data.shape)
    values = scaling.unscale(levels)
    for layer, bands in LAYERS.items():
        kind: ScalingKind = kinds.get(layer, "auto")
        of_layer = statistics.of_bands(bands)
        alone = make_scaling(kind, of_layer, "float32", target=name == "target")
        np.testing.assert_allclose(scaled[bands], alone.scale(data[bands]), rtol=1e-5, atol=1e-6)
        expected = alone.unscale(levels[bands])
        np.testing.assert_allclose(values[bands], expected, rtol=1e-4, atol=1e-4)
        for ends in ("low", "high"):
            got = [getattr(scaling, ends)[band] for band in bands]
            assert got == pytest.approx(getattr(alone, ends), rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(scaled[3], 2 * data[3] - 1, atol=1e-6)


def test_layers_that_are_scaled_alike_have_the_scaling_of_all() -> None:
    data, _ = drawn(0)
    statistics = Statistics.of(data[[0, 1, 2, 4]], np.ones((30, 30), bool))
    names = [name for name in NAMES if "valid" not in name]
    together = scaling_of("source", "asinh", statistics, "float32", names, classes=False)
    assert together == make_scaling("asinh", statistics, "float32")
    kinds: Any = dict.fromkeys(LAYERS, "asinh")
    assert scaling_of("source", kinds, statistics, "float32", names, classes=False) == together


def test_validity_fills_the_range_beside_bytes() -> None:
    data = np.random.default_rng(0).integers(0, 256, (2, 9, 9)).astype(np.uint8)
    data[1] = 1
    statistics = Statistics.of(data, np.ones((9, 9), bool))
    names = ("a:1", "a:valid")
    scaling = scaling_of("source", "auto", statistics, "uint8", names, classes=False)
    assert (scaling.low, scaling.high, scaling.bounded) == ((0, 0), (255, 1), True)


def test_other_forms_of_a_joined_scaling_map_the_same() -> None:
    data, statistics = drawn(1)
    kinds: Any = {"s1": "db", "dem": "asinh", "rgb": "percentile"}
    scaling = scaling_of("source", kinds, statistics, "float32", NAMES, classes=False)
    assert [floor is not None for floor in scaling.floors] == [True, False, True, False, False]
    levels = np.random.default_rng(2).uniform(-1, 1, (2, *data.shape)).astype(np.float32)
    values = scaling.unscale(levels)
    scaled = scaling_layer(scaling)(torch.from_numpy(values)).numpy()
    np.testing.assert_allclose(scaled, scaling.scale(values), atol=1e-5)
    found = unscaling_layer(scaling)(torch.from_numpy(levels)).numpy()
    np.testing.assert_allclose(found, values, rtol=1e-4, atol=1e-3)
    side = SimpleNamespace(
        scaling=scaling,
        dtype="float32",
        bands=5,
        limits=((0.0,) * 5, (1.0,) * 5),
    )
    measured = Units(cast("Side", side)).translation(torch.from_numpy(levels)).numpy()
    np.testing.assert_allclose(measured, values, rtol=1e-5, atol=1e-5)
    inner = np.clip(levels[0], scaling.levels[0], scaling.levels[-1])
    expression = eval(inverse(scaling)["expression"], {"numpy": np, "x": inner})
    np.testing.assert_allclose(expression, scaling.unscale(inner), rtol=1e-5, atol=1e-4)
    for band, entry in enumerate(value_scaling(scaling)):
        there = eval(entry["expression"], {"numpy": np, "x": values[0, band]})
        np.testing.assert_allclose(there, scaling.scale(values[0])[band], atol=1e-5)


@pytest.mark.parametrize(
    ("kinds", "names", "sentence"),
    [
        (
            {"s2": "db"},
            NAMES,
            "has the layer 's2', but .* layers s1, dem, rgb; give",
        ),
        (
            {"s1": "db"},
            ("a", "", "b", "c", "d"),
            "layer 's1', but the source has no layers",
        ),
        ({"dem": "db"}, NAMES, "bands dem:1 of the source: .*'db' is for .* band 1 has no"),
    ],
)
def test_wrong_layers_end_in_a_sentence(kinds: Any, names: Any, sentence: str) -> None:
    data, _ = drawn(0)
    data[1] = -np.abs(data[1])
    statistics = Statistics.of(data, np.ones((30, 30), bool))
    with pytest.raises(InvalidInputError, match=sentence):
        scaling_of("source", kinds, statistics, "float32", names, classes=False)
