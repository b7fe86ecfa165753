"""Losses over the valid pixels of images in -1..1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

GanMode = Literal["vanilla", "lsgan", "hinge"]


def fill_invalid(target: Tensor, prediction: Tensor) -> Tensor:
    """Return the target with the prediction, as a constant, where the target is NaN.

    Target and prediction agree there, so neither a loss nor a discriminator learns from it.
    """
    return torch.where(torch.isnan(target), prediction.detach(), target)


def masked_l1(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute difference over the pixels where the target is not NaN."""
    valid = torch.isfinite(target).sum().clamp(min=1)
    return (prediction - fill_invalid(target, prediction)).abs().sum() / valid


def discriminator_loss(
    logits: Tensor, *, real: bool, mode: GanMode = "vanilla", smoothing: float = 0.0
) -> Tensor:
    """Return the mean adversarial loss of a discriminator's logits.

    "vanilla" is the binary cross-entropy with the label 1 for real and 0 for fake (Goodfellow et
    al. 2014), "lsgan" the squared difference from that label (Mao et al. 2017), "hinge" is
    `relu(1 - logit)` for real and `relu(1 + logit)` for fake (Lim and Ye 2017).

    Args:
        logits: Logits of any shape.
        real: Whether they are of real images.
        mode: The loss.
        smoothing: Amount by which the label of real images is below 1 (Salimans et al. 2016);
            "hinge" has no labels and ignores it.
    """
    if mode == "hinge":
        return F.relu(1 - logits if real else 1 + logits).mean()
    labels = torch.full_like(logits, 1 - smoothing if real else 0.0)
    if mode == "lsgan":
        return F.mse_loss(logits, labels)
    return F.binary_cross_entropy_with_logits(logits, labels)


def generator_loss(logits: Tensor, *, mode: GanMode = "vanilla") -> Tensor:
    """Return the generator's adversarial loss by a discriminator's logits of translations.

    It is the discriminator's loss on real images, never smoothed; in "hinge" it is `-mean(logits)`.
    """
    return -logits.mean() if mode == "hinge" else discriminator_loss(logits, real=True, mode=mode)


def feature_loss(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """Return the mean absolute difference of a discriminator's features, summed over its layers.

    It is the feature matching of Wang et al. 2018; the features of the real pair are constants.
    """
    pairs = zip(fake, real, strict=True)
    return torch.stack([F.l1_loss(one, other.detach()) for one, other in pairs]).sum()
