"""A U-Net of residual blocks that begins at half the size of the image."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor, nn

from geotranslate.networks.layers import (
    AnySizeConv2d,
    Padding,
    in_blocks,
    in_own_dtype,
    last_activation,
)
from geotranslate.networks.normalization import Norm, make_norm
from geotranslate.networks.receptive_field import Generator, Span, read_span

WIDEST = 8
"""Largest number of filters of a level, in filters of the first level."""


class ResUNet(Generator):
    """Map `(n, bands_in, rows, cols)` to `(n, bands_out, rows, cols)`.

    The image is rearranged to four times the bands at half the size (Shi et al. 2016,
    arXiv:1609.05158), and the translation back again, so that no full-size convolution is needed
    and no pixel is lost. Every level has a residual block with its normalization and activation
    before the convolutions (He et al. 2016, arXiv:1603.05027) on the way in and one on the way out;
    what comes from the level inside is added to it. Images whose sides are no multiple of `stride`
    are extended by reflection and the result is cut back.

    Args:
        bands_in: Bands of the source.
        bands_out: Bands of the target.
        depth: Number of levels, at least 1; the first is at half the size.
        ngf: Filters of the first level; a level has twice those of the one before, at most 8 ngf.
        norm: Normalization in the blocks.
        padding: What convolutions see beyond the edge.
        dropout: Probability that a channel of the innermost level is 0, when training.
        bounded: Whether translations lie in -1..1.
    """

    def __init__(
        self,
        bands_in: int,
        bands_out: int,
        *,
        depth: int = 5,
        ngf: int = 64,
        norm: Norm = "batch",
        padding: Padding = "zeros",
        dropout: float = 0.5,
        bounded: bool = True,
    ) -> None:
        super().__init__(2**depth, norm)
        widths = [ngf * min(2**level, WIDEST) for level in range(depth)]
        same: dict[str, Any] = {"padding": 1, "padding_mode": padding}
        self.first = nn.Sequential(
            nn.PixelUnshuffle(2), AnySizeConv2d(4 * bands_in, widths[0], 3, **same)
        )
        self.encoder = nn.ModuleList(PreactivatedBlock(width, norm, padding) for width in widths)
        self.downs = nn.ModuleList(nn.Conv2d(*pair, 2, 2) for pair in pairwise(widths))
        self.dropout = nn.Dropout2d(dropout)
        self.ups = nn.ModuleList(nn.Conv2d(inner, outer, 1) for outer, inner in pairwise(widths))
        self.decoder = nn.ModuleList(
            PreactivatedBlock(width, norm, padding) for width in widths[:-1]
        )
        self.head = nn.Sequential(
            nn.ReLU(),
            AnySizeConv2d(widths[0], 4 * bands_out, 3, **same),
            nn.PixelShuffle(2),
            last_activation(bounded),
        )

    def forward(self, source: Tensor) -> Tensor:
        """Translate; sides of more than half of `stride` px."""
        rows, cols = source.shape[-2:]
        source = self._with_texture(source)
        hidden = self.first(in_blocks(source, self, self.stride))
        skips = []
        for block, down in zip(self.encoder, self.downs, strict=False):
            skips.append(block(hidden))
            hidden = down(skips[-1])
        hidden = self.dropout(self.encoder[-1](hidden))
        for block, up in zip(reversed(self.decoder), reversed(self.ups), strict=True):
            hidden = block(F.interpolate(up(hidden), scale_factor=2) + skips.pop())
        return in_own_dtype(self.head, hidden)[..., :rows, :cols]

    def reads(self, span: Span) -> Span:
        """Return the source pixels that a span of translated pixels depends on, along an axis."""
        # The path through the innermost level reads all that the skips read.
        span = read_span(self.head, span)
        for block in self.decoder:
            first, last = read_span(cast(PreactivatedBlock, block).layers, span)
            span = first // 2, last // 2
        for block in reversed(self.encoder):
            span = read_span(cast(PreactivatedBlock, block).layers, span)
            if block is not self.encoder[0]:
                span = 2 * span[0], 2 * span[1] + 1
        return read_span(self.first, span)


class PreactivatedBlock(nn.Module):
    """Add the output of two convolutions, at first 0, to `(n, channels, rows, cols)`."""

    def __init__(self, channels: int, norm: Norm, padding: Padding) -> None:
        super().__init__()
        same: dict[str, Any] = {"padding": 1, "padding_mode": padding}
        last = AnySizeConv2d(channels, channels, 3, **same)
        for weight in last.parameters():
            nn.init.zeros_(weight)
        self.layers = nn.Sequential(
            make_norm(norm, channels),
            nn.ReLU(),
            AnySizeConv2d(channels, channels, 3, **same),
            nn.ReLU(),
            last,
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """Return an image of the same shape."""
        return hidden + self.layers(hidden)
