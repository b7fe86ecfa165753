from __future__ import annotations

import math

import numpy as np
import pytest
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio

from geotranslate.training.metrics import ErrorSums


@pytest.fixture
def images() -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(0)
    target = chance.normal(100, 30, (4, 3, 20, 20)).astype("float32")
    return target + chance.normal(2, 5, target.shape).astype("float32"), target


def test_metrics_are_the_standard_definitions(images: tuple[np.ndarray, np.ndarray]) -> None:
    prediction, target = images
    sums = ErrorSums()
    for one, other in zip(prediction, target, strict=True):
        sums.add(one, other)
    found = sums.metrics(data_range=255)
    wide = target.astype(float), prediction.astype(float)
    assert found["psnr"] == pytest.approx(peak_signal_noise_ratio(*wide, data_range=255), abs=1e-6)
    assert found["rmse"] == pytest.approx(math.sqrt(mean_squared_error(*wide)), abs=1e-6)
    assert found["mae"] == pytest.approx(np.abs(wide[0] - wide[1]).mean(), abs=1e-6)
    assert found["bias"] == pytest.approx((wide[1] - wide[0]).mean(), abs=1e-6)
    assert found["count"] == target.size


def test_invalid_pixels_do_not_count(images: tuple[np.ndarray, np.ndarray]) -> None:
    prediction, target = images
    kept, masked = ErrorSums(), ErrorSums()
    kept.add(prediction[..., 5:], target[..., 5:])
    target[..., :5] = np.nan
    masked.add(prediction, target)
    assert masked.metrics(255) == pytest.approx(kept.metrics(255))


def test_equal_images_have_no_error() -> None:
    sums = ErrorSums()
    sums.add(np.ones((1, 2, 2)), np.ones((1, 2, 2)))
    assert sums.metrics(255)["psnr"] == math.inf
    assert sums.metrics(255)["mae"] == 0


def test_nothing_compared_is_not_a_number() -> None:
    found = ErrorSums().metrics(255)
    assert math.isnan(found["mae"])
    assert math.isnan(found["psnr"])
    assert found["count"] == 0
