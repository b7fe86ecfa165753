"""Receptive fields of networks, and the base of generators that know theirs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from torch import Tensor, nn

from geotranslate.networks.layers import Extend, Halve, ResizeConv2d
from geotranslate.networks.normalization import Norm, has_image_norm, textured

Span = tuple[int, int]
"""First and last pixel along an axis."""


def read_span(layer: nn.Module, span: Span) -> Span:
    """Return the input pixels that a layer reads for a span of output pixels, padding included."""
    first, last = span
    if isinstance(layer, nn.Sequential):
        for part in reversed(layer):
            span = read_span(part, span)
        return span
    if isinstance(layer, ResizeConv2d):
        return (first - 1) // 2, (last + 1) // 2
    if isinstance(layer, nn.PixelShuffle):
        return first // layer.upscale_factor, last // layer.upscale_factor
    if isinstance(layer, nn.PixelUnshuffle):
        factor = layer.downscale_factor
        return first * factor, last * factor + factor - 1
    if isinstance(layer, Extend):
        return first - 1, last - 1
    if isinstance(layer, Halve):
        return 2 * first - 1, 2 * last + 1
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        kernel, stride, padding = layer.kernel_size[0], layer.stride[0], int(layer.padding[0])
        if isinstance(layer, nn.Conv2d):
            return first * stride - padding, last * stride - padding + kernel - 1
        return -((kernel - 1 - padding - first) // stride), (last + padding) // stride
    return span


def block_radius(read: Callable[[Span], Span], stride: int) -> int:
    """Return the radius of the receptive field beyond the block of `stride` pixels of a pixel.

    Tiles that begin at whole blocks, and are cropped by this radius rounded up to whole blocks,
    give the same pixels as the whole image.

    Args:
        read: Returns the input pixels that are read for a span of output pixels.
        stride: Factor by which the network shrinks images inside.
    """
    # Pixels differ in where they lie between the pixels of the levels below.
    spans = [read((pixel, pixel)) for pixel in range(stride)]
    return max(max(-first, last - stride + 1) for first, last in spans)


class Generator(nn.Module):
    """A generator of `(n, bands_out, rows, cols)` from `(n, bands_in, rows, cols)`.

    Args:
        stride: Factor by which images are shrunk inside, px.
        norm: Normalization.
    """

    def __init__(self, stride: int, norm: Norm) -> None:
        super().__init__()
        self.stride = stride
        """Factor by which images are shrunk inside: only shifts by it shift the translation."""
        self.normalizes_alone = norm == "instance"
        """Whether every image is normalized by itself."""

    @property
    def radius(self) -> int | None:
        """Radius of the receptive field beyond the block of `stride` pixels of a pixel.

        It holds in eval mode. None where a normalization covers the whole image.
        """
        return None if has_image_norm(self) else block_radius(self.reads, self.stride)

    @abstractmethod
    def reads(self, span: Span) -> Span:
        """Return the source pixels that a span of translated pixels depends on, along an axis."""

    def _with_texture(self, source: Tensor) -> Tensor:
        return textured(source) if self.training and self.normalizes_alone else source
