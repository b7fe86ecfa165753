"""Generators and discriminators of pairs whose sides differ in pixel size."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from geotranslate.networks.layers import (
    Padding,
    ResizeConv2d,
    Span,
    block_radius,
    in_own_dtype,
    init_weights,
    last_activation,
    pad_to_multiple,
)

LEAST_WIDTH = 16
"""Fewest channels between two enlargements."""


class RepeatConv2d(nn.Conv2d):
    """Repeat every pixel `times` times along both axes, then convolve 3 x 3.

    Args:
        bands_in: Bands of the image.
        bands_out: Bands of the result.
        times: Pixels of the result for each pixel along an axis.
        padding: Padding at the edges.
    """

    def __init__(self, bands_in: int, bands_out: int, times: int, padding: Padding) -> None:
        super().__init__(bands_in, bands_out, 3, padding=1, padding_mode=padding)
        self.times = times

    def forward(self, image: Tensor) -> Tensor:
        """Return `(n, channels, times * rows, times * cols)`."""
        repeated = image.repeat_interleave(self.times, -2).repeat_interleave(self.times, -1)
        return super().forward(repeated)


class Rescaled(nn.Module):
    """Map `(n, bands, rows, cols)` to `factor` times as many rows and columns, in -1..1.

    A generator makes features at the source's pixel size. To enlarge them, pixels are repeated and
    convolved once for each prime factor, as in a decoder; to reduce them, one convolution gathers
    the pixels under each pixel of the target. Source images are extended by reflection, in eval
    mode to multiples of `stride`, so that tiles of a scene, cropped, are the whole image.

    Args:
        network: Generator of `width` features, not bounded.
        factor: Target pixels per source pixel along an axis: a whole number, or 1 divided by one.
        width: Number of features; each enlargement halves it, at least to `LEAST_WIDTH`.
        bands_out: Bands of the target.
        padding: Padding of convolutions at the edges.
        bounded: Whether translations lie in -1..1.
    """

    def __init__(
        self,
        network: Any,
        factor: Fraction,
        *,
        width: int,
        bands_out: int,
        padding: Padding,
        bounded: bool,
    ) -> None:
        super().__init__()
        self.network, self.factor = network, factor
        self.stride = math.lcm(network.stride, factor.denominator)
        """Factor by which images shrink inside, px; shifts by it shift the translation."""
        self.times = _primes(factor.numerator)
        """Enlargements, in their order."""
        stages: list[nn.Module] = []
        for times in self.times[:-1]:
            narrower = max(width // 2, min(width, LEAST_WIDTH))
            stages += [nn.ReLU(), _enlarging(width, narrower, times, padding)]
            width = narrower
        self.stages = nn.Sequential(*stages)
        last = (
            _enlarging(width, bands_out, self.times[-1], padding)
            if self.times
            else nn.Conv2d(width, bands_out, factor.denominator, factor.denominator)
        )
        self.head = nn.Sequential(nn.ReLU(), last, last_activation(bounded))
        self.stages.apply(init_weights)
        self.head.apply(init_weights)

    def forward(self, source: Tensor) -> Tensor:
        """Translate; rows and columns of the translation are rounded up."""
        grown, shrunk = self.factor.numerator, self.factor.denominator
        rows, cols = (-(-side * grown // shrunk) for side in source.shape[-2:])
        hidden = self.stages(self.network(self._extended(source)))
        return in_own_dtype(self.head, hidden)[..., :rows, :cols]

    def _extended(self, source: Tensor) -> Tensor:
        """Extend an image below and to the right, so that the network and the head can shrink it.

        A tile at the edge of a scene is extended to a multiple of the stride, so the whole image
        is, too. Small images, and all in training, are only extended to whole target pixels: the
        network extends them further where it has to, and with a factor of 1/7 the stride may be
        longer than a chip.
        """
        small = min(source.shape[-2:]) < self.stride
        if self.stride > self.network.stride and (self.training or small):
            return pad_to_multiple(source, self.factor.denominator)
        return pad_to_multiple(source, self.stride)

    @property
    def radius(self) -> int | None:
        """Radius of the receptive field in source pixels; None for the whole image."""
        if self.network.radius is None:
            return None
        return block_radius(self.reads, self.stride, pixels=int(self.stride * self.factor))

    def reads(self, span: Span) -> Span:
        """Return the span of source pixels that a span of translated pixels depends on."""
        first, last = span
        for times in reversed(self.times):
            first, last = (first - 1) // times, (last + 1) // times
        shrunk = self.factor.denominator
        found: Span = self.network.reads((first * shrunk, last * shrunk + shrunk - 1))
        return found


def _primes(number: int) -> tuple[int, ...]:
    """Return the prime factors of a number, ascending; none of 1."""
    for prime in range(2, number + 1):
        if number % prime == 0:
            return prime, *_primes(number // prime)
    return ()


def _enlarging(bands_in: int, bands_out: int, times: int, padding: Padding) -> nn.Conv2d:
    if times == 2:
        return ResizeConv2d(bands_in, bands_out, 3, padding=1, padding_mode=padding)
    return RepeatConv2d(bands_in, bands_out, times, padding)


def rescaled(
    make: Callable[[int, bool], Any],
    bands_out: int,
    factor: Fraction,
    *,
    width: int,
    padding: Padding,
    bounded: bool,
) -> Any:
    """Return a generator for a factor, which is the made one itself for a factor of 1.

    Args:
        make: Function that makes a generator from its output bands and whether it is bounded.
        bands_out: Bands of the target.
        factor: Target pixels per source pixel along an axis.
        width: Features at the source's pixel size.
        padding: Padding of convolutions at the edges.
        bounded: Whether translations lie in -1..1.
    """
    if factor == 1:
        return make(bands_out, bounded)
    network = make(width, False)
    return Rescaled(
        network, factor, width=width, bands_out=bands_out, padding=padding, bounded=bounded
    )


class AtTargetSize(nn.Module):
    """A discriminator of pairs that sees the source at the pixel size of the target.

    Args:
        network: A discriminator of pairs.
        factor: Target pixels per source pixel along an axis.
    """

    def __init__(self, network: Any, factor: Fraction) -> None:
        super().__init__()
        self.network, self.factor = network, factor

    def forward(self, source: Tensor, target: Tensor) -> Any:
        """Return the logits of sources and targets in -1..1."""
        return self.network(brought(source, self.factor), target)

    def features(self, source: Tensor, target: Tensor) -> list[list[Tensor]]:
        """Return the activations of every layer; the last are the logits."""
        found: list[list[Tensor]] = self.network.features(brought(source, self.factor), target)
        return found


def brought(source: Tensor, factor: Fraction) -> Tensor:
    """Return sources `(n, bands, rows, cols)` at the pixel size of the target.

    Pixels are repeated, or averaged under each pixel of the target.
    """
    grown, shrunk = factor.numerator, factor.denominator
    if shrunk > 1:
        source = F.avg_pool2d(source, shrunk)
    return source.repeat_interleave(grown, -2).repeat_interleave(grown, -1)


def at_target_size(network: nn.Module, factor: Fraction) -> Any:
    """Return a discriminator of pairs for a factor, which is itself for a factor of 1."""
    return network if factor == 1 else AtTargetSize(network, factor)
