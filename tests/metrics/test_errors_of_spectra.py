from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics.functional.image import (
    error_relative_global_dimensionless_synthesis,
    spectral_angle_mapper,
)

from geotranslate.metrics.errors import Spectra
from tests.metrics.cases import pair


def measured(prediction: Tensor, target: Tensor) -> dict[str, float]:
    spectra = Spectra()
    spectra.add(prediction, target, torch.ones_like(target[:, :1], dtype=torch.bool))
    return spectra.overall()


@pytest.mark.parametrize("bands", [2, 3, 8])
@pytest.mark.parametrize("noise", [0.001, 0.5])
def test_measures_are_those_of_torchmetrics(bands: int, noise: float) -> None:
    prediction, target = (
        each.double() * 90 + 100 for each in pair((1, bands, 30, 41), noise=noise)
    )
    found = measured(prediction, target)
    angle = spectral_angle_mapper(prediction, target)
    ergas = error_relative_global_dimensionless_synthesis(prediction, target, ratio=1)
    assert found["sam"] == pytest.approx(float(angle), abs=1e-6)
    assert found["ergas"] == pytest.approx(float(ergas), abs=1e-6)


def test_ergas_of_several_images_is_that_of_their_mosaic() -> None:
    prediction, target = (each.double() + 3 for each in pair((4, 3, 20, 20)))
    one = [torch.cat(list(each), dim=-1)[None] for each in (prediction, target)]
    assert measured(prediction, target) == pytest.approx(measured(*one), abs=1e-9)


def test_equal_spectra_have_no_angle_and_brightness_does_not_change_it() -> None:
    _, target = (each.double() + 2 for each in pair((2, 4, 20, 20)))
    assert measured(target, target) == pytest.approx({"sam": 0, "ergas": 0}, abs=1e-12)
    assert measured(target * 7, target)["sam"] == pytest.approx(0, abs=1e-12)


def test_black_has_no_direction() -> None:
    target = torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]], dtype=torch.float64)[None, :, None]
    prediction = torch.tensor([[5.0, 0.0, 1.0], [0.0, 0.0, 0.0]], dtype=torch.float64)[
        None, :, None
    ]
    found = measured(prediction, target)
    assert found["sam"] == pytest.approx(np.mean([math.pi / 2, math.pi / 4]))


def test_what_is_not_defined_is_not_a_number() -> None:
    assert all(math.isnan(value) for value in Spectra().overall().values())
    zero = torch.zeros(1, 2, 4, 4, dtype=torch.float64)
    assert all(math.isnan(value) for value in measured(zero + 1, zero).values())
