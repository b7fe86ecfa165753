from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geotranslate.chips.bands import Scaling, Side
from geotranslate.interop.deepness.deepnesslayers import (
    Counts,
    SourceValues,
    byte_range,
    keeps_values,
)
from geotranslate.raster.bandfacts import to_dtype

DB = Scaling(((-30.0, 0.0),), floor=(1e-4,))
KNOTS = Scaling(((0.0, 100.0, 4000.0, 65535.0),), levels=(-1.0, -0.9, 0.9, 1.0))


def a_side(dtype: str, scaling: Scaling, nodata: float | None = None, **more: Any) -> Side:
    bands = len(scaling.knots)
    return Side(
        bands=bands,
        dtype=dtype,
        nodata=nodata,
        band_names=("",) * bands,
        indexes=tuple(range(1, bands + 1)),
        file_bands=bands,
        classes=None,
        mean=tuple(
            float(np.mean(low_high)) for low_high in zip(scaling.low, scaling.high, strict=True)
        ),
        scaling=scaling,
        **more,
    )


def as_deepness(values: Any) -> torch.Tensor:
    """Return values of a layer as a network gets them, with mean 0 and deviation 1/255."""
    share = np.float32(np.asarray(values) * 1.0 / 255.0)
    return torch.from_numpy((share - np.float32(0)) / np.float32(1 / 255))


@pytest.mark.parametrize(
    ("dtype", "scaling"),
    [
        ("uint8", Scaling.linear([0.0], [255.0])),
        ("uint16", Scaling.linear([300.0], [9000.0])),
        ("uint16", KNOTS),
        ("int16", Scaling.linear([-500.0], [8000.0])),
        ("float32", Scaling.linear([273.0], [310.0])),
        ("float32", DB),
    ],
)
def test_values_of_any_layer_are_scaled_as_in_training(dtype: str, scaling: Scaling) -> None:
    side = a_side(dtype, scaling)
    low, high = scaling.low[0], scaling.high[0]
    values = np.linspace(low, high, 1001).astype(dtype).reshape(1, 1, 7, 143)
    found = SourceValues(side)(as_deepness(values)).numpy()
    expected = scaling.scale(values[0])[None]
    if np.issubdtype(dtype, np.integer):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    else:
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_pixels_that_are_invalid_hold_the_mean() -> None:
    scaling = Scaling.linear([0.0, 100.0], [100.0, 300.0])
    values = np.array([[[[10.0, -9, 20, 50]], [[-9.0, -9, np.nan, 300]]]], np.float32)
    found = SourceValues(a_side("float32", scaling, -9.0))(torch.from_numpy(values)).numpy()
    np.testing.assert_allclose(found[0, :, 0, :3], 0, atol=1e-6)
    np.testing.assert_allclose(found[0, :, 0, 3], [0, 1], atol=1e-6)


def test_the_nodata_value_of_one_band_of_a_picture_is_a_color() -> None:
    values = torch.tensor([[[[0.0, 0]], [[0.0, 51]]]])
    side = a_side("uint8", Scaling.linear([0.0, 0.0], [255.0, 255.0]), 0.0)
    found = SourceValues(side)(values).numpy()
    np.testing.assert_allclose(found[0, :, 0], [[0, -1], [0, -0.6]], atol=1e-6)


@given(
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
    values=st.lists(st.floats(-1.25, 1.25, width=32), min_size=1, max_size=9),
)
def test_bytes_are_the_nearest_counts_of_the_range(dtype: str, values: list[float]) -> None:
    high = 255.0 if dtype == "uint8" else 4000.0
    side = a_side(dtype, Scaling.linear([0.0], [high]))
    scaled = torch.tensor(values)[None, None, None]
    (share,) = Counts(side, separate=True)(scaled)
    written = (share.numpy() * np.float32(255)).astype(np.uint8)
    units = side.scaling.unscale(scaled.numpy()[0])[None]
    exact = np.clip(units / high, 0, 1) * 255
    assert (np.abs(written - exact) <= 0.5001).all()
    if dtype == "uint8":
        assert (np.abs(written - to_dtype(units, "uint8").astype(float)) <= 1).all()


def test_bands_are_outputs_or_one_output_of_repeated_pixels() -> None:
    side = a_side("uint8", Scaling.linear([0.0] * 3, [255.0] * 3))
    scaled = torch.linspace(-1, 1, 12).reshape(1, 3, 2, 2)
    apart = Counts(side, separate=True)(scaled)
    together = Counts(side, separate=False, times=2)(scaled)
    assert [each.shape for each in apart] == [(1, 1, 2, 2)] * 3
    assert isinstance(together, torch.Tensor) and together.shape == (1, 3, 4, 4)
    for shift in (0, 1):
        assert torch.equal(together[:, :, shift::2, shift::2], torch.cat(tuple(apart), 1))


def test_whole_numbers_up_to_255_keep_their_values() -> None:
    full = Scaling.linear([0.0], [200.0])
    assert keeps_values(a_side("uint8", Scaling.linear([5.0], [7.0])))
    assert keeps_values(a_side("uint16", full))
    assert not keeps_values(a_side("float32", full))
    assert not keeps_values(a_side("int16", Scaling.linear([-1.0], [200.0])))
    assert byte_range(a_side("float32", full)) == [(0.0, 200.0)]
    flat = a_side("uint16", Scaling.linear([300.0], [400.0], bounded=False), extent=((350, 350),))
    assert byte_range(flat) == [(350.0, 351.0)]
