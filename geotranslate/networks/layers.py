"""Parts that the networks share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Norm = Literal["batch", "instance", "group", "none"]
Upsample = Literal["transposed", "resize"]
Span = tuple[int, int]
"""First and last pixel along an axis."""

MAX_GROUPS = 32


def make_norm(norm: Norm, channels: int) -> nn.Module:
    """Return a normalisation layer with trainable scale and shift.

    Group norm has 32 groups (Wu and He 2018), or as many as the greatest common divisor of 32 and
    the channels.
    """
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    if norm == "group":
        return nn.GroupNorm(math.gcd(MAX_GROUPS, channels), channels)
    return nn.Identity()


def sees_image(network: nn.Module) -> bool:
    """Return whether a network has a normalisation that looks at the whole image."""
    kinds = (nn.InstanceNorm2d, nn.GroupNorm)
    return any(isinstance(module, kinds) for module in network.modules())


def enlarge(upsample: Upsample, bands_in: int, bands_out: int, *, bias: bool) -> list[nn.Module]:
    """Return layers that double the sides of an image.

    "transposed" is the 4 x 4 transposed convolution of Isola et al. 2017; "resize" repeats every
    pixel and convolves 3 x 3, which cannot draw a checkerboard (Odena et al. 2016, who found
    repeating better than bilinear interpolation).
    """
    if upsample == "transposed":
        return [nn.ConvTranspose2d(bands_in, bands_out, 4, 2, 1, bias=bias)]
    return [nn.Upsample(scale_factor=2), nn.Conv2d(bands_in, bands_out, 3, 1, 1, bias=bias)]


def up_block(
    bands_in: int, bands_out: int, *, norm: Norm, upsample: Upsample, dropout: float
) -> nn.Sequential:
    """Return a block of a decoder, which doubles the sides of an image."""
    layers = enlarge(upsample, bands_in, bands_out, bias=norm == "instance")
    return nn.Sequential(nn.ReLU(), *layers, make_norm(norm, bands_out), nn.Dropout(dropout))


def output_block(bands_in: int, bands_out: int, *, upsample: Upsample) -> nn.Sequential:
    """Return the last block of a generator, which doubles the sides and ends in -1..1."""
    return nn.Sequential(nn.ReLU(), *enlarge(upsample, bands_in, bands_out, bias=True), nn.Tanh())


def decode(
    hidden: Tensor, skips: Sequence[Tensor], decoder: Iterable[nn.Module], head: nn.Module
) -> Tensor:
    """Return what a decoder makes of the innermost level, with the skip of each level outwards.

    The head computes in the dtype of its own weights, under autocast too: bfloat16 has only 256
    steps from 0.5 to 1, which float targets show.
    """
    for up, skip in zip(decoder, reversed(skips), strict=True):
        hidden = torch.cat([up(hidden), skip], dim=1)
    dtype = next(head.parameters()).dtype
    with torch.autocast(hidden.device.type, enabled=False):
        return head(hidden.to(dtype))


def init_weights(module: nn.Module) -> None:
    """Draw convolution weights from N(0, 0.02), norm scales from N(1, 0.02); biases are 0.

    Use with `Module.apply`. The values are those of the original Pix2Pix (Isola et al. 2017).
    """
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d | nn.GroupNorm):
        nn.init.normal_(module.weight, 1.0, 0.02)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw weights from a seed inside the block, and leave other random numbers as they were."""
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)
        yield


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
    elif isinstance(layer, nn.Upsample):
        return span[0] // 2, span[1] // 2
    return span
