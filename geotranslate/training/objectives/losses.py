"""Losses in -1..1 over valid pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

GanMode = Literal["vanilla", "lsgan", "hinge"]


def fill_invalid(target: Tensor, prediction: Tensor) -> Tensor:
    """Return the target with the prediction, as a constant, where the target is NaN.

    There target and prediction then agree: neither a loss nor a discriminator can learn from it.
    """
    return torch.where(torch.isnan(target), prediction.detach(), target)


def masked_l1(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute difference over the pixels where the target is not NaN."""
    valid = torch.isfinite(target).sum().clamp(min=1)
    return (prediction - fill_invalid(target, prediction)).abs().sum() / valid


def verdict_loss(
    logits: Tensor, *, real: bool, mode: GanMode = "vanilla", smoothing: float = 0.0
) -> Tensor:
    """Return how far a discriminator is from the truth, on average over its logits.

    "vanilla" is the binary cross-entropy with the label 1 for real and 0 for fake (Goodfellow et
    al. 2014), "lsgan" the squared difference from that label (Mao et al. 2017), "hinge" is
    `relu(1 - logit)` for real and `relu(1 + logit)` for fake (Lim and Ye 2017).

    Args:
        logits: Of any shape.
        real: Whether they are of real pairs.
        mode: Which loss.
        smoothing: What the label of real pairs is below 1 (Salimans et al. 2016); no part of
            "hinge", which has no labels.
    """
    if mode == "hinge":
        return F.relu(1 - logits if real else 1 + logits).mean()
    labels = torch.full_like(logits, 1 - smoothing if real else 0.0)
    if mode == "lsgan":
        return F.mse_loss(logits, labels)
    return F.binary_cross_entropy_with_logits(logits, labels)


def fooling_loss(logits: Tensor, *, mode: GanMode = "vanilla") -> Tensor:
    """Return how far a generator is from being taken for real, by a discriminator's logits.

    It is the discriminator's loss on real pairs, never smoothed; in "hinge" it is `-mean(logits)`.
    """
    return -logits.mean() if mode == "hinge" else verdict_loss(logits, real=True, mode=mode)


def feature_loss(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """Return the mean absolute difference of a discriminator's features, summed over its layers.

    Those of the real pair are constants (Wang et al. 2018, feature matching).
    """
    pairs = zip(fake, real, strict=True)
    return torch.stack([F.l1_loss(one, other.detach()) for one, other in pairs]).sum()
