from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from geotranslate.training.losses import fill_invalid, masked_l1, verdict_loss


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


def test_verdict_is_low_when_the_logits_are_right() -> None:
    sure = torch.full((1, 1, 3, 3), 20.0)
    assert verdict_loss(sure, real=True) < 1e-6
    assert verdict_loss(sure, real=False) > 19
    assert verdict_loss(torch.zeros(1), real=True).item() == torch.log(torch.tensor(2.0)).item()
