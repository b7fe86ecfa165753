"""The generator of residual blocks: half a dozen convolutions around blocks at a quarter size."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from geotranslate.networks.layers import (
    Norm,
    Padding,
    ResizeConv2d,
    Span,
    Upsample,
    halo,
    has_bias,
    in_own_dtype,
    init_weights,
    make_norm,
    pad_to_multiple,
    reach,
    sees_image,
    textured,
)


class ResNet(nn.Module):
    """Map `(n, bands_in, rows, cols)` to `(n, bands_out, rows, cols)`, both in -1..1.

    A 7 x 7 convolution, two of stride 2, residual blocks of two 3 x 3 convolutions, two that double
    the sides, and a 7 x 7 convolution (Johnson et al. 2016; Zhu et al. 2017, appendix 7.2). It sees
    less far than a U-Net, so that tiles can be cropped without a trace. Images whose sides are no
    multiple of 4 are extended by reflection and the result is cut back.

    Args:
        bands_in: Bands of the source.
        bands_out: Bands of the target.
        blocks: Number of residual blocks.
        ngf: Filters of the first convolution; the blocks have four times as many.
        norm: Normalisation after every convolution but the last.
        upsample: How the sides are doubled: 3 x 3 transposed convolutions, or repeated pixels and
            3 x 3 convolutions.
        padding: What convolutions see beyond the edge.
        dropout: Probability between the convolutions of a block, when training.
    """

    stride = 4
    """Factor by which images are shrunk inside: only shifts by it shift the translation."""

    def __init__(
        self,
        bands_in: int,
        bands_out: int,
        *,
        blocks: int = 9,
        ngf: int = 64,
        norm: Norm = "instance",
        upsample: Upsample = "transposed",
        padding: Padding = "reflect",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.alone = norm == "instance"
        """Whether every image is normalised by itself."""
        bias = has_bias(norm)
        same: dict[str, Any] = {"padding_mode": padding, "bias": bias}
        layers: list[nn.Module] = []
        for wide, size, stride in ((1, 7, 1), (2, 3, 2), (4, 3, 2)):
            before = bands_in if wide == 1 else ngf * wide // 2
            layers += [
                nn.Conv2d(before, ngf * wide, size, stride, size // 2, **same),
                make_norm(norm, ngf * wide),
                nn.ReLU(),
            ]
        layers += [ResidualBlock(4 * ngf, norm, padding, dropout) for _ in range(blocks)]
        for wide in (4, 2):
            layers += [
                _double(ngf * wide, ngf * wide // 2, upsample, padding, bias),
                make_norm(norm, ngf * wide // 2),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers)
        last = nn.Conv2d(ngf, bands_out, 7, 1, 3, padding_mode=padding)
        self.head = nn.Sequential(last, nn.Tanh())
        self.apply(init_weights)

    def forward(self, source: Tensor) -> Tensor:
        """Translate; sides of at least 16 px."""
        rows, cols = source.shape[-2:]
        if self.training and self.alone:
            source = textured(source)
        hidden = self.layers(pad_to_multiple(source, self.stride))
        return in_own_dtype(self.head, hidden)[..., :rows, :cols]

    @property
    def radius(self) -> int | None:
        """How many pixels beyond the block of `stride` pixels that it lies in a pixel sees.

        It holds in eval mode. None where a normalisation looks at the whole image.
        """
        return None if sees_image(self) else halo(self._reach, self.stride)

    def _reach(self, span: Span) -> Span:
        for layer in reversed([*self.layers, self.head]):
            # What goes around the convolutions of a block sees less than they do.
            span = reach(layer.layers if isinstance(layer, ResidualBlock) else layer, span)
        return span


class ResidualBlock(nn.Module):
    """Add what two convolutions make of `(n, channels, rows, cols)` to it."""

    def __init__(self, channels: int, norm: Norm, padding: Padding, dropout: float) -> None:
        super().__init__()
        same: dict[str, Any] = {"padding": 1, "padding_mode": padding, "bias": has_bias(norm)}
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, **same),
            make_norm(norm, channels),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv2d(channels, channels, 3, **same),
            make_norm(norm, channels),
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """Return an image of the same shape."""
        return hidden + self.layers(hidden)


def _double(
    bands_in: int, bands_out: int, upsample: Upsample, padding: Padding, bias: bool
) -> nn.Module:
    if upsample == "resize":
        return ResizeConv2d(bands_in, bands_out, 3, padding=1, padding_mode=padding, bias=bias)
    # Its pixels lie beside each other: beyond the edge it never looks far.
    return nn.ConvTranspose2d(bands_in, bands_out, 3, 2, 1, output_padding=1, bias=bias)
