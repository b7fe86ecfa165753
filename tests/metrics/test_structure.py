from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.metrics import structural_similarity
from torch import Tensor
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    structural_similarity_index_measure,
)

from geotranslate.metrics.structure import Structure
from tests.metrics.cases import pair

RANGES = (255.0, 30.0, 4000.0)


def images(size: tuple[int, int], count: int = 2, noise: float = 0.1) -> tuple[Tensor, Tensor]:
    """Return a translation and a target of a range per band."""
    prediction, target = pair((count, 3, *size), noise=noise)
    peaks = torch.tensor(RANGES, dtype=torch.float64)[:, None, None]
    return (prediction.double() + 1) / 2 * peaks, (target.double() + 1) / 2 * peaks


def measured(prediction: Tensor, target: Tensor, valid: Tensor | None = None) -> Structure:
    structure = Structure(RANGES)
    every = torch.ones_like(target[:, :1], dtype=torch.bool)
    structure.add(prediction, target, every if valid is None else valid)
    return structure


def torchmetrics_maps(ours: Tensor, theirs: Tensor, peak: float) -> tuple[Tensor, Tensor]:
    """Return SSIM of every window inside `(n, rows, cols)`, and the mean contrast of each image."""
    sides = ours[:, None], theirs[:, None]
    # The contrast has lost the windows over the edge already, the map has not.
    _, whole = structural_similarity_index_measure(*sides, data_range=peak, return_full_image=True)
    _, contrast = structural_similarity_index_measure(
        *sides, data_range=peak, reduction="none", return_contrast_sensitivity=True
    )
    return whole[:, 0, 5:-5, 5:-5], contrast


@pytest.mark.parametrize("noise", [0.01, 0.1, 1])
@pytest.mark.parametrize("size", [(11, 11), (40, 57)])
def test_ssim_is_that_of_scikit_image_and_torchmetrics(size: tuple[int, int], noise: float) -> None:
    prediction, target = images(size, noise=noise)
    structure = measured(prediction, target)
    bands = structure.per_band()
    for band, found in enumerate(bands):
        ours, theirs, peak = prediction[:, band], target[:, band], RANGES[band]
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        expected = [
            structural_similarity(a.numpy(), b.numpy(), data_range=peak, **options)
            for a, b in zip(ours, theirs, strict=True)
        ]
        assert found["ssim"] == pytest.approx(np.mean(expected), abs=1e-6)
        windows, _ = torchmetrics_maps(ours, theirs, peak)
        assert found["ssim"] == pytest.approx(float(windows.mean()), abs=1e-6)
    mean = np.mean([band["ssim"] for band in bands])
    assert structure.overall()["ssim"] == pytest.approx(mean)


@pytest.mark.parametrize("noise", [0.01, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("size", [(176, 176), pytest.param((200, 231), marks=pytest.mark.slow)])
def test_ms_ssim_is_made_of_the_maps_of_torchmetrics(size: tuple[int, int], noise: float) -> None:
    prediction, target = images(size, noise=noise)
    for band, found in enumerate(measured(prediction, target).per_band()):
        ours, theirs = prediction[:, band], target[:, band]
        expected = torch.ones(len(ours), dtype=torch.float64)
        for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
            windows, contrast = torchmetrics_maps(ours, theirs, RANGES[band])
            expected *= (windows.mean((1, 2)) if scale == 4 else contrast) ** weight
            ours, theirs = (F.avg_pool2d(each[:, None], 2)[:, 0] for each in (ours, theirs))
        assert found["ms_ssim"] == pytest.approx(float(expected.mean()), abs=1e-6)
        # Which differs by the windows over the edge of its coarsest scale.
        other = multiscale_structural_similarity_index_measure(
            prediction[:, band, None], target[:, band, None], data_range=RANGES[band]
        )
        assert found["ms_ssim"] == pytest.approx(float(other), abs=0.01)


def test_images_of_opposite_structure_have_no_ms_ssim_but_0() -> None:
    _, target = images((176, 176), noise=0)
    peaks = torch.tensor(RANGES, dtype=torch.float64)[:, None, None]
    assert measured(peaks - target, target).overall()["ms_ssim"] == 0


def test_equal_images_are_perfectly_alike() -> None:
    _, target = images((180, 180))
    assert measured(target, target).overall() == pytest.approx({"ssim": 1, "ms_ssim": 1}, abs=1e-9)
    flat = torch.full_like(target, 0.1)
    assert measured(flat, flat).overall() == pytest.approx({"ssim": 1, "ms_ssim": 1}, abs=1e-9)


@pytest.mark.parametrize("size", [(10, 300), (300, 10), (1, 1)])
def test_images_smaller_than_a_window_are_not_counted(size: tuple[int, int]) -> None:
    structure = measured(*images(size))
    assert all(math.isnan(value) for value in structure.overall().values())
    both = measured(*images((20, 20)))
    small = images(size)
    alone = both.overall()["ssim"]
    both.add(*small, torch.ones_like(small[0][:, :1], dtype=torch.bool))
    assert both.overall()["ssim"] == alone


@pytest.mark.parametrize("size", [(175, 400), (176, 176)])
def test_ms_ssim_needs_176_pixels(size: tuple[int, int]) -> None:
    found = measured(*images(size, count=1)).overall()
    assert math.isnan(found["ms_ssim"]) == (min(size) < 176)
    assert not math.isnan(found["ssim"])


def test_windows_are_those_without_an_invalid_pixel() -> None:
    prediction, target = images((30, 44), count=1)
    valid = torch.ones(1, 1, 30, 44, dtype=torch.bool)
    valid[..., :, 20] = False
    valid[..., 29, :20] = False
    left = measured(prediction[..., :29, :20], target[..., :29, :20]).per_band()
    right = measured(prediction[..., 21:], target[..., 21:]).per_band()
    counts = 19 * 10, 20 * 13
    for band, found in enumerate(measured(prediction, target, valid).per_band()):
        both = left[band]["ssim"] * counts[0] + right[band]["ssim"] * counts[1]
        assert found["ssim"] == pytest.approx(both / sum(counts), abs=1e-12)


def test_ms_ssim_is_of_images_that_have_a_window_in_every_scale() -> None:
    prediction, target = images((200, 176), count=3)
    valid = torch.ones(3, 1, 200, 176, dtype=torch.bool)
    valid[1, :, 100, 80] = False
    valid[2, :, 176:] = False
    first = measured(prediction[:1], target[:1]).overall()["ms_ssim"]
    last = measured(prediction[2:, :, :176], target[2:, :, :176]).overall()["ms_ssim"]
    found = measured(prediction, target, valid).overall()["ms_ssim"]
    assert found == pytest.approx((first + last) / 2, abs=1e-12)
