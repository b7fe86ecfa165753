"""Normalization layers."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Norm = Literal["batch", "renorm", "instance", "group", "channel", "none"]

MAX_GROUPS = 32
RENORM_BATCHES = 1000
RENORM_MOMENTUM = 0.01
FAINT = 1 / 255
"""In -1..1: half a gray level of bytes."""


def make_norm(norm: Norm, channels: int) -> nn.Module:
    """Return a normalization layer with trainable scale and shift.

    Group norm has 32 groups (Wu and He 2018), or as many as the greatest common divisor of 32 and
    the channels.
    """
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "renorm":
        return BatchRenorm2d(channels)
    if norm == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    if norm == "group":
        return nn.GroupNorm(math.gcd(MAX_GROUPS, channels), channels)
    return ChannelNorm(channels) if norm == "channel" else nn.Identity()


class BatchRenorm2d(nn.BatchNorm2d):
    """Batch renormalization, whose statistics in training are near those in eval mode.

    A batch normalized by itself is brought to the running statistics by a factor and a shift that
    have no gradient (Ioffe 2017, arXiv:1702.03275, equations 3 to 6), so that single images train
    it too. Both are limited, to 3 and 5; the limits open over the first thousand batches, before
    which it is batch normalization.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def forward(self, image: Tensor) -> Tensor:
        """Normalize `(n, channels, rows, cols)`."""
        if not self.training:
            return super().forward(image)
        with torch.no_grad():
            seen = int(self.num_batches_tracked.add_(1))
            opened = min(seen / RENORM_BATCHES, 1)
            variance, mean = torch.var_mean(image.float(), (0, 2, 3), correction=0)
            running = (self.running_var + self.eps).sqrt()
            most = 1 + 2 * opened
            factor = ((variance + self.eps).sqrt() / running).clamp(1 / most, most)
            shift = ((mean - self.running_mean) / running).clamp(-5 * opened, 5 * opened)
        return F.batch_norm(
            image,
            self.running_mean,
            self.running_var,
            self.weight * factor,
            self.bias + self.weight * shift,
            training=True,
            # The mean of the first hundred batches, then a moving one.
            momentum=max(1 / seen, RENORM_MOMENTUM),
            eps=self.eps,
        )


class ChannelNorm(nn.Module):
    """Normalize every pixel by the mean and variance of its own channels.

    It is layer normalization (Ba et al. 2016) at every pixel, independent of all others.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, image: Tensor) -> Tensor:
        """Normalize `(n, channels, rows, cols)`."""
        last = image.permute(0, 2, 3, 1)
        return F.layer_norm(last, self.weight.shape, self.weight, self.bias).permute(0, 3, 1, 2)


def has_image_norm(network: nn.Module) -> bool:
    """Return whether a network has a normalization over the whole image."""
    kinds = (nn.InstanceNorm2d, nn.GroupNorm)
    return any(isinstance(module, kinds) for module in network.modules())


def has_bias(norm: Norm) -> bool:
    """Return whether a convolution before a normalization has a bias, as in the reference code."""
    return norm == "instance"


def textured(images: Tensor) -> Tensor:
    """Return `(n, bands, rows, cols)` with faint noise in the images of one color.

    Their deviation is 0: normalizations of single images would magnify rounding, and in
    training gradients, by some hundred in every layer.
    """
    ranges = images.amax((2, 3), keepdim=True) - images.amin((2, 3), keepdim=True)
    flat = ranges.amax(1, keepdim=True) < FAINT
    return torch.where(flat, images + FAINT * torch.randn_like(images), images)
