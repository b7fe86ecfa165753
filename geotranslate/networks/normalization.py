"""Normalization layers, and their replacement by statistics of scenes and tiles."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Norm = Literal["batch", "renorm", "instance", "group", "channel", "none"]
NORMS = (nn.BatchNorm2d, nn.InstanceNorm2d, nn.GroupNorm)

MAX_GROUPS = 32
"""Groups of group norm, if they divide the channels."""
RENORM_BATCHES = 1000
"""Batches over which the limits of batch renormalization are relaxed."""
RENORM_MOMENTUM = 0.01
"""Smallest share of a batch in the running statistics of batch renormalization."""
FAINT = 1 / 255
"""Half a gray level of bytes, in -1..1."""


def make_norm(norm: Norm, channels: int) -> nn.Module:
    """Return a normalization layer with trainable scale and shift.

    Group norm has 32 groups (Wu and He 2018), or the greatest common divisor of 32 and the
    channels. "renorm" and "channel" are experimental: docs/seams.md has higher errors for them than
    for "batch".
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
    """Batch renormalization, which trains with nearly the same statistics as eval mode uses.

    It is experimental: docs/seams.md has higher errors for it than for batch normalization.

    After batch normalization, a factor and a shift without gradients correct for the difference
    between the batch's and the running statistics (Ioffe 2017, arXiv:1702.03275, equations 3 to 6),
    so that batches of one image work too. The factor is limited to 3 and the shift to 5. The limits
    are relaxed over the first thousand batches, starting with plain batch normalization.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def forward(self, image: Tensor) -> Tensor:
        """Normalize `(n, channels, rows, cols)`."""
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
            # The mean over the first hundred batches, then a moving average.
            momentum=max(1 / seen, RENORM_MOMENTUM),
            eps=self.eps,
        )


class ChannelNorm(nn.Module):
    """Normalize every pixel by the mean and variance over its own channels.

    It is layer normalization (Ba et al. 2016) of each pixel, independent of all others. It is
    experimental: docs/seams.md has higher errors for it than for batch normalization.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, image: Tensor) -> Tensor:
        """Normalize `(n, channels, rows, cols)`."""
        last = image.permute(0, 2, 3, 1)
        return F.layer_norm(last, self.weight.shape, self.weight, self.bias).permute(0, 3, 1, 2)


def has_image_norm(network: nn.Module) -> bool:
    """Tell whether a network has a normalization over the whole image."""
    kinds = (nn.InstanceNorm2d, nn.GroupNorm)
    return any(isinstance(module, kinds) for module in network.modules())


def has_bias(norm: Norm) -> bool:
    """Tell whether a convolution before a normalization has a bias, as in the reference code."""
    return norm == "instance"


def textured(images: Tensor) -> Tensor:
    """Return `(n, bands, rows, cols)` with faint noise added to images of one color.

    The standard deviation of such images is 0, so normalizing them on their own would magnify
    rounding errors, and gradients in training, about a hundredfold in every layer.
    """
    ranges = images.amax((2, 3), keepdim=True) - images.amin((2, 3), keepdim=True)
    flat = ranges.amax(1, keepdim=True) < FAINT
    return torch.where(flat, images + FAINT * torch.randn_like(images), images)


@dataclass(frozen=True)
class Around:
    """Statistics of the tiles around each tile of a batch, and their interpolation weights."""

    values: Tensor
    """`(n, rows of tiles, columns of tiles, statistics)`."""
    down: Callable[[int], Tensor]
    """Function that returns weights `(n, rows, rows of tiles)` for the rows of an image."""
    across: Callable[[int], Tensor]
    """Function that returns weights `(n, columns, columns of tiles)` for its columns."""


# Context variables, because several threads may use a network.
_validity: ContextVar[Tensor] = ContextVar("validity")
_around: ContextVar[Around | None] = ContextVar("around", default=None)


def lacking(network: nn.Module) -> list[str]:
    """Return the class names of normalizations without running statistics, such as GroupNorm."""
    without = {
        type(layer).__name__
        for layer in network.modules()
        if isinstance(layer, NORMS) and getattr(layer, "running_mean", None) is None
    }
    return sorted(without)


def normalizes(network: nn.Module) -> bool:
    """Tell whether a network has normalizations with statistics over more than a pixel."""
    return any(isinstance(layer, NORMS) for layer in network.modules())


def by_tile(network: nn.Module) -> nn.Module:
    """Return a copy of a network that normalizes every image by its own statistics."""

    def alone(layer: nn.Module) -> nn.Module:
        # With one group per channel: instance normalization that accepts single pixels.
        norm = nn.GroupNorm(_groups(layer), _channels(layer), _eps(layer), device=_device(layer))
        return _with_affine(norm, layer)

    return _replaced(network, alone)


def fixed(network: nn.Module, statistics: Tensor | None = None) -> nn.Module:
    """Return a copy of a network with fixed statistics.

    Args:
        network: The network.
        statistics: Vector of statistics; by default means of 0 and deviations of 1.
    """
    taken = 0

    def still(layer: nn.Module) -> nn.Module:
        nonlocal taken
        channels, groups = _channels(layer), _groups(layer)
        norm = nn.BatchNorm2d(channels, _eps(layer), device=_device(layer))
        if statistics is not None:
            mean, deviation = (
                statistics[taken : taken + 2 * groups].to(_device(layer)).split(groups)
            )
            norm.running_mean = mean.float().repeat_interleave(channels // groups)
            norm.running_var = deviation.float().square().repeat_interleave(channels // groups)
        taken += 2 * groups
        return _with_affine(norm, layer)

    return _replaced(network, still)


def between_tiles(network: nn.Module) -> nn.Module:
    """Return a copy of a network whose statistics are interpolated between tiles, see `around`."""
    taken = 0

    def smooth(layer: nn.Module) -> nn.Module:
        nonlocal taken
        taken += 2 * _groups(layer)
        return _Between(layer, taken - 2 * _groups(layer))

    return _replaced(network, smooth)


def measuring(network: nn.Module, *, together: bool, share: float = 1.0) -> nn.Module:
    """Return a copy of a network for `measure`.

    Args:
        network: The network.
        together: Whether statistics are over the whole batch, as in the training of batch
            normalization; otherwise over each image.
        share: Share of the measured statistics in a mixture with the running ones, which have to
            exist if it is below 1. The mean and variance are those of pixels of which this share
            comes from the images (law of total variance).
    """
    return _replaced(network, lambda layer: _Measuring(layer, together=together, share=share))


def measure(network: nn.Module, images: Tensor, valid: Tensor) -> Tensor:
    """Return the statistics of images in all layers; layers are normalized as they are measured.

    Args:
        network: Result of `measuring`.
        images: `(n, bands, rows, cols)`, filled where invalid; their sides are multiples of the
            network's stride.
        valid: `(n, 1, rows, cols)`, 1 for pixels that count; each image has some. A pixel of an
            inner layer is weighted by the share of valid pixels under it.

    Returns:
        `(n, statistics)`, or `(1, statistics)` if measured together, on the CPU.
    """
    token = _validity.set(valid)
    try:
        with torch.inference_mode():
            network(images)
    finally:
        _validity.reset(token)
    return torch.cat([m.found.cpu() for m in network.modules() if isinstance(m, _Measuring)], dim=1)


def size_of(network: nn.Module) -> int:
    """Return the number of a network's statistics."""
    return sum(2 * _groups(layer) for layer in network.modules() if isinstance(layer, NORMS))


@contextmanager
def around(known: Around | None) -> Iterator[None]:
    """Interpolate between these statistics inside the block; None is mean 0 and deviation 1."""
    token = _around.set(known)
    try:
        yield
    finally:
        _around.reset(token)


class _Affine(nn.Module):
    """Base of normalizations with the scale, shift and groups of another one."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.groups, self.channels = _groups(layer), _channels(layer)
        self.eps = _eps(layer)
        self.weight = nn.Parameter(torch.ones(self.channels, device=_device(layer)))
        self.bias = nn.Parameter(torch.zeros(self.channels, device=_device(layer)))
        _with_affine(self, layer)

    def normalized(self, image: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
        """Normalize in float32 by `(n or 1, groups, rows or 1, cols or 1)`."""
        each = self.channels // self.groups
        mean, deviation = (value.repeat_interleave(each, 1) for value in (mean, deviation))
        scale = self.weight[:, None, None] * (deviation.square() + self.eps).rsqrt()
        values = (image.float() - mean).mul_(scale).add_(self.bias[:, None, None])
        return values.to(image.dtype)


class _Between(_Affine):
    """Normalize every pixel by statistics interpolated between tiles."""

    def __init__(self, layer: nn.Module, first: int) -> None:
        super().__init__(layer)
        self.own = slice(first, first + 2 * self.groups)

    def forward(self, image: Tensor) -> Tensor:
        known = _around.get()
        if known is None:
            zeros = image.new_zeros(1, self.groups, 1, 1, dtype=torch.float32)
            return self.normalized(image, zeros, zeros + 1)
        rows, cols = image.shape[-2:]
        # Under autocast, the products would be computed in bfloat16.
        with torch.autocast(image.device.type, enabled=False):
            mean, deviation = known.values[..., self.own].split(self.groups, dim=-1)
            values = torch.cat([mean, mean.square() + deviation.square()], dim=-1)
            values = torch.einsum("nhr,nrsk->nhsk", known.down(rows), values)
            values = torch.einsum("nhsk,nws->nhwk", values, known.across(cols))
        # The memory format is channels last, as in the image.
        mean, squares = values.permute(0, 3, 1, 2).split(self.groups, dim=1)
        return self.normalized(image, mean, (squares - mean.square()).clamp(min=0).sqrt())


class _Measuring(_Affine):
    """Normalize by the statistics of the valid pixels, and record them."""

    def __init__(self, layer: nn.Module, *, together: bool, share: float) -> None:
        super().__init__(layer)
        self.together, self.share = together, share
        self.running = None if share == 1 else _running(layer)
        self.found = torch.tensor([[0.0] * self.groups + [1.0] * self.groups])

    def forward(self, images: Tensor) -> Tensor:
        # MPS has no float64.
        wide = torch.float32 if images.device.type == "mps" else torch.float64
        rows, cols = images.shape[-2:]
        shares = F.adaptive_avg_pool2d(_validity.get(), (rows, cols)).to(wide)
        weights = shares.sum((1, 2, 3)) * (self.channels // self.groups)
        mean = self._mean(images, shares, weights, None)
        variance = self._mean(images, shares, weights, mean)
        if self.running is not None:
            mean, variance = _mixed((mean, variance), self.running, self.share)
        deviation = variance.sqrt()
        self.found = torch.cat([mean, deviation], dim=1).float()
        return self.normalized(images, *(v[..., None, None].float() for v in (mean, deviation)))

    def _mean(self, images: Tensor, shares: Tensor, weights: Tensor, less: Tensor | None) -> Tensor:
        """Return the weighted means of the groups, or of squared differences from `less`."""
        sums = []
        # One at a time, because all in float64 would take twice the memory of the layer.
        for number, (image, share) in enumerate(zip(images, shares, strict=True)):
            values = image.to(shares.dtype).reshape(self.groups, -1, *image.shape[-2:])
            if less is not None:
                mean = less[0 if self.together else number]
                values = (values - mean[:, None, None, None]).square()
            sums.append((values * share).sum((1, 2, 3)))
        total = torch.stack(sums)
        if self.together:
            return total.sum(0, keepdim=True) / weights.sum()
        return total / weights[:, None]


def _running(layer: Any) -> tuple[Tensor, Tensor]:
    """Return running mean and variance `(1, channels)` of a batch normalization."""
    mean, variance = layer.running_mean.detach(), layer.running_var.detach()
    return mean[None].clone(), variance[None].clone()


def _mixed(
    found: tuple[Tensor, Tensor], known: tuple[Tensor, Tensor], share: float
) -> tuple[Tensor, Tensor]:
    """Return mean and variance of a mixture, by the law of total variance."""
    (mean, variance), (other, spread) = found, (side.to(found[0]) for side in known)
    between = share * (1 - share) * (mean - other).square()
    mixed = share * variance + (1 - share) * spread + between
    return share * mean + (1 - share) * other, mixed


def _replaced(network: nn.Module, made: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """Return a copy in eval mode with every normalization replaced."""
    copied = copy.deepcopy(network)
    for name, layer in list(copied.named_modules()):
        if name and isinstance(layer, NORMS):
            # Some layers of timm include an activation.
            after = [getattr(layer, part) for part in ("drop", "act") if hasattr(layer, part)]
            parent, _, own = name.rpartition(".")
            new = nn.Sequential(made(layer), *after) if after else made(layer)
            setattr(copied.get_submodule(parent), own, new)
    return copied.eval()


def _eps(layer: Any) -> float:
    return float(layer.eps)


def _channels(layer: Any) -> int:
    return int(layer.num_channels if isinstance(layer, nn.GroupNorm) else layer.num_features)


def _groups(layer: Any) -> int:
    return int(layer.num_groups) if isinstance(layer, nn.GroupNorm) else _channels(layer)


def _device(layer: nn.Module) -> torch.device | None:
    return next((tensor.device for tensor in layer.state_dict().values()), None)


def _with_affine(norm: nn.Module, layer: nn.Module) -> nn.Module:
    """Copy the scale and shift of a layer, if it has them, to a normalization and return it."""
    with torch.no_grad():
        for name in ("weight", "bias"):
            if (value := getattr(layer, name, None)) is not None:
                getattr(norm, name).copy_(value)
    return norm
