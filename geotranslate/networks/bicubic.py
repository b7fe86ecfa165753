"""Bicubic enlargement, and a network that adds details to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geotranslate.networks.layers import Span, block_radius

SHARPNESS = -0.5
"""Parameter of the cubic convolution, as in GDAL and PIL; the second derivative is exact."""
REACH = 2
"""Pixels to either side that the interpolation reads."""
DETAIL = 0.25
"""Factor between -1..1 and network values near 1, for details."""


class Bicubic(nn.Module):
    """Enlarge images by cubic convolution (Keys 1981); edges are replicated.

    The weights of a pixel depend on its place within a pixel of the image alone, so that tiles and
    the whole image give the same values to the last bit.

    Args:
        times: Pixels of the result for each pixel along an axis.
    """

    grouped = False
    """Whether all bands are enlarged by one convolution, rather than each as an image."""
    kernel: Tensor

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times
        taps = torch.tensor([_weights((j + 0.5) / times - 0.5) for j in range(times)])
        kernel = taps[:, None, :, None] * taps[None, :, None, :]
        # Not saved with the weights: it never changes.
        self.register_buffer("kernel", kernel.flatten(0, 1)[:, None], persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Return `(n, bands, times * rows, times * cols)` in float32."""
        count, bands, rows, cols = image.shape
        with torch.autocast(image.device.type, enabled=False):
            if self.grouped:
                extended = F.pad(image.float(), 4 * (REACH,), mode="replicate")
                kernel = torch.cat(bands * [self.kernel])
                return F.pixel_shuffle(F.conv2d(extended, kernel, groups=bands), self.times)
            flat = image.float().reshape(count * bands, 1, rows, cols)
            flat = F.conv2d(F.pad(flat, 4 * (REACH,), mode="replicate"), self.kernel)
            return F.pixel_shuffle(flat, self.times).reshape(count, bands, *self._size(image))

    def _size(self, image: Tensor) -> tuple[int, int]:
        return self.times * image.shape[-2], self.times * image.shape[-1]

    def reads(self, span: Span) -> Span:
        """Return the span of pixels that a span of the result depends on."""
        return span[0] // self.times - REACH, span[1] // self.times + REACH


def _weights(place: float) -> Sequence[float]:
    """Return the weights of the pixels from -2 to 2 at a place between -0.5 and 0.5."""
    a = SHARPNESS
    found = []
    for tap in range(-REACH, REACH + 1):
        x = abs(tap - place)
        near = (a + 2) * x**3 - (a + 3) * x**2 + 1
        far = a * (x**3 - 5 * x**2 + 8 * x - 4)
        found.append(near if x <= 1 else far if x < REACH else 0.0)
    return found


class OverBicubic(nn.Module):
    """A generator that adds details to the bicubic enlargement of its source.

    Its last layer is 0 at first, so that the untrained translation is the enlargement.

    Args:
        network: Generator of as many bands as the source, not bounded, with a `head`, whose
            translations have `times` times as many pixels along an axis.
        times: Target pixels per source pixel along an axis.
    """

    def __init__(self, network: Any, times: int) -> None:
        super().__init__()
        self.bicubic, self.network, self.times = Bicubic(times), network, times
        self.stride: int = network.stride
        """Factor by which images shrink inside, px; shifts by it shift the translation."""
        for layer in network.head.modules():
            for weight in layer.parameters(recurse=False):
                nn.init.zeros_(weight)

    def forward(self, source: Tensor) -> Tensor:
        """Translate `(n, bands, rows, cols)`, float32."""
        # The network may compute in bfloat16; the enlargement is float32.
        given = source.to(next(self.network.parameters()).dtype)
        return self.bicubic(source) + DETAIL * self.network(given)

    @property
    def radius(self) -> int | None:
        """Radius of the receptive field in source pixels; None for the whole image."""
        if self.network.radius is None:
            return None
        return block_radius(self.reads, self.stride, pixels=self.stride * self.times)

    def reads(self, span: Span) -> Span:
        """Return the span of source pixels that a span of translated pixels depends on."""
        one, other = self.network.reads(span), self.bicubic.reads(span)
        return min(one[0], other[0]), max(one[1], other[1])
