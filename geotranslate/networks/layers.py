"""Parts that the networks share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Norm = Literal["batch", "renorm", "instance", "group", "channel", "none"]
Upsample = Literal["transposed", "resize"]
Padding = Literal["zeros", "reflect", "replicate"]
Span = tuple[int, int]
"""First and last pixel along an axis."""

MAX_GROUPS = 32
RENORM_BATCHES = 1000
RENORM_MOMENTUM = 0.01
FAINT = 1 / 255
"""In -1..1: half a grey level of bytes."""
FEW_PIXELS = 1024
"""Of images with fewer pixels the weights are most of the work, and three are less than four."""


def make_norm(norm: Norm, channels: int) -> nn.Module:
    """Return a normalisation layer with trainable scale and shift.

    Group norm has 32 groups (Wu and He 2018), or as many as the greatest common divisor of 32 and
    the channels.
    """
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "renorm":
        return BatchRenorm2d(channels)
    if norm == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    if norm == "group":
        return nn.GroupNorm(math.gcd(MAX_GROUPS, channels), channels)
    return ChannelNorm(channels) if norm == "channel" else nn.Identity()


class BatchRenorm2d(nn.BatchNorm2d):
    """Batch normalisation that trains with nearly the statistics that it translates with.

    A batch normalised by itself is brought to the running statistics by a factor and a shift that
    have no gradient (Ioffe 2017, arXiv:1702.03275, equations 3 to 6), so that single images train
    it too. Both are limited, to 3 and 5; the limits open over the first thousand batches, before
    which it is batch normalisation.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def forward(self, image: Tensor) -> Tensor:
        """Normalise `(n, channels, rows, cols)`."""
        if not self.training:
            return super().forward(image)
        with torch.no_grad():
            seen = int(self.num_batches_tracked.add_(1))
            opened = min(seen / RENORM_BATCHES, 1)
            variance, mean = torch.var_mean(image.float(), (0, 2, 3), correction=0)
            running = (self.running_var + self.eps).sqrt()
            most = 1 + 2 * opened
            factor = ((variance + self.eps).sqrt() / running).clamp(1 / most, most)
            shift = ((mean - self.running_mean) / running).clamp(-5 * opened, 5 * opened)
        return F.batch_norm(
            image,
            self.running_mean,
            self.running_var,
            self.weight * factor,
            self.bias + self.weight * shift,
            training=True,
            # The mean of the first hundred batches, then a moving one.
            momentum=max(1 / seen, RENORM_MOMENTUM),
            eps=self.eps,
        )


class ChannelNorm(nn.Module):
    """Normalise every pixel by the mean and variance of its own channels.

    It is layer normalisation (Ba et al. 2016) at every pixel: no pixel sees another.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, image: Tensor) -> Tensor:
        """Normalise `(n, channels, rows, cols)`."""
        last = image.permute(0, 2, 3, 1)
        return F.layer_norm(last, self.weight.shape, self.weight, self.bias).permute(0, 3, 1, 2)


def sees_image(network: nn.Module) -> bool:
    """Return whether a network has a normalisation that looks at the whole image."""
    kinds = (nn.InstanceNorm2d, nn.GroupNorm)
    return any(isinstance(module, kinds) for module in network.modules())


class AnySizeConv2d(nn.Conv2d):
    """Convolve; an image that is too small to be reflected at its edges is repeated there."""

    def forward(self, image: Tensor) -> Tensor:
        """Return `(n, channels, rows, cols)`."""
        beyond = int(self.padding[0])
        if self.padding_mode != "reflect" or min(image.shape[-2:]) > beyond:
            return super().forward(image)
        extended = F.pad(image, 4 * (beyond,), mode="replicate")
        return F.conv2d(extended, self.weight, self.bias, self.stride)


class ResizeConv2d(nn.Conv2d):
    """Repeat every pixel along both axes, then convolve 3 x 3: it doubles the sides of an image.

    An image of many pixels takes another way to the same result: of the nine repeated pixels that
    a new one sees, only four differ, so that a transposed convolution of 4 x 4, whose weights are
    sums of these, gives the same with less than half of the arithmetic.
    """

    def forward(self, image: Tensor) -> Tensor:
        """Return `(n, channels, 2 rows, 2 cols)`."""
        rows, cols = image.shape[-2:]
        if len(image) * rows * cols < FEW_PIXELS:
            return super().forward(F.interpolate(image, scale_factor=2))
        kernel = _summed(_summed(self.weight, 2), 3).transpose(0, 1)
        if self.padding_mode == "zeros":
            return F.conv_transpose2d(image, kernel, self.bias, 2, 1)
        # A repeated pixel at the edge has itself for its reflection.
        return F.conv_transpose2d(_repeated(image), kernel, self.bias, 2, 3)


def _repeated(image: Tensor) -> Tensor:
    """Extend an image by one pixel on each side, which is that at the edge again."""
    if not torch.compiler.is_compiling():
        return F.pad(image, (1, 1, 1, 1), mode="replicate")
    # Compiled, the gradient of that fails where channels lie beside each other (torch 2.x, CPU).
    tall = torch.cat([image[..., :1, :], image, image[..., -1:, :]], dim=-2)
    return torch.cat([tall[..., :1], tall, tall[..., -1:]], dim=-1)


def _summed(weight: Tensor, axis: int) -> Tensor:
    """Return the four weights along an axis that do to pixels what three do to repeated ones."""
    first, second, third = weight.unbind(axis)
    return torch.stack([third, second + third, first + second, first], axis)


class Halve(nn.AvgPool2d):
    """Halve the sides of an image: means of 3 x 3 pixels, at its edge of those that there are."""

    def __init__(self) -> None:
        super().__init__(3, stride=2, padding=1, count_include_pad=False)


class Extend(nn.Module):
    """Extend an image by one pixel on each side, as `nn.Conv2d` does where it pads."""

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
        options: dict[str, Any] = {"padding": 1, "padding_mode": padding, "bias": bias}
        return [ResizeConv2d(bands_in, bands_out, 3, **options)]
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
    bands_in: int, bands_out: int, *, upsample: Upsample, padding: Padding
) -> nn.Sequential:
    """Return the last block of a generator, which doubles the sides and ends in -1..1."""
    layers = enlarge(upsample, bands_in, bands_out, bias=True, padding=padding)
    return nn.Sequential(nn.ReLU(), *layers, nn.Tanh())


def has_bias(norm: Norm) -> bool:
    """Return whether a convolution before a normalisation has a bias, as in the reference."""
    return norm == "instance"


def decode(
    hidden: Tensor, skips: Sequence[Tensor], decoder: Iterable[nn.Module], head: nn.Module
) -> Tensor:
    """Return what a decoder makes of the innermost level, with the skip of each level outwards."""
    for up, skip in zip(decoder, reversed(skips), strict=True):
        hidden = torch.cat([up(hidden), skip], dim=1)
    return in_own_dtype(head, hidden)


def in_own_dtype(head: nn.Module, hidden: Tensor) -> Tensor:
    """Return what a last block makes of an image in the dtype of its weights, also in autocast.

    bfloat16 has only 256 steps from 0.5 to 1, which float targets show.
    """
    dtype = next(head.parameters()).dtype
    with torch.autocast(hidden.device.type, enabled=False):
        return head(hidden.to(dtype))


def init_weights(module: nn.Module) -> None:
    """Draw convolution weights from N(0, 0.02), norm scales from N(1, 0.02); biases are 0.

    Use with `Module.apply`. The values are those of the original Pix2Pix (Isola et al. 2017).
    """
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d | nn.GroupNorm | ChannelNorm):
        nn.init.normal_(module.weight, 1.0, 0.02)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw weights from a seed inside the block, and leave other random numbers as they were."""
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)
        yield


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Extend `(n, bands, rows, cols)` by reflection below and to the right to whole multiples."""
    rows, cols = image.shape[-2:]
    below, right = -rows % multiple, -cols % multiple
    return F.pad(image, (0, right, 0, below), mode="reflect") if below or right else image


def in_blocks(image: Tensor, network: nn.Module, stride: int) -> Tensor:
    """Extend `(n, bands, rows, cols)` below and to the right to whole blocks of `stride` px.

    A network that normalises every image by itself gets two of them or more: a single pixel has no
    deviation.
    """
    extended = pad_to_multiple(image, stride)
    if max(extended.shape[-2:]) > stride or not sees_image(network):
        return extended
    return F.pad(extended, (0, stride, 0, 0), mode="replicate")


def textured(images: Tensor) -> Tensor:
    """Return `(n, bands, rows, cols)` with faint noise in the images of one colour.

    They have nothing to normalise: normalisations of single images would magnify rounding, and in
    training gradients, by some hundred in every layer.
    """
    ranges = images.amax((2, 3), keepdim=True) - images.amin((2, 3), keepdim=True)
    flat = ranges.amax(1, keepdim=True) < FAINT
    return torch.where(flat, images + FAINT * torch.randn_like(images), images)


def reach(layer: nn.Module, span: Span) -> Span:
    """Return which input pixels a layer reads for some output pixels, padding included."""
    first, last = span
    if isinstance(layer, nn.Sequential):
        for part in reversed(layer):
            span = reach(part, span)
        return span
    if isinstance(layer, ResizeConv2d):
        return (first - 1) // 2, (last + 1) // 2
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
