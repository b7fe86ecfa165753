from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geotranslate.chips.bands.scaling import Scaling, ScalingKind, make_scaling
from geotranslate.chips.bands.statistics import Statistics
from geotranslate.metrics.errors import Units
from geotranslate.raster.dtypes import to_dtype
from tests.conftest import values
from tests.metrics.cases import side

DTYPES = ["uint8", "int8", "uint16", "int16", "float32"]


def scaling_of(data: np.ndarray, kind: ScalingKind) -> Scaling:
    known = Statistics.of(data, np.ones(data.shape[1:], bool))
    return make_scaling(kind, known, str(data.dtype))


@pytest.mark.parametrize("kind", ["auto", "minmax", "zscore", "db"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_translations_are_those_of_the_numpy_scaling(dtype: str, kind: ScalingKind) -> None:
    data = values((2, 40, 40), dtype)
    known = side(2, dtype, scaling=scaling_of(data, kind))
    scaled = np.random.default_rng(1).uniform(-1.2, 1.2, (3, 2, 40, 40)).astype(np.float32)
    expected = to_dtype(known.scaling.unscale(scaled), dtype).astype(float)
    found = Units(known).translation(torch.from_numpy(scaled)).numpy()
    step = 1 if np.issubdtype(dtype, np.integer) else 0
    assert (found == expected).mean() > 0.999 or dtype == "float32"
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=step)


@given(
    dtype=st.sampled_from(["uint8", "int8", "uint16", "int16"]),
    kind=st.sampled_from(["auto", "minmax", "dtype", "percentile"]),
    seed=st.integers(0, 99),
    power=st.sampled_from([1.0, 0.2, 5.0]),
)
def test_whole_numbers_of_the_target_come_back_whole(
    dtype: str, kind: ScalingKind, seed: int, power: float
) -> None:
    limits = np.iinfo(dtype)
    share = np.random.default_rng(seed).random((1, 30, 30)) ** power
    data = np.rint(limits.min + share * (limits.max - limits.min)).astype(dtype)
    scaling = scaling_of(data, kind)
    truth = Units(side(1, dtype, scaling=scaling)).truth(
        torch.from_numpy(scaling.scale(data)[None])
    )
    np.testing.assert_array_equal(truth[0].numpy(), data)


def test_fractions_and_gaps_of_the_target_are_kept() -> None:
    known = side(1)
    given = np.array([[[10.5, np.nan, 3.25]]])
    truth = Units(known).truth(torch.from_numpy(known.scaling.scale(given)))
    np.testing.assert_allclose(truth.numpy(), given, atol=1e-5)


def test_range_is_255_for_bytes_else_that_of_the_scaling() -> None:
    narrow = Scaling.linear([10, 20], [60, 40])
    assert Units(side(2, "uint8", scaling=narrow)).ranges == (255, 255)
    assert Units(side(2, "int16", scaling=narrow)).ranges == (50, 20)
