from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from geotranslate.errors import InvalidInputError
from geotranslate.prediction.resampling import Resampling, checked_resolution, resampled

RATIOS = [(75, 32), (3, 8), (5, 4), (1, 4), (16, 1), (2, 2)]


@pytest.mark.parametrize(("before", "after"), RATIOS)
def test_pixels_are_interpolated_as_in_training(before: int, after: int) -> None:
    image = np.random.default_rng(0).normal(size=(2, 3, 8 * before, 5))
    size, tensor = (8 * after, 5), torch.from_numpy(image)
    expected = F.interpolate(tensor, size, mode="bilinear", antialias=True, align_corners=False)
    found = resampled(image, -2, before, after, nearest=False)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    turned = resampled(image.swapaxes(-2, -1), -1, before, after, nearest=False)
    np.testing.assert_array_equal(turned.swapaxes(-2, -1), found)


@pytest.mark.parametrize(("before", "after"), RATIOS)
def test_classes_are_those_of_the_nearest_pixels(before: int, after: int) -> None:
    image = torch.randint(0, 9, (1, 1, 4, 8 * before)).float()
    expected = F.interpolate(image, (4, 8 * after), mode="nearest-exact")
    found = resampled(image.numpy(), -1, before, after, nearest=True)
    np.testing.assert_array_equal(found, expected)


@given(
    before=st.integers(1, 40),
    after=st.integers(1, 40),
    shift=st.integers(1, 4),
    nearest=st.booleans(),
)
def test_image_shifted_by_steps_has_the_same_values_to_the_last_bit(
    before: int, after: int, shift: int, nearest: bool
) -> None:
    image = np.random.default_rng(1).normal(size=(1, 1, 2, 90 * before)).astype(np.float32)
    whole = resampled(image, -1, before, after, nearest=nearest)[..., shift * after :]
    shifted = resampled(image[..., shift * before :], -1, before, after, nearest=nearest)
    edge = 2 * after + 42  # pixels that depend on pixels before the first one
    np.testing.assert_array_equal(whole[..., edge:], shifted[..., edge:])


@given(
    across=st.floats(1 / 32, 32),
    down=st.floats(1 / 32, 32),
    stride=st.sampled_from([1, 4, 8, 256]),
)
def test_steps_are_whole_pixels_and_close_to_the_ratios(
    across: float, down: float, stride: int
) -> None:
    found = Resampling.of(across, down, stride)
    assert found.ratios == pytest.approx((across, down), rel=2e-3)
    assert found.rows % stride == found.cols % stride == 0
    assert found.transposed.ratios == found.ratios[::-1]
    assert found.radius(None) is None


def test_steps_of_simple_ratios_are_exact() -> None:
    assert Resampling.of(256 / 600, 256 / 600, 256) == Resampling(600, 256, 256)
    assert Resampling.of(0.5, 0.25, 8) == Resampling(32, 8, 16)
    assert Resampling.of(4, 4, 1) == Resampling(1, 4, 4)


@pytest.mark.parametrize("size", [(1, 1), (7, 30), (36, 18)])
@pytest.mark.parametrize("nearest", [False, True])
def test_there_and_back_has_the_size_and_the_smooth_values(
    size: tuple[int, int], nearest: bool
) -> None:
    image = np.add.outer(np.arange(size[0]), np.arange(size[1])).astype(np.float32)[None, None] / 10
    way = Resampling(18, 8, 12)
    there = way.forth(image, nearest=nearest)
    assert there.shape[-2] % 8 == there.shape[-1] % 12 == 0
    back = way.back(there, size, nearest=nearest)
    assert back.shape == image.shape
    inside = np.s_[..., 4:-4, 4:-4]
    np.testing.assert_allclose(back[inside], image[inside], atol=0.5 if nearest else 0.02)


@pytest.mark.parametrize("value", ["auto", "training", "source", 0.5, np.float32(2)])
def test_resolution_is_a_name_or_meters(value: Any) -> None:
    found = checked_resolution(value)
    assert found == value and isinstance(found, str | float)


@pytest.mark.parametrize(
    "value", ["10", "Training", 0, -1, float("nan"), None, True, (1, 2), "10m"]
)
def test_other_resolutions_are_refused(value: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"resolution is .*; give "):
        checked_resolution(value)
