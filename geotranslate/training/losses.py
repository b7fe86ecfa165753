"""Losses in -1..1 over valid pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def fill_invalid(target: Tensor, prediction: Tensor) -> Tensor:
    """Return the target with the prediction, as a constant, where the target is NaN.

    There target and prediction then agree: neither a loss nor a discriminator can learn from it.
    """
    return torch.where(torch.isnan(target), prediction.detach(), target)


def masked_l1(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute difference over the pixels where the target is not NaN."""
    valid = torch.isfinite(target).sum().clamp(min=1)
    return (prediction - fill_invalid(target, prediction)).abs().sum() / valid


def verdict_loss(logits: Tensor, *, real: bool) -> Tensor:
    """Return the binary cross-entropy of a discriminator's logits with one label for all."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))
