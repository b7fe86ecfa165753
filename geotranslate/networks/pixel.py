"""Small network over a pixel and its blurred neighbors, and generators that refine it."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geotranslate.networks.layers import Span, block_radius, pad_to_multiple

LEVELS = (1, 2, 3, 5)
"""Halvings whose blurred images are features: means over about 3, 6, 12 and 50 px."""
TEXTURES = (2, 3, 5)
"""Halvings whose deviations are features too; a single pixel has none."""
FEATURES = 1 + len(LEVELS) + len(TEXTURES)
"""Features of each band of a source."""
EPSILON = 1e-6
"""Added to variances, whose square roots have no derivative at 0."""
SOURCE_GAIN, DEVIATION = 2.0, 1 / 3
"""Factors between -1..1 and network values near 1, for sources and for target residuals."""
FAINT_WEIGHTS = 2e-3
"""Standard deviation of the initial weights of the last layer of a generator with a start."""
HIDDEN = 128
CHUNK = 2**16
"""Pixels whose hidden values are in memory at once when translating."""


class Pyramid(nn.Module):
    """Stack an image with its local means and standard deviations in growing neighborhoods.

    Images are halved by a binomial filter of 4 x 4 px (Burt and Adelson 1983) and enlarged
    bilinearly, so that the features are weighted means of a pixel's surroundings. Edges are
    replicated.
    """

    stride = 2 ** max(LEVELS)
    """Factor by which images shrink inside, px."""
    grouped = False
    """Whether all bands are filtered by one convolution, rather than each as an image."""
    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        # Not saved with the weights: it never changes.
        self.register_buffer("kernel", torch.outer(taps, taps)[None, None], persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Return `(n, bands * FEATURES, rows, cols)`; sides are whole multiples of `stride`."""
        found = [image]
        means, squares = image, image.square()
        for level in range(1, max(LEVELS) + 1):
            means, squares = self._halved(means), self._halved(squares)
            if level in LEVELS:
                found.append(_enlarged(means, level))
            if level in TEXTURES:
                variance = (squares - means.square()).clamp(min=0)
                found.append(_enlarged((variance + EPSILON).sqrt(), level))
        return torch.cat(found, dim=1)

    def _halved(self, image: Tensor) -> Tensor:
        count, bands, rows, cols = image.shape
        if self.grouped:
            extended = F.pad(image, (1, 1, 1, 1), mode="replicate")
            return F.conv2d(extended, torch.cat(bands * [self.kernel]), stride=2, groups=bands)
        flat = image.reshape(count * bands, 1, rows, cols)
        flat = F.conv2d(F.pad(flat, (1, 1, 1, 1), mode="replicate"), self.kernel, stride=2)
        return flat.reshape(count, bands, rows // 2, cols // 2)

    def reads(self, span: Span) -> Span:
        """Return the span of pixels that the features of a span depend on."""
        first, last = span
        # An enlarged pixel is interpolated between two, half a step to either side.
        scale = self.stride
        first, last = (2 * first + 1 - scale) // (2 * scale), (2 * last + 1 + scale) // (2 * scale)
        for _ in range(max(LEVELS)):
            first, last = 2 * first - 1, 2 * last + 2
        return min(first, span[0]), max(last, span[1])


def _enlarged(image: Tensor, level: int) -> Tensor:
    return F.interpolate(image, scale_factor=2.0**level, mode="bilinear")


class PixelNetwork(nn.Module):
    """Map a pixel and its neighborhood to a target pixel, with two hidden layers.

    It is fitted to a sample of pixels before the training and is constant afterwards.

    Args:
        bands_in: Bands of the source.
        bands_out: Bands of the target.
        hidden: Units of each hidden layer.
    """

    stride = Pyramid.stride
    chunk = CHUNK
    """Pixels translated at a time; 0 for all."""

    def __init__(self, bands_in: int, bands_out: int, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.pyramid = Pyramid()
        self.layers = nn.Sequential(
            nn.Linear(bands_in * FEATURES, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, bands_out),
        )
        self.requires_grad_(False)

    def neighborhoods(self, source: Tensor) -> Tensor:
        """Return `(n, features, rows, cols)` that `layers` take for every pixel, float32."""
        rows, cols = source.shape[-2:]
        with torch.autocast(source.device.type, enabled=False):
            extended = _extended(SOURCE_GAIN * source.float(), self.stride)
            return self.pyramid(extended)[..., :rows, :cols]

    def forward(self, source: Tensor) -> Tensor:
        """Translate `(n, bands, rows, cols)` of any size, in float32."""
        features = self.neighborhoods(source).movedim(1, -1)
        with torch.autocast(source.device.type, enabled=False):
            if not self.chunk:
                return self.layers(features).movedim(-1, 1)
            # Image by image, in parts of one size: the result does not depend on the batch.
            images = [
                torch.cat([self.layers(part) for part in image.flatten(0, 1).split(self.chunk)])
                for image in features
            ]
        return torch.stack(images).reshape(*features.shape[:-1], -1).movedim(-1, 1)


def _extended(image: Tensor, multiple: int) -> Tensor:
    """Extend an image below and to the right to multiples; small images by replication."""
    rows, cols = image.shape[-2:]
    if min(rows, cols) > multiple:
        return pad_to_multiple(image, multiple)
    return F.pad(image, (0, -cols % multiple, 0, -rows % multiple), mode="replicate")


class Started(nn.Module):
    """A generator that refines the output of a `PixelNetwork`, the start, by adding to it.

    The inputs of the generator are the source and the start. The weights of its last layer are
    initially near 0, so that the training begins with about the error of the start. They are not
    exactly 0, because then no other layer would get a gradient, and with the L1 loss the last layer
    hardly changes where the start is the median.

    Args:
        start: The network of the start.
        network: A generator of `bands_in + bands_out` bands, not bounded, with a `head`.
    """

    def __init__(self, start: PixelNetwork, network: Any) -> None:
        super().__init__()
        self.start, self.network = start, network
        self.stride = max(start.stride, network.stride)
        """Factor by which images shrink inside, px; shifts by it shift the translation."""
        for layer in network.head.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(layer.weight, 0, FAINT_WEIGHTS)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, source: Tensor) -> Tensor:
        """Translate `(n, bands, rows, cols)`."""
        rows, cols = source.shape[-2:]
        # Both networks get the same extended pixels, as in a tile that extends beyond the edge.
        source = _extended(source, self.stride)
        with torch.no_grad():
            start = self.start(source)
        both = torch.cat([SOURCE_GAIN * source, start / DEVIATION], dim=1)
        # The network may compute in bfloat16; the start is float32.
        both = both.to(next(self.network.parameters()).dtype)
        return (start + DEVIATION * self.network(both))[..., :rows, :cols]

    @property
    def radius(self) -> int | None:
        """Radius of the receptive field, px, see `block_radius`; None for the whole image."""
        return None if self.network.radius is None else block_radius(self.reads, self.stride)

    def reads(self, span: Span) -> Span:
        """Return the span of source pixels that a span of translated pixels depends on."""
        return self.start.pyramid.reads(self.network.reads(span))
