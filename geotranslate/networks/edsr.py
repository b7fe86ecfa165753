"""Residual network at one size, without normalization."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from geotranslate.networks.layers import (
    AnySizeConv2d,
    Generator,
    Padding,
    Span,
    in_own_dtype,
    read_span,
)
from geotranslate.networks.unet import PreactivatedBlock


class EDSR(Generator):
    """Map `(n, bands_in, rows, cols)` to features of the same size.

    A 3 x 3 convolution, residual blocks of two 3 x 3 convolutions, and a 3 x 3 convolution, without
    normalization (Lim et al. 2017, arXiv:1707.02921). The image keeps its size inside, so that
    tiles may begin at any pixel.

    Args:
        bands_in: Bands of the source.
        bands_out: Features.
        blocks: Number of residual blocks.
        ngf: Filters of all convolutions.
        padding: Padding of convolutions at the edges.
    """

    def __init__(
        self, bands_in: int, bands_out: int, *, blocks: int = 8, ngf: int = 64, padding: Padding
    ) -> None:
        super().__init__(1, "none")
        self.first = AnySizeConv2d(bands_in, ngf, 3, padding=1, padding_mode=padding)
        self.blocks = nn.Sequential(
            *(PreactivatedBlock(ngf, "none", padding) for _ in range(blocks))
        )
        self.head = AnySizeConv2d(ngf, bands_out, 3, padding=1, padding_mode=padding)

    def forward(self, source: Tensor) -> Tensor:
        """Return features of an image of any size."""
        return in_own_dtype(self.head, self.blocks(self.first(source)))

    @property
    def encoding(self) -> Iterable[nn.Module]:
        """The first convolution and the residual blocks."""
        return self.first, self.blocks

    def reads(self, span: Span) -> Span:
        """Return the span of source pixels that a span of features depends on."""
        span = read_span(self.head, span)
        for _ in self.blocks:
            span = span[0] - 2, span[1] + 2
        return read_span(self.first, span)
