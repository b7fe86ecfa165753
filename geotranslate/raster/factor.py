"""Factors between the pixel sizes of two rasters of one ground."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from geotranslate.checks import number, shown
from geotranslate.errors import InvalidInputError
from geotranslate.raster.grid import Grid
from geotranslate.raster.ground import ground_of
from geotranslate.raster.reader import reflected

TargetResolution: TypeAlias = Literal["own", "source"] | float
"""Pixel size of targets: their own, the source's, or a number of meters."""

MOST_FACTOR = 8
"""Most pixels of one raster along an axis for a pixel of the other."""
FACTORS = (*(Fraction(1, k) for k in range(MOST_FACTOR, 1, -1)), *map(Fraction, range(1, 9)))
"""Factors between sources and targets: target pixels per source pixel along an axis."""

NEAR = 1.05
"""Ratio up to which a pixel size may differ from a whole part or multiple of the source's."""


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


def checked_target_resolution(value: object) -> TargetResolution:
    """Return the option `target_resolution` after checking it.

    Raises:
        InvalidInputError: It is neither "own" nor "source" nor a number above 0.
    """
    if isinstance(value, str):
        if value in ("own", "source"):
            return "own" if value == "own" else "source"
        raise InvalidInputError(
            f"target_resolution is {shown(value)}; give 'source' for the source's pixels, 'own' "
            "for the target's, or a pixel size in meters."
        )
    return number("target_resolution", value, above=0)


def target_factor(
    wanted: TargetResolution, source: Grid, target: Grid | None, names: tuple[str, str]
) -> Fraction:
    """Return the target pixels per source pixel along an axis, as `target_resolution` asks.

    Args:
        wanted: The checked option.
        source: Grid of the source.
        target: Grid of the target; None for a vector layer.
        names: Names of source and target in messages.

    Raises:
        InvalidInputError: The pixel sizes are unknown or have no whole ratio.
    """
    if wanted == "source":
        return Fraction(1)
    here = ground_of(source)
    if isinstance(wanted, str):
        if target is None:
            raise InvalidInputError(
                f"target_resolution is 'own', but {names[1]} holds shapes, which have no pixels of "
                "their own; give a pixel size in meters."
            )
        there = ground_of(target)
    else:
        there = wanted, wanted
    if here is None or there is None:
        name = names[0] if here is None else names[1]
        raise InvalidInputError(
            f"target_resolution is {wanted!r}, but {name} has no CRS that tells the size of its "
            "pixels on the ground; assign one, or leave target_resolution out."
        )
    ratios = [one / other for one, other in zip(here, there, strict=True)]
    factor = min(FACTORS, key=lambda one: abs(math.log(one * there[0] / here[0])))
    if any(not 1 / NEAR <= ratio / factor <= NEAR for ratio in ratios):
        raise InvalidInputError(
            f"target_resolution is {wanted!r}, which makes the target's pixels {there[0]:.4g} x "
            f"{there[1]:.4g} m beside {here[0]:.4g} x {here[1]:.4g} m of {names[0]}; give meters "
            f"that are a half to an eighth of the source's pixels or 2 to {MOST_FACTOR} times as "
            "much, or bring the source to another size by export_chips(resolution=...)."
        )
    return factor


def check_whole(sizes: Mapping[str, int | Sequence[int]], factor: Fraction) -> None:
    """Refuse sizes of source windows that are not whole pixels of a target.

    Args:
        sizes: Sides, or rows and columns, by the names of their options, px.
        factor: Target pixels per source pixel along an axis.

    Raises:
        InvalidInputError: One is no multiple of the source pixels under a target pixel.
    """
    count = factor.denominator
    for name, size in sizes.items():
        if any(side % count for side in ([size] if isinstance(size, int) else size)):
            raise InvalidInputError(
                f"{name} is {size}, but a pixel of the target covers {count} x {count} of the "
                f"source; give a multiple of {count}."
            )
