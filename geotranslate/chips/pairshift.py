"""The shift of the targets of a pair set against their sources."""

from __future__ import annotations

from geotranslate.chips.bands import DataCard
from geotranslate.chips.pair_set import FoundChips
from geotranslate.chips.registration import (
    ComparedPair,
    Registration,
    gathered,
    register,
    spread,
)
from geotranslate.errors import InvalidInputError

GLANCE_PAIRS, GLANCE_PIXELS = 32, 2**23
"""Largest number of pairs, and of their pixels, that are compared for a summary."""
LEAST_PAIRS = 4
"""Smallest number of pairs for which the error of their shift can be told."""


def registration_of(chips: FoundChips, card: DataCard, most: int) -> Registration:
    """Measure the shift between the sides of pairs, in pixels of the coarser side.

    Args:
        chips: The pairs.
        card: Their data card.
        most: Largest number of pairs that are compared.

    Raises:
        InvalidInputError: The chips are no pairs.
        RasterFileError: A chip cannot be read.
    """
    if not chips.pairs:
        raise InvalidInputError(
            "The data is unpaired, so its sides have no shift to measure; give prepare_data a "
            "folder of pairs or two rasters of one place."
        )
    factor = chips.factor
    classes = (card.source.classes is not None, card.target.classes is not None)
    compared = (
        ComparedPair(
            pair.name,
            gathered(pair.source.read(), factor.denominator, classes=classes[0]),
            gathered(pair.target.read(), factor.numerator, classes=classes[1]),
        )
        for pair in (chips.pairs[i] for i in spread(len(chips.pairs), most))
    )
    grid = chips.pairs[0].grid
    return register(compared, classes, grid if factor >= 1 else grid.scaled(float(factor)))


def clear_shift(chips: FoundChips, card: DataCard) -> Registration | None:
    """Return the shift of a few pairs if it is certain and a pixel or more.

    Raises:
        RasterFileError: A chip cannot be read.
    """
    if not chips.pairs:
        return None
    grid = chips.pairs[0].grid
    most = min(GLANCE_PAIRS, GLANCE_PIXELS // (grid.height * grid.width))
    if min(most, len(chips.pairs)) < LEAST_PAIRS:
        return None
    found = registration_of(chips, card, most)
    return found if found.is_shifted else None
