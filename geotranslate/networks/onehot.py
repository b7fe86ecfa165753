"""Wrappers of networks, for one-hot encoded classes and for two directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from geotranslate.networks.bicubic import OverBicubic
from geotranslate.networks.pixel import Started
from geotranslate.networks.rescaling import AtTargetSize, Rescaled


class ClassBands(nn.Module):
    """Turn class numbers `(n, 1, rows, cols)` into `(n, classes, rows, cols)` of 0 and 1.

    A number that is no class is 0 in all bands. The encoding has no gradient.

    Args:
        ranges: Lowest and highest scaled number of each class; ranges do not overlap.
    """

    low: Tensor
    high: Tensor

    def __init__(self, ranges: Sequence[tuple[float, float]]) -> None:
        super().__init__()
        ends = torch.tensor(ranges, dtype=torch.float32)[..., None, None]
        # Not saved with the weights: the card holds them.
        self.register_buffer("low", ends[:, 0].clone(), persistent=False)
        self.register_buffer("high", ends[:, 1].clone(), persistent=False)

    def forward(self, numbers: Tensor, dtype: torch.dtype) -> Tensor:
        """Encode float32 numbers; shorter dtypes would merge classes."""
        found = (numbers >= self.low) & (numbers <= self.high)
        return found.to(dtype, memory_format=torch.channels_last)


class LayerBands(nn.Module):
    """Turn the bands that hold class numbers into one band of 0 and 1 for each of their classes.

    The other bands stay as they are, and the order of the bands stays, too.

    Args:
        ranges: For every band, lowest and highest scaled number of each class, as in `ClassBands`;
            empty for bands that stay as they are.
    """

    def __init__(self, ranges: Sequence[Sequence[tuple[float, float]]]) -> None:
        super().__init__()
        self.classes = nn.ModuleList(ClassBands(each) if each else nn.Identity() for each in ranges)

    def forward(self, image: Tensor, dtype: torch.dtype) -> Tensor:
        """Encode a float32 image `(n, bands, rows, cols)`."""
        parts = (image[:, band : band + 1] for band in range(len(self.classes)))
        found = [
            own(part, image.dtype) if isinstance(own, ClassBands) else part
            for own, part in zip(self.classes, parts, strict=True)
        ]
        return torch.cat(found, 1).to(dtype, memory_format=torch.channels_last)


class OneHot(nn.Module):
    """Wrap a network of one-hot classes so that it takes class numbers `(n, 1, rows, cols)`.

    Args:
        network: The network; its first argument is the source.
        ranges: See `ClassBands`.
    """

    encoding: Callable[[Any], ClassBands | LayerBands] = ClassBands

    def __init__(self, network: nn.Module, ranges: Sequence[Any]) -> None:
        super().__init__()
        self.bands = self.encoding(ranges)
        self.network: Any = network

    def forward(self, source: Tensor, *others: Tensor) -> Tensor:
        """Return the network's output for a source in -1..1, float32, and other inputs."""
        return self.network(self._encoded(source), *others)

    def features(self, source: Tensor, *others: Tensor) -> list[list[Tensor]]:
        """Return a discriminator's features of a source and other inputs."""
        return self.network.features(self._encoded(source), *others)

    @property
    def stride(self) -> int:
        """Factor by which images shrink inside the network, px."""
        return int(self.network.stride)

    @property
    def radius(self) -> int | None:
        """Radius of the receptive field, px; None for the whole image."""
        radius: int | None = self.network.radius
        return radius

    def _encoded(self, source: Tensor) -> Tensor:
        # The network may compute in bfloat16, but class numbers need float32.
        first = next(self.network.parameters(), source)
        return self.bands(source, first.dtype)


class OneHotLayers(OneHot):
    """Wrap a network so that it takes images whose bands are class numbers in part.

    Args:
        network: The network; its first argument is the source.
        ranges: See `LayerBands`.
    """

    encoding = LayerBands


WRAPPERS = (OneHot, Started, Rescaled, AtTargetSize, OverBicubic)
"""Modules around a network."""


def unwrapped(network: nn.Module) -> nn.Module:
    """Return the network inside wrappers, such as `OneHot` and `Started`."""
    while isinstance(network, WRAPPERS):
        network = network.network
    return network


class TwoWay(nn.Module):
    """A generator from source to target and one back; calling it calls the first."""

    def __init__(self, forth: nn.Module, back: nn.Module) -> None:
        super().__init__()
        self.forth, self.back = forth, back

    def forward(self, source: Tensor) -> Tensor:
        """Translate `(n, bands, rows, cols)` from source to target."""
        return self.forth(source)

    def compile(self, *args: Any, **options: Any) -> None:
        """Compile both networks (`torch.compile`)."""
        self.forth.compile(*args, **options)
        self.back.compile(*args, **options)


def encoders(network: nn.Module) -> list[Any]:
    """Return the generators, one for each direction, whose encoders can be frozen."""
    ways = (network.forth, network.back) if isinstance(network, TwoWay) else (network,)
    return [unwrapped(way) for way in ways]
