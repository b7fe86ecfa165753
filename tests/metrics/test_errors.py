from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio
from sklearn.metrics import mean_absolute_error, r2_score

from geotranslate.metrics.errors import Errors, errors_between


@pytest.fixture
def images() -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(0)
    target = chance.normal(100, 30, (3, 20, 20))
    return target + chance.normal(2, 5, target.shape), target


def test_measures_are_the_standard_definitions(images: tuple[np.ndarray, np.ndarray]) -> None:
    prediction, target = images
    found = errors_between(prediction, target, 255)
    flat = target.reshape(3, -1).T, prediction.reshape(3, -1).T
    expected = {
        "mae": mean_absolute_error(*flat),
        "rmse": math.sqrt(mean_squared_error(target, prediction)),
        "bias": (prediction - target).mean(),
        "r2": r2_score(*flat, multioutput="uniform_average"),
        "psnr": peak_signal_noise_ratio(target, prediction, data_range=255),
        "psnr_range": 255,
        "count": target.size,
    }
    assert found == pytest.approx(expected, abs=1e-6)


def test_bands_have_their_own_range_and_all_together_the_largest(
    images: tuple[np.ndarray, np.ndarray],
) -> None:
    prediction, target = (torch.from_numpy(each)[None] for each in images)
    errors = Errors([10, 20, 40])
    errors.add(prediction, target, torch.ones(1, 1, 20, 20, dtype=torch.bool))
    bands, overall = errors.per_band(), errors.overall()
    assert [band["psnr_range"] for band in bands] == [10, 20, 40]
    for band, one, other in zip(bands, *images, strict=True):
        single = errors_between(one[None], other[None], band["psnr_range"])
        assert band == pytest.approx(single, abs=1e-9)
    assert overall["psnr_range"] == 40
    assert overall["psnr"] == pytest.approx(20 * math.log10(40 / overall["rmse"]))


def test_sums_of_large_values_lose_no_digits(images: tuple[np.ndarray, np.ndarray]) -> None:
    prediction, target = (each + 1e7 for each in images)
    assert errors_between(prediction, target, 1)["r2"] == pytest.approx(
        errors_between(*images, 1)["r2"], abs=1e-6
    )


def test_equal_images_have_no_error() -> None:
    found = errors_between(*[np.arange(8.0).reshape(2, 2, 2)] * 2, 255)
    assert (found["mae"], found["rmse"], found["bias"], found["r2"]) == (0, 0, 0, 1)
    assert found["psnr"] == math.inf


def test_constant_target_has_no_r2_and_leaves_that_of_the_others() -> None:
    target = np.stack([np.full((4, 4), 0.1), np.arange(16.0).reshape(4, 4)])
    errors = Errors([1, 1])
    pair = torch.from_numpy(target + 1)[None], torch.from_numpy(target)[None]
    errors.add(*pair, torch.ones(1, 1, 4, 4, dtype=torch.bool))
    constant, other = (band["r2"] for band in errors.per_band())
    assert math.isnan(constant)
    assert errors.overall()["r2"] == other == pytest.approx(1 - 16 / (target[1].var() * 16))


def test_nothing_compared_is_not_a_number() -> None:
    found = errors_between(np.ones((1, 2, 2)), np.full((1, 2, 2), np.nan), 255)
    assert all(math.isnan(found[name]) for name in ("mae", "rmse", "bias", "r2", "psnr"))
    assert found["count"] == 0
    assert Errors([1]).overall()["count"] == 0
