from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geotranslate.chips.bands import Scaling, Statistics
from geotranslate.chips.bands.scaling import ScalingKind, make_scaling
from geotranslate.interop.onnx.scalinglayers import scaling_layer, unscaling_layer

KINDS = ("minmax", "percentile", "robust", "asinh", "zscore", "db", "none")


def made(kind: ScalingKind, seed: int, offset: float, spread: float) -> Scaling:
    values = np.random.default_rng(seed).gamma(2, spread, (2, 40, 40)) + offset
    statistics = Statistics.of(values.astype(np.float32), np.ones((40, 40), bool))
    return make_scaling(kind, statistics, "float32")


@given(
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 9),
    offset=st.sampled_from([0.0, 1.0, 1e5]),
    spread=st.sampled_from([0.01, 1.0, 1e4]),
)
def test_layers_compute_the_same_as_the_scaling(
    kind: ScalingKind, seed: int, offset: float, spread: float
) -> None:
    scaling = made(kind, seed, offset, spread)
    levels = np.random.default_rng(seed).uniform(-1.5, 1.5, (3, 2, 8, 8)).astype(np.float32)
    values = scaling.unscale(levels)
    wide = np.subtract(scaling.high, scaling.low)[:, None, None]
    found = unscaling_layer(scaling)(torch.from_numpy(levels)).numpy()
    assert (np.abs(found - values) <= 1e-5 * np.maximum(wide, np.abs(values))).all()
    expected = scaling.scale(values)
    scaled = scaling_layer(scaling)(torch.from_numpy(values)).numpy()
    assert np.abs(scaled - expected).max() < 1e-5


def test_a_large_offset_costs_no_digits() -> None:
    scaling = Scaling.linear([4_000_000.3], [4_000_001.3])
    values = np.linspace(4_000_000.5, 4_000_001.0, 3, dtype=np.float32)[None, None, None]
    scaled = scaling_layer(scaling)(torch.from_numpy(values)).numpy()
    assert scaled == pytest.approx(scaling.scale(values), abs=1e-6)
