"""The Pix2Pix generator: an encoder and a decoder with a skip at every level."""

from __future__ import annotations

from torch import Tensor, nn

from geotranslate.errors import InvalidInputError
from geotranslate.networks.layers import (
    Padding,
    Upsample,
    decode,
    init_weights,
    output_block,
    pad_to_multiple,
    up_block,
)
from geotranslate.networks.normalization import Norm, has_bias, make_norm
from geotranslate.networks.receptive_field import Generator, Span, read_span

MAX_DEPTH = 8
MIN_CHIP_SIZE = 64
DROPOUT_BLOCKS = 3


def depth_for(chip_size: int) -> int:
    """Return the number of levels for chips of a side: 8 from 256 px on, 1 less for each halving.

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
    and the last have no normalization (Isola et al. 2017). Images whose sides are no multiple of
    `2**depth` are extended by reflection and the result is cut back.

    Args:
        bands_in: Bands of the source.
        bands_out: Bands of the target.
        depth: Number of levels, at least 2.
        ngf: Filters of the first level; a level has twice those of the one before, at most 8 ngf.
        norm: Normalization of the inner levels.
        upsample: How the decoder doubles the sides, see `enlarge`.
        padding: What convolutions see beyond the edge.
        dropout: Probability in the three innermost decoder blocks, when training.
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

    def reads(self, span: Span) -> Span:
        """Return the source pixels that a span of translated pixels depends on, along an axis."""
        # The path through the innermost level reads all that the skips read.
        for layer in reversed([*self.encoder, *self.decoder, self.head]):
            span = read_span(layer, span)
        return span


def _down(
    bands_in: int, bands_out: int, *, norm: Norm, activate: bool, bias: bool, padding: Padding
) -> nn.Module:
    activation = nn.LeakyReLU(0.2) if activate else nn.Identity()
    convolution = nn.Conv2d(bands_in, bands_out, 4, 2, 1, bias=bias, padding_mode=padding)
    return nn.Sequential(activation, convolution, make_norm(norm, bands_out))
