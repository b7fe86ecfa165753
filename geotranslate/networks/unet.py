"""U-Net generators, of strided convolutions or of residual blocks."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, cast

import torch.nn.functional as F
from torch import Tensor, nn

from geotranslate.errors import InvalidInputError
from geotranslate.networks.layers import (
    AnySizeConv2d,
    Generator,
    Padding,
    Span,
    Upsample,
    decode,
    in_blocks,
    in_own_dtype,
    init_weights,
    last_activation,
    output_block,
    pad_to_multiple,
    read_span,
    up_block,
)
from geotranslate.networks.normalization import Norm, has_bias, make_norm

MAX_DEPTH = 8
MIN_CHIP_SIZE = 64
DROPOUT_BLOCKS = 3
WIDEST = 8
"""Largest number of filters of a level, in filters of the first level."""


def depth_for(chip_size: int) -> int:
    """Return the levels of a U-Net by chip size: 8 from 256 px on, 1 less for each halving.

    Raises:
        InvalidInputError: The chips are smaller than 64 px.
    """
    if chip_size < MIN_CHIP_SIZE:
        raise InvalidInputError(
            f"Chips of {chip_size} px are too small for a U-Net; use chips of {MIN_CHIP_SIZE} px "
            "or more."
        )
    return min(MAX_DEPTH, chip_size.bit_length() - 1)


class UNet(Generator):
    """Map `(n, bands_in, rows, cols)` to `(n, bands_out, rows, cols)`, both in -1..1.

    Every level halves the image with a 4 x 4 convolution of stride 2; the first, the innermost
    and the last have no normalization (Isola et al. 2017). Images whose sides are not multiples of
    `2**depth` are extended by reflection and the result is cropped.

    Args:
        bands_in: Bands of the source.
        bands_out: Bands of the target.
        depth: Number of levels, at least 2.
        ngf: Filters of the first level; next levels have twice as many each, at most 8 ngf.
        norm: Normalization of the inner levels.
        upsample: Layers that double the sides in the decoder, see `enlarge`.
        padding: Padding of convolutions at the edges.
        dropout: Dropout probability in the three innermost decoder blocks.
        bounded: Whether translations lie in -1..1.
    """

    def __init__(
        self,
        bands_in: int,
        bands_out: int,
        *,
        depth: int = MAX_DEPTH,
        ngf: int = 64,
        norm: Norm = "batch",
        upsample: Upsample = "transposed",
        padding: Padding = "zeros",
        dropout: float = 0.5,
        bounded: bool = True,
    ) -> None:
        super().__init__(2**depth, norm)
        widths = [ngf * min(2**level, 8) for level in range(depth)]
        self.encoder = nn.ModuleList(
            _down(
                widths[level - 1] if level else bands_in,
                widths[level],
                norm="none" if level in (0, depth - 1) else norm,
                activate=level > 0,
                bias=has_bias(norm),
                padding=padding,
            )
            for level in range(depth)
        )
        self.decoder = nn.ModuleList(
            up_block(
                widths[level] if level == depth - 1 else 2 * widths[level],
                widths[level - 1],
                norm=norm,
                upsample=upsample,
                padding=padding,
                dropout=dropout if level >= depth - DROPOUT_BLOCKS else 0.0,
            )
            for level in range(depth - 1, 0, -1)
        )
        self.head = output_block(
            2 * widths[0], bands_out, upsample=upsample, padding=padding, bounded=bounded
        )
        self.apply(init_weights)

    def forward(self, source: Tensor) -> Tensor:
        """Translate; sides of at least `2**depth - 1` px."""
        rows, cols = source.shape[-2:]
        source = self._with_texture(source)
        hidden = pad_to_multiple(source, self.stride)
        skips = []
        for down in self.encoder:
            hidden = down(hidden)
            skips.append(hidden)
        return decode(skips.pop(), skips, self.decoder, self.head)[..., :rows, :cols]

    @property
    def encoding(self) -> Iterable[nn.Module]:
        """The layers that halve the image."""
        return self.encoder

    def reads(self, span: Span) -> Span:
        """Return the span of source pixels that a span of translated pixels depends on."""
        # The path through the innermost level reads everything that the skips read.
        for layer in reversed([*self.encoder, *self.decoder, self.head]):
            span = read_span(layer, span)
        return span


def _down(
    bands_in: int, bands_out: int, *, norm: Norm, activate: bool, bias: bool, padding: Padding
) -> nn.Module:
    activation = nn.LeakyReLU(0.2) if activate else nn.Identity()
    convolution = nn.Conv2d(bands_in, bands_out, 4, 2, 1, bias=bias, padding_mode=padding)
    return nn.Sequential(activation, convolution, make_norm(norm, bands_out))


class ResUNet(Generator):
    """Map `(n, bands_in, rows, cols)` to `(n, bands_out, rows, cols)`.

    The image is rearranged to four times the bands at half the size (Shi et al. 2016,
    arXiv:1609.05158), and the translation back again, which avoids full-size convolutions without
    losing pixels. The encoder and the decoder have one residual block per level, with normalization
    and activation before the convolutions (He et al. 2016, arXiv:1603.05027); skip connections are
    added. Images whose sides are not multiples of `stride` are extended by reflection and the
    result is cropped.

    Args:
        bands_in: Bands of the source.
        bands_out: Bands of the target.
        depth: Number of levels, at least 1; the first is at half the size.
        ngf: Filters of the first level; next levels have twice as many each, at most 8 ngf.
        norm: Normalization in the blocks.
        padding: Padding of convolutions at the edges.
        dropout: Dropout probability that a channel of the innermost level is 0.
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

    @property
    def encoding(self) -> Iterable[nn.Module]:
        """The first convolution, and the blocks and convolutions that halve the image."""
        return self.first, self.encoder, self.downs

    def reads(self, span: Span) -> Span:
        """Return the span of source pixels that a span of translated pixels depends on."""
        # The path through the innermost level reads everything that the skips read.
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
    """Residual block whose two convolutions initially add 0 to `(n, channels, rows, cols)`."""

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
