"""Input channels of networks: the bands of a source, or one for each of its classes."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from torch import nn

from geotranslate.chips.bands import Side
from geotranslate.errors import InvalidInputError
from geotranslate.networks.onehot import OneHot

MOST_BANDS = 256
"""Classes up to which each has a band: as many as a byte has numbers."""
NEAR = 0.25
"""How far from its number a value is still of a class: far from the next whole number."""
WHOLE = 2**24
"""Below it float32 tells all whole numbers apart."""

Network = TypeVar("Network", bound=nn.Module)


def source_channels(side: Side) -> int:
    """Return how many bands a network gets of a source: one for each class, else its own.

    Raises:
        InvalidInputError: Its values are classes that are not known, or too many.
    """
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
    """Return a network of `source_channels(side)` as one that takes the source as it is scaled.

    Where the values are classes, that is a `OneHot` around it. Invalid pixels, which hold
    `side.fill`, and numbers that are no class, are 0 in all of its bands.

    Raises:
        InvalidInputError: As `source_channels`; or the scaling does not tell the classes apart.
    """
    if side.classes is None:
        return network
    source_channels(side)
    numbers = np.array([*side.class_numbers, *side.fill])
    ends = numbers[:, None] + np.array([-NEAR, NEAR])
    ranges = side.scaling.scale(ends[None])[0]
    # A floor of the scaling may have moved the fill value among them.
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
    return OneHot(network, [(float(low), float(high)) for low, high in ranges[:-1]])
