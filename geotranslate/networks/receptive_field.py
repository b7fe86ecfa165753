"""How far networks see."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from geotranslate.networks.layers import Extend, Halve, ResizeConv2d

Span = tuple[int, int]
"""First and last pixel along an axis."""


def reach(layer: nn.Module, span: Span) -> Span:
    """Return which input pixels a layer reads for some output pixels, padding included."""
    first, last = span
    if isinstance(layer, nn.Sequential):
        for part in reversed(layer):
            span = reach(part, span)
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


def halo(read: Callable[[Span], Span], stride: int) -> int:
    """Return how far a network sees beyond the block of `stride` pixels that a pixel lies in.

    Tiles that begin at whole blocks, and are cropped by so much, rounded up to whole blocks, give
    what the whole image would.

    Args:
        read: Tells which input pixels are read for some output pixels.
        stride: Factor by which the network shrinks images inside.
    """
    # Pixels differ in where they lie between the pixels of the levels below.
    spans = [read((pixel, pixel)) for pixel in range(stride)]
    return max(max(-first, last - stride + 1) for first, last in spans)
