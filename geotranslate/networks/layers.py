"""Parts that the networks share."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

Norm = Literal["batch", "instance", "none"]
Span = tuple[int, int]
"""First and last pixel along an axis."""


def make_norm(norm: Norm, channels: int) -> nn.Module:
    """Return a normalisation layer with trainable scale and shift."""
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    return nn.Identity()


def init_weights(module: nn.Module) -> None:
    """Draw convolution weights from N(0, 0.02), norm scales from N(1, 0.02); biases are 0.

    Use with `Module.apply`. The values are those of the original Pix2Pix (Isola et al. 2017).
    """
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Extend `(n, bands, rows, cols)` by reflection below and to the right to whole multiples."""
    rows, cols = image.shape[-2:]
    below, right = -rows % multiple, -cols % multiple
    return F.pad(image, (0, right, 0, below), mode="reflect") if below or right else image


def reach(layer: nn.Module, span: Span) -> Span:
    """Return which input pixels a layer reads for some output pixels, padding included."""
    if isinstance(layer, nn.Sequential):
        for part in reversed(layer):
            span = reach(part, span)
    elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        kernel, stride, padding = layer.kernel_size[0], layer.stride[0], int(layer.padding[0])
        if isinstance(layer, nn.Conv2d):
            return span[0] * stride - padding, span[1] * stride - padding + kernel - 1
        return -((kernel - 1 - padding - span[0]) // stride), (span[1] + padding) // stride
    return span
