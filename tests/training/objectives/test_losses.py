from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from geotranslate.training.objectives import (
    discriminator_loss,
    feature_loss,
    fill_invalid,
    generator_loss,
    gradient_penalty,
    masked_l1,
)


@given(st.integers(0, 2**31), st.floats(0, 0.9))
def test_l1_is_the_mean_over_valid_pixels(seed: int, share: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    prediction, target = torch.rand(2, 2, 3, 8, 8, generator=generator)
    invalid = torch.rand(2, 1, 8, 8, generator=generator) < share
    masked = target.masked_fill(invalid, torch.nan)
    valid = ~invalid.expand_as(target)
    expected = (prediction - target).abs()[valid].mean() if valid.any() else torch.tensor(0.0)
    torch.testing.assert_close(masked_l1(prediction, masked), expected)


def test_invalid_pixels_give_no_gradient_and_no_nan() -> None:
    prediction = torch.rand(1, 1, 4, 4, requires_grad=True)
    target = torch.rand(1, 1, 4, 4)
    target[..., 0] = torch.nan
    masked_l1(prediction, target).backward()
    assert prediction.grad is not None
    assert not prediction.grad[..., 0].any()
    assert (prediction.grad[..., 1:].abs() == 1 / 12).all()


def test_target_without_valid_pixel_costs_nothing() -> None:
    prediction = torch.rand(1, 1, 2, 2, requires_grad=True)
    loss = masked_l1(prediction, torch.full((1, 1, 2, 2), torch.nan))
    loss.backward()
    assert loss == 0
    assert not prediction.grad.any()


def test_invalid_target_is_replaced_by_the_prediction_as_a_constant() -> None:
    prediction = torch.rand(1, 1, 2, 2, requires_grad=True)
    target = torch.tensor([[[[1.0, torch.nan], [3.0, 4.0]]]])
    filled = fill_invalid(target, prediction)
    assert not filled.requires_grad
    assert filled[0, 0, 0, 1] == prediction[0, 0, 0, 1]
    assert filled[0, 0, 1, 1] == 4


LOGITS = st.lists(st.floats(-30, 30), min_size=1, max_size=9).map(torch.tensor)


@given(LOGITS, st.floats(0, 0.9))
def test_verdicts_are_those_of_the_papers(logits: Tensor, smoothing: float) -> None:
    label, chance = 1 - smoothing, torch.sigmoid(logits.double())
    entropy = -(label * chance.log() + (1 - label) * (1 - chance).log()).mean()
    expected = {
        ("vanilla", True): entropy,
        ("vanilla", False): -(1 - chance).log().mean(),
        ("lsgan", True): ((logits - label) ** 2).mean(),
        ("lsgan", False): (logits**2).mean(),
        ("hinge", True): (1 - logits).clamp(min=0).mean(),
        ("hinge", False): (1 + logits).clamp(min=0).mean(),
        ("wgangp", True): -logits.mean(),
        ("wgangp", False): logits.mean(),
    }
    for (mode, real), value in expected.items():
        found = discriminator_loss(logits, real=real, mode=mode, smoothing=smoothing)
        torch.testing.assert_close(found.double(), value.double(), atol=1e-4, rtol=1e-4)


@given(LOGITS)
def test_a_generator_fools_by_higher_logits(logits: Tensor) -> None:
    torch.testing.assert_close(generator_loss(logits, mode="hinge"), -logits.mean())
    for mode in ("vanilla", "lsgan", "wgangp"):
        assert generator_loss(logits, mode=mode) == discriminator_loss(logits, real=True, mode=mode)


def test_features_of_the_real_pair_are_constants_and_layers_count_alike() -> None:
    fake = [torch.rand(2, 3, 4, 4, requires_grad=True), torch.rand(2, 6, 2, 2, requires_grad=True)]
    real = [torch.rand_like(layer).requires_grad_() for layer in fake]
    loss = feature_loss(fake, real)
    loss.backward()
    expected = sum((one - other).abs().mean() for one, other in zip(fake, real, strict=True))
    torch.testing.assert_close(loss, expected)
    assert all(layer.grad is not None for layer in fake)
    assert all(layer.grad is None for layer in real)
    assert feature_loss(fake, fake) == 0


def test_verdict_is_low_when_the_logits_are_right() -> None:
    sure = torch.full((1, 1, 3, 3), 20.0)
    assert discriminator_loss(sure, real=True) < 1e-6
    assert discriminator_loss(sure, real=False) > 19
    assert (
        discriminator_loss(torch.zeros(1), real=True).item() == torch.log(torch.tensor(2.0)).item()
    )


@given(st.floats(0, 8), st.integers(1, 3))
def test_gradient_penalty_is_that_of_the_slope(slope: float, pairs: int) -> None:
    """Logits that rise by the same amount with every pixel have the same gradient anywhere."""
    real, fake = torch.rand(2, pairs, 2, 3, 5)
    images: list[Tensor] = []

    def logits(image: Tensor) -> Tensor:
        images.append(image)
        return slope * image.flatten(1) / 30**0.5

    found = gradient_penalty(logits, real, fake)
    assert float(found) == pytest.approx(10 * (slope - 1) ** 2, abs=1e-3)
    share = (images[0].detach() - fake) / (real - fake)
    inside = (real - fake).abs() > 1e-2
    for one, counts in zip(share, inside, strict=True):
        assert float(one[counts].std()) < 1e-3
        assert 0 <= float(one[counts].mean()) <= 1
