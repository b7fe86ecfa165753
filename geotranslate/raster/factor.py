"""Factors between the pixel sizes of two rasters of one ground."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geotranslate.checks import shown
from geotranslate.errors import InvalidInputError
from geotranslate.raster.reader import reflected

MOST_FACTOR = 8
"""Most pixels of one raster along an axis for a pixel of the other."""
FACTORS = (*(Fraction(1, k) for k in range(MOST_FACTOR, 1, -1)), *map(Fraction, range(1, 9)))
"""Factors between sources and targets: target pixels per source pixel along an axis."""


def factor_between(source: tuple[int, int], target: tuple[int, int]) -> Fraction | None:
    """Return the factor between a source and a target of some rows and columns.

    None if it is not one of `FACTORS`, or differs between rows and columns.
    """
    found = {Fraction(after, before) for before, after in zip(source, target, strict=True)}
    factor = found.pop()
    return None if found or factor not in FACTORS else factor


def parsed_factor(name: str, value: Any) -> Fraction:
    """Return the factor that a text such as "4" or "1/4" stands for.

    Raises:
        InvalidInputError: It stands for none.
    """
    for factor in FACTORS:
        if isinstance(value, str) and value == str(factor):
            return factor
    raise InvalidInputError(
        f"{name} is {shown(value)}; give a text from '1/{MOST_FACTOR}' to '{MOST_FACTOR}'."
    )


def size_at(size: tuple[int, int], factor: Fraction) -> tuple[int, int]:
    """Return rows and columns times a factor, rounded up."""
    rows, cols = (-(-side * factor.numerator // factor.denominator) for side in size)
    return rows, cols


def valid_at(valid: NDArray[np.bool_], factor: Fraction) -> NDArray[np.bool_]:
    """Return validity `(rows, cols)` with `factor` times as many pixels along an axis.

    A larger pixel is valid if all pixels under it are. Pixels that the last one lacks are
    reflected, as they are when a scene is translated.
    """
    if factor == 1:
        return valid
    shrunk = factor.denominator
    rows, cols = size_at(valid.shape, Fraction(1, shrunk))  # type: ignore[arg-type]
    if valid.shape != (rows * shrunk, cols * shrunk):
        down, across = (
            reflected(0, count * shrunk, size)
            for count, size in zip((rows, cols), valid.shape, strict=True)
        )
        valid = valid[down[:, None], across]
    cells = np.asarray(valid.reshape(rows, shrunk, cols, shrunk).all(axis=(1, 3)))
    return cells.repeat(factor.numerator, axis=0).repeat(factor.numerator, axis=1)
