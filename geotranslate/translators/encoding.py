"""Input channels of networks: the bands of the source, or its classes one-hot encoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from torch import nn

from geotranslate.chips.bands import Side
from geotranslate.errors import InvalidInputError
from geotranslate.networks.onehot import OneHot, OneHotLayers

MOST_BANDS = 256
"""Most classes that are one-hot encoded, as many as a byte has values."""
NEAR = 0.25
"""Tolerance around the number of a class."""
WHOLE = 2**24
"""Limit below which float32 represents all whole numbers exactly."""

Network = TypeVar("Network", bound=nn.Module)


def source_channels(side: Side) -> int:
    """Return the number of input channels for a source: its classes, if it has any, or its bands.

    A band of classes beside others has as many channels as classes.

    Raises:
        InvalidInputError: The classes are not known, or there are too many.
    """
    if side.class_bands is not None:
        return sum(len(numbers) or 1 for numbers in side.class_bands)
    if side.classes is None:
        return side.bands
    count = len(side.class_numbers)
    if not count:
        raise InvalidInputError(
            "The source's values are classes, but which ones is not known: they are more than are "
            "remembered, or no whole numbers, and no chip has a color table. Give chips with a "
            "color table, or pass source_classes=False to take them for quantities."
        )
    if count > MOST_BANDS:
        raise InvalidInputError(
            f"The source has {count} classes, each of which would be a band, and at most "
            f"{MOST_BANDS} are possible. Give a map with fewer, or pass source_classes=False to "
            "take them for quantities."
        )
    return count


def encoded(network: Network, side: Side) -> Network | OneHot:
    """Wrap a network of `source_channels(side)` inputs so that it takes the scaled source.

    For classes, the result is a `OneHot`, and for bands of classes beside others a `OneHotLayers`;
    otherwise the network itself. Invalid pixels, which hold `side.fill`, and numbers that are no
    class are 0 in all channels of their band.

    Raises:
        InvalidInputError: As `source_channels`; or the scaling does not separate the classes.
    """
    if side.class_bands is not None:
        each = enumerate(side.class_bands)
        return OneHotLayers(network, [_ranges(side, band, numbers) for band, numbers in each])
    if side.classes is None:
        return network
    source_channels(side)
    return OneHot(network, _ranges(side, 0, side.class_numbers))


def _ranges(side: Side, band: int, classes: Sequence[int]) -> list[tuple[float, float]]:
    """Return the lowest and highest scaled number of each class of a band.

    Raises:
        InvalidInputError: The scaling does not separate the classes.
    """
    if not classes:
        return []
    numbers = np.array([*classes, side.fill[band]])
    ends = numbers[:, None] + np.array([-NEAR, NEAR])
    ranges = side.scaling.scale(np.broadcast_to(ends, (side.bands, *ends.shape)))[band]
    # The scaling's floor may have moved the fill value between the class numbers.
    order = np.argsort(numbers)
    meeting = np.flatnonzero(ranges[order[:-1], 1] >= ranges[order[1:], 0])
    if np.abs(numbers).max() >= WHOLE or meeting.size:
        at = int(meeting[0]) if meeting.size else len(numbers) - 2
        one, other = numbers[order[at : at + 2]]
        raise InvalidInputError(
            f"The source's classes are not told apart: {one:.0f} and {other:.0f} are nearly the "
            "same when they are scaled. Leave source_scaling at 'auto', give a map with smaller "
            "numbers, or pass source_classes=False to take them for quantities."
        )
    return [(float(low), float(high)) for low, high in ranges[:-1]]
