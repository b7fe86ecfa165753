"""ResNet generators, and the coarse-to-fine generator of pix2pixHD."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from geotranslate.errors import InvalidInputError
from geotranslate.networks.layers import (
    AnySizeConv2d,
    Generator,
    Halve,
    Padding,
    ResizeConv2d,
    Span,
    Upsample,
    in_blocks,
    in_own_dtype,
    init_weights,
    last_activation,
    read_span,
)
from geotranslate.networks.normalization import Norm, has_bias, make_norm


class ResNet(Generator):
    """Map `(n, bands_in, rows, cols)` to `(n, bands_out, rows, cols)`, both in -1..1.

    A 7 x 7 convolution, two of stride 2, residual blocks of two 3 x 3 convolutions, two that double
    the sides, and a 7 x 7 convolution (Johnson et al. 2016; Zhu et al. 2017, appendix 7.2). Its
    receptive field is smaller than a U-Net's, so that tiles can be cropped exactly. Images whose
    sides are not multiples of `stride` are extended by reflection and the result is cropped.

    Args:
        bands_in: Bands of the source.
        bands_out: Bands of the target.
        blocks: Number of residual blocks.
        downsamplings: Number of times that the sides are halved, and doubled again, at least 1.
        ngf: Filters of the first convolution; every halving doubles them.
        norm: Normalization after every convolution but the last.
        upsample: Layers that double the sides: 3 x 3 transposed convolutions, or repeated pixels
            and 3 x 3 convolutions.
        padding: Padding of convolutions at the edges.
        dropout: Dropout probability between the convolutions of a block.
        bounded: Whether translations lie in -1..1.
    """

    def __init__(
        self,
        bands_in: int,
        bands_out: int,
        *,
        blocks: int = 9,
        downsamplings: int = 2,
        ngf: int = 64,
        norm: Norm = "instance",
        upsample: Upsample = "transposed",
        padding: Padding = "reflect",
        dropout: float = 0.0,
        bounded: bool = True,
    ) -> None:
        super().__init__(2**downsamplings, norm)
        widths = [ngf * 2**level for level in range(downsamplings + 1)]
        layers = convolve(bands_in, ngf, 7, 1, norm=norm, padding=padding)
        for outer, inner in pairwise(widths):
            layers += convolve(outer, inner, 3, 2, norm=norm, padding=padding)
        self.encoder_layers = len(layers)
        """Number of layers before the residual blocks."""
        layers += [ResidualBlock(widths[-1], norm, padding, dropout) for _ in range(blocks)]
        for inner, outer in pairwise(reversed(widths)):
            layers += double(inner, outer, norm=norm, upsample=upsample, padding=padding)
        self.layers = nn.Sequential(*layers)
        self.head = output_layers(ngf, bands_out, padding, bounded)
        self.apply(init_weights)

    def forward(self, source: Tensor) -> Tensor:
        """Translate; sides of more than half of `stride` px."""
        rows, cols = source.shape[-2:]
        source = self._with_texture(source)
        hidden = self.layers(in_blocks(source, self, self.stride))
        return in_own_dtype(self.head, hidden)[..., :rows, :cols]

    @property
    def encoding(self) -> Iterable[nn.Module]:
        """The layers before the residual blocks."""
        return self.layers[: self.encoder_layers]

    def reads(self, span: Span) -> Span:
        """Return the span of source pixels that a span of translated pixels depends on."""
        return read_through(self.layers, read_span(self.head, span))


class ResidualBlock(nn.Module):
    """Add the output of two convolutions to `(n, channels, rows, cols)`."""

    def __init__(self, channels: int, norm: Norm, padding: Padding, dropout: float) -> None:
        super().__init__()
        convolution = partial(
            AnySizeConv2d, channels, channels, 3, padding_mode=padding, bias=has_bias(norm)
        )
        self.layers = nn.Sequential(
            convolution(padding=1),
            make_norm(norm, channels),
            nn.ReLU(),
            nn.Dropout(dropout),
            convolution(padding=1),
            make_norm(norm, channels),
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """Return an image of the same shape."""
        return hidden + self.layers(hidden)


def convolve(
    bands_in: int, bands_out: int, size: int, stride: int, *, norm: Norm, padding: Padding
) -> list[nn.Module]:
    """Return a convolution of `size` x `size` with its normalization and activation."""
    convolution = AnySizeConv2d(
        bands_in,
        bands_out,
        size,
        stride,
        size // 2,
        padding_mode=padding,
        bias=has_bias(norm),
    )
    return [convolution, make_norm(norm, bands_out), nn.ReLU()]


def double(
    bands_in: int, bands_out: int, *, norm: Norm, upsample: Upsample, padding: Padding
) -> list[nn.Module]:
    """Return a convolution that doubles the sides, with its normalization and activation."""
    layer: nn.Module
    if upsample == "resize":
        layer = ResizeConv2d(
            bands_in, bands_out, 3, padding=1, padding_mode=padding, bias=has_bias(norm)
        )
    else:
        # No padding mode, because a transposed convolution of stride 2 hardly uses padding.
        layer = nn.ConvTranspose2d(
            bands_in, bands_out, 3, 2, 1, output_padding=1, bias=has_bias(norm)
        )
    return [layer, make_norm(norm, bands_out), nn.ReLU()]


def output_layers(bands_in: int, bands_out: int, padding: Padding, bounded: bool) -> nn.Sequential:
    """Return the last 7 x 7 convolution and, if bounded, an activation to -1..1."""
    return nn.Sequential(
        AnySizeConv2d(bands_in, bands_out, 7, 1, 3, padding_mode=padding),
        last_activation(bounded),
    )


def read_through(layer: nn.Module, span: Span) -> Span:
    """Return the input pixels that a layer with residual blocks reads for a span."""
    if isinstance(layer, ResidualBlock):
        # The identity connection reads less than the convolutions.
        layer = layer.layers
    if not isinstance(layer, nn.Sequential):
        return read_span(layer, span)
    for part in reversed(layer):
        span = read_through(part, span)
    return span


class LocalEnhancer(Generator):
    """Map `(n, bands_in, rows, cols)` to `(n, bands_out, rows, cols)`, both in -1..1.

    The global generator, a `ResNet` without its output layers, gets the image at half the size for
    every level around it. Each level adds features of the image at twice that size to the features
    from inside, followed by residual blocks and a doubling of the sides (Wang et al. 2018, G2).
    Images whose sides are not multiples of `stride` are extended by reflection and the result is
    cropped.

    Args:
        bands_in: Bands of the source.
        bands_out: Bands of the target.
        n_local_enhancers: Number of levels around the coarse part.
        n_blocks_local: Number of residual blocks of a level.
        n_downsample_global: Number of times that the coarse part halves the sides, at least 1.
        n_blocks_global: Number of residual blocks of the coarse part.
        ngf: Filters of the coarse part, as for a `ResNet` alone; each level outwards has half as
            many, at least 1. In the published code `ngf` belongs to the outermost level.
        norm: Normalization after every convolution but the last.
        upsample: Layers that double the sides, see `ResNet`.
        padding: Padding of convolutions at the edges.
        dropout: Dropout probability between the convolutions of a block.
        bounded: Whether translations lie in -1..1.
    """

    def __init__(
        self,
        bands_in: int,
        bands_out: int,
        *,
        n_local_enhancers: int = 1,
        n_blocks_local: int = 3,
        n_downsample_global: int = 4,
        n_blocks_global: int = 9,
        ngf: int = 64,
        norm: Norm = "instance",
        upsample: Upsample = "transposed",
        padding: Padding = "reflect",
        dropout: float = 0.0,
        bounded: bool = True,
    ) -> None:
        super().__init__(2 ** (n_downsample_global + n_local_enhancers), norm)
        self.halve = Halve()
        self.coarse = ResNet(
            bands_in,
            bands_out,
            downsamplings=n_downsample_global,
            blocks=n_blocks_global,
            ngf=ngf,
            norm=norm,
            upsample=upsample,
            padding=padding,
            dropout=dropout,
        ).layers
        widths = [max(1, ngf // 2**level) for level in range(n_local_enhancers + 1)]
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        for inner, outer in pairwise(widths):
            first = convolve(bands_in, outer, 7, 1, norm=norm, padding=padding)
            second = convolve(outer, inner, 3, 2, norm=norm, padding=padding)
            self.downs.append(nn.Sequential(*first, *second))
            blocks = [ResidualBlock(inner, norm, padding, dropout) for _ in range(n_blocks_local)]
            doubled = double(inner, outer, norm=norm, upsample=upsample, padding=padding)
            self.ups.append(nn.Sequential(*blocks, *doubled))
        self.head = output_layers(widths[-1], bands_out, padding, bounded)
        for part in (self.downs, self.ups, self.head):
            part.apply(init_weights)

    def forward(self, source: Tensor) -> Tensor:
        """Translate; sides of more than half of `stride` px."""
        rows, cols = source.shape[-2:]
        source = self._with_texture(source)
        sizes = [in_blocks(source, self, self.stride)]
        for _ in self.downs:
            sizes.append(self.halve(sizes[-1]))
        hidden = self.coarse(sizes.pop())
        for down, up in zip(self.downs, self.ups, strict=True):
            hidden = up(down(sizes.pop()) + hidden)
        return in_own_dtype(self.head, hidden)[..., :rows, :cols]

    @property
    def encoding(self) -> Iterable[nn.Module]:
        """The coarse part."""
        return (self.coarse,)

    @property
    def frozen(self) -> bool:
        """Whether the weights and statistics of the coarse part are frozen."""
        return not any(weight.requires_grad for weight in self.coarse.parameters())

    def freeze(self) -> None:
        """Freeze the coarse part: its weights, and its running statistics in training."""
        self.coarse.requires_grad_(False)
        self.coarse.eval()

    def unfreeze(self) -> None:
        """Make the coarse part trainable."""
        self.coarse.requires_grad_(True)
        self.coarse.train(self.training)

    def train(self, mode: bool = True) -> LocalEnhancer:
        """Switch to training or eval mode; a frozen coarse part stays in eval mode."""
        super().train(mode)
        if self.frozen:
            self.coarse.eval()
        return self

    def load_coarse(self, weights: Mapping[str, Tensor]) -> None:
        """Load the weights of a `ResNet`, except its output layers, into the coarse part.

        Raises:
            InvalidInputError: The weights belong to another network: some are missing, too many or
                have other shapes.
        """
        found = {
            name.removeprefix("layers."): value
            for name, value in weights.items()
            if not name.startswith("head.")
        }
        own = self.coarse.state_dict()
        for name in [*own, *found]:
            if _shape(found.get(name)) != _shape(own.get(name)):
                raise InvalidInputError(
                    f"layers.{name} is {_shape(found.get(name))} where the coarse part's is "
                    f"{_shape(own.get(name))}; give the weights of a ResNet of the same "
                    "bands_in, downsamplings, blocks, ngf, norm and upsample."
                )
        self.coarse.load_state_dict(found)

    def reads(self, span: Span) -> Span:
        """Return the span of source pixels that a span of translated pixels depends on."""
        span = read_span(self.head, span)
        for up in reversed(self.ups):
            span = read_through(up, span)
        # The 7 x 7 convolution at half the size, or further inside, reads everything that the
        # layers of a level read.
        span = read_through(self.coarse, span)
        for _ in self.downs:
            span = read_span(self.halve, span)
        return span


def _shape(value: Tensor | None) -> str:
    return "missing" if value is None else " x ".join(map(str, value.shape)) or "a number"
