"""Distance of the features of a network's first levels from those of its training."""

from __future__ import annotations

import copy
from contextlib import suppress
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = 2
"""Number of normalizations whose features are compared, the first ones that an image passes."""


class _Enough(Exception):
    """Leaves a network once its first levels have been measured."""


def feature_distance(network: nn.Module, images: Tensor, valid: Tensor) -> float | None:
    """Return how far the features of images are from those of training, in standard deviations.

    The features are the inputs of the first two batch normalizations, whose running statistics are
    the means and deviations of training. The distance of a channel is the one between normal
    distributions with the means and deviations of both (the 2-Wasserstein distance), in deviations
    of training; the result is its mean over channels and levels.

    Args:
        network: The network, which does not change.
        images: `(n, bands, rows, cols)` as they enter the network, filled where invalid.
        valid: `(n, 1, rows, cols)`, 1 for pixels that count.

    Returns:
        The distance; None for a network without running statistics.
    """
    found: list[float] = []

    def look(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        found.append(_distance(layer, given[0], valid))
        if len(found) == LEVELS:
            raise _Enough

    copied = copy.deepcopy(network).eval()
    for layer in copied.modules():
        if isinstance(layer, nn.BatchNorm2d) and layer.running_mean is not None:
            layer.register_forward_pre_hook(look)
    with suppress(_Enough), torch.inference_mode():
        copied(images)
    return sum(found) / len(found) if found else None


def _distance(layer: Any, features: Tensor, valid: Tensor) -> float:
    """Return the distance of features `(n, channels, rows, cols)` from a layer's statistics."""
    values = features.float()
    shares = F.adaptive_avg_pool2d(valid.float(), (values.shape[2], values.shape[3]))
    shares = shares / shares.sum()
    mean = (values * shares).sum((0, 2, 3))
    deviation = ((values - mean[:, None, None]).square() * shares).sum((0, 2, 3)).sqrt()
    usual = layer.running_var.sqrt()
    apart = torch.hypot(mean - layer.running_mean, deviation - usual)
    return float((apart / (layer.running_var + layer.eps).sqrt()).mean())
