"""Layers of the networks, and the computation of receptive fields."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geotranslate.networks.normalization import (
    ChannelNorm,
    Norm,
    has_bias,
    has_image_norm,
    make_norm,
    textured,
)

Upsample = Literal["transposed", "resize"]
Padding = Literal["zeros", "reflect", "replicate"]
Span = tuple[int, int]
"""First and last pixel along an axis."""
INIT_GAIN = 0.02
"""Standard deviation of initial weights (Isola et al. 2017)."""
_init_gain = ContextVar("init_gain", default=INIT_GAIN)
FEW_PIXELS = 1024
"""Pixels below which the cost depends on the weights and a 3 x 3 kernel is faster."""


class AnySizeConv2d(nn.Conv2d):
    """Convolution that pads images too small for reflection by replication."""

    def forward(self, image: Tensor) -> Tensor:
        """Return `(n, channels, rows, cols)`."""
        beyond = int(self.padding[0])
        if self.padding_mode != "reflect" or min(image.shape[-2:]) > beyond:
            return super().forward(image)
        extended = F.pad(image, 4 * (beyond,), mode="replicate")
        return F.conv2d(extended, self.weight, self.bias, self.stride)


class ResizeConv2d(nn.Conv2d):
    """Double the sides of an image: repeat every pixel along both axes, then convolve 3 x 3.

    Only four of the nine repeated pixels under a kernel differ, so for images of many pixels a
    4 x 4 transposed convolution with summed weights gives the same result with less than half of
    the arithmetic.
    """

    def forward(self, image: Tensor) -> Tensor:
        """Return `(n, channels, 2 rows, 2 cols)`."""
        rows, cols = image.shape[-2:]
        if len(image) * rows * cols < FEW_PIXELS:
            return super().forward(F.interpolate(image, scale_factor=2))
        kernel = self._kernel()
        if self.padding_mode == "zeros":
            return F.conv_transpose2d(image, kernel, self.bias, 2, 1)
        # The reflection of a repeated pixel at the edge is the pixel itself.
        return F.conv_transpose2d(_repeated(image), kernel, self.bias, 2, 3)

    def as_transposed(self) -> nn.Module:
        """Return the transposed convolution, which computes the same for images of any size."""
        kernel = self._kernel().detach()
        extended = self.padding_mode != "zeros"
        padding = 3 if extended else 1
        bias = self.bias is not None
        bands_in, bands_out = kernel.shape[:2]
        layer = nn.ConvTranspose2d(bands_in, bands_out, 4, 2, padding, bias=bias)
        layer.weight.data = kernel.clone(memory_format=torch.contiguous_format)
        if bias:
            layer.bias = self.bias
        return nn.Sequential(Extend("replicate"), layer) if extended else layer

    def _kernel(self) -> Tensor:
        return _summed(_summed(self.weight, 2), 3).transpose(0, 1)


def _repeated(image: Tensor) -> Tensor:
    """Extend an image by one pixel on each side by repeating its edge."""
    if not torch.compiler.is_compiling():
        return F.pad(image, (1, 1, 1, 1), mode="replicate")
    # When compiled, the gradient of `F.pad` fails with channels last (torch 2.x, CPU).
    tall = torch.cat([image[..., :1, :], image, image[..., -1:, :]], dim=-2)
    return torch.cat([tall[..., :1], tall, tall[..., -1:]], dim=-1)


def _summed(weight: Tensor, axis: int) -> Tensor:
    """Return the four weights on pixels that equal three weights on repeated pixels."""
    first, second, third = weight.unbind(axis)
    return torch.stack([third, second + third, first + second, first], axis)


class Halve(nn.AvgPool2d):
    """Halve the sides of an image by means of 3 x 3 pixels, fewer at the edge."""

    def __init__(self) -> None:
        super().__init__(3, stride=2, padding=1, count_include_pad=False)


class Extend(nn.Module):
    """Extend an image by one pixel on each side, like the padding of `nn.Conv2d`."""

    def __init__(self, mode: Padding) -> None:
        super().__init__()
        self.mode = mode

    def forward(self, image: Tensor) -> Tensor:
        """Return `(n, channels, rows + 2, cols + 2)`; a single pixel is repeated."""
        if self.mode == "replicate" or min(image.shape[-2:]) == 1:
            return _repeated(image)
        return F.pad(image, (1, 1, 1, 1), mode=self.mode)


def enlarge(
    upsample: Upsample, bands_in: int, bands_out: int, *, bias: bool, padding: Padding = "zeros"
) -> list[nn.Module]:
    """Return layers that double the sides of an image.

    "transposed" is the 4 x 4 transposed convolution of Isola et al. 2017; "resize" repeats every
    pixel and convolves 3 x 3, which cannot draw a checkerboard (Odena et al. 2016, who found
    repeating better than bilinear interpolation).
    """
    if upsample == "resize":
        return [ResizeConv2d(bands_in, bands_out, 3, padding=1, padding_mode=padding, bias=bias)]
    if padding == "zeros":
        return [nn.ConvTranspose2d(bands_in, bands_out, 4, 2, 1, bias=bias)]
    return [Extend(padding), nn.ConvTranspose2d(bands_in, bands_out, 4, 2, 3, bias=bias)]


def up_block(
    bands_in: int,
    bands_out: int,
    *,
    norm: Norm,
    upsample: Upsample,
    padding: Padding,
    dropout: float,
) -> nn.Sequential:
    """Return a block of a decoder, which doubles the sides of an image."""
    layers = enlarge(upsample, bands_in, bands_out, bias=has_bias(norm), padding=padding)
    return nn.Sequential(nn.ReLU(), *layers, make_norm(norm, bands_out), nn.Dropout(dropout))


def output_block(
    bands_in: int, bands_out: int, *, upsample: Upsample, padding: Padding, bounded: bool = True
) -> nn.Sequential:
    """Return the last block of a generator: it doubles the sides and, if bounded, ends in -1..1."""
    layers = enlarge(upsample, bands_in, bands_out, bias=True, padding=padding)
    return nn.Sequential(nn.ReLU(), *layers, last_activation(bounded))


def last_activation(bounded: bool) -> nn.Module:
    """Return the last activation of a generator: tanh if translations lie in -1..1."""
    return nn.Tanh() if bounded else nn.Identity()


def decode(
    hidden: Tensor, skips: Sequence[Tensor], decoder: Iterable[nn.Module], head: nn.Module
) -> Tensor:
    """Return the output of a decoder, with the skip of each level from the innermost outwards."""
    for up, skip in zip(decoder, reversed(skips), strict=True):
        hidden = torch.cat([up(hidden), skip], dim=1)
    return in_own_dtype(head, hidden)


def in_own_dtype(head: nn.Module, hidden: Tensor) -> Tensor:
    """Return the output of a last block in the dtype of its weights, even under autocast.

    bfloat16 has only 256 steps from 0.5 to 1, which is visible in float targets.
    """
    dtype = next(head.parameters()).dtype
    with torch.autocast(hidden.device.type, enabled=False):
        return head(hidden.to(dtype))


def init_weights(module: nn.Module) -> None:
    """Draw convolution weights from N(0, 0.02), norm scales from N(1, 0.02); biases are 0.

    Use with `Module.apply`. The values are those of the original Pix2Pix (Isola et al. 2017);
    `seeded` replaces the standard deviation, as `--init_gain` of its PyTorch version does.
    """
    gain = _init_gain.get()
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, gain)
    elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d | nn.GroupNorm | ChannelNorm):
        nn.init.normal_(module.weight, 1.0, gain)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)


@contextmanager
def seeded(seed: int, init_gain: float = INIT_GAIN) -> Iterator[None]:
    """Seed torch's random numbers inside the block and restore their state afterwards.

    Args:
        seed: The seed.
        init_gain: Standard deviation of the weights that `init_weights` draws inside the block.
    """
    former = _init_gain.set(init_gain)
    try:
        with torch.random.fork_rng(devices=()):
            torch.default_generator.manual_seed(seed)
            yield
    finally:
        _init_gain.reset(former)


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Extend `(n, bands, rows, cols)` below and to the right to multiples, by reflection."""
    rows, cols = image.shape[-2:]
    below, right = -rows % multiple, -cols % multiple
    return F.pad(image, (0, right, 0, below), mode="reflect") if below or right else image


def in_blocks(image: Tensor, network: nn.Module, stride: int) -> Tensor:
    """Extend `(n, bands, rows, cols)` below and to the right to whole blocks of `stride` px.

    A network that normalizes every image on its own gets at least two blocks, because a single
    innermost pixel has no standard deviation.
    """
    extended = pad_to_multiple(image, stride)
    if max(extended.shape[-2:]) > stride or not has_image_norm(network):
        return extended
    return F.pad(extended, (0, stride, 0, 0), mode="replicate")


def multiplies_bfloat16(device: torch.device) -> bool:
    """Tell whether a device has bfloat16 instructions; elsewhere torch may emulate them."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    # Older versions of torch lack these tests; then the answer is no.
    tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, test, bool)() for test in tests)


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


def block_radius(read: Callable[[Span], Span], stride: int, *, pixels: int | None = None) -> int:
    """Return the radius of the receptive field, counted from the block that contains the pixel.

    Blocks have a side of `stride` pixels. Tiles that begin at whole blocks, and are cropped by this
    radius rounded up to whole blocks, give the same pixels as the whole image.

    Args:
        read: Function that returns the input pixels read for a span of output pixels.
        stride: Factor by which the network shrinks images inside.
        pixels: Output pixels of a block, where they are not as many as the input's.
    """
    # Pixels of a block differ in their positions relative to the pixels of inner levels.
    spans = [read((pixel, pixel)) for pixel in range(stride if pixels is None else pixels)]
    return max(max(-first, last - stride + 1) for first, last in spans)


class Generator(nn.Module):
    """Base of generators from `(n, bands_in, rows, cols)` to `(n, bands_out, rows, cols)`.

    Args:
        stride: Factor by which images shrink inside, px.
        norm: Normalization.
    """

    def __init__(self, stride: int, norm: Norm) -> None:
        super().__init__()
        self.stride = stride
        """Factor by which images shrink inside, px; shifts by it shift the translation."""
        self.normalizes_alone = norm == "instance"
        """Whether every image is normalized on its own."""

    @property
    def radius(self) -> int | None:
        """Radius of the receptive field in eval mode, px; see `block_radius`.

        None if a normalization covers the whole image.
        """
        return None if has_image_norm(self) else block_radius(self.reads, self.stride)

    @abstractmethod
    def reads(self, span: Span) -> Span:
        """Return the span of source pixels that a span of translated pixels depends on."""

    @property
    @abstractmethod
    def encoding(self) -> Iterable[nn.Module]:
        """The layers that `freeze` freezes, from the source to the smallest image."""

    def freeze(self) -> None:
        """Freeze the weights of the encoder, except in batch normalizations."""
        freeze_weights(self.encoding)

    def unfreeze(self) -> None:
        """Make the weights of the encoder trainable."""
        for layer in self.encoding:
            layer.requires_grad_(True)

    def _with_texture(self, source: Tensor) -> Tensor:
        return textured(source) if self.training and self.normalizes_alone else source


def freeze_weights(layers: Iterable[nn.Module]) -> None:
    """Freeze the weights of layers, except in batch normalizations."""
    for module in (part for layer in layers for part in layer.modules()):
        if not isinstance(module, nn.BatchNorm2d):
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(False)
