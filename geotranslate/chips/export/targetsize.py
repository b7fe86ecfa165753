"""Pixel size of target chips, as a factor to the pixel size of source chips."""

from __future__ import annotations

import math
from fractions import Fraction

from geotranslate.chips.export.exportoptions import ExportOptions
from geotranslate.errors import InvalidInputError
from geotranslate.raster.factor import FACTORS, MOST_FACTOR
from geotranslate.raster.grid import Grid
from geotranslate.raster.ground import ground_of

NEAR = 1.05
"""Ratio up to which a pixel size may differ from a whole part or multiple of the source's."""


def target_factor(
    options: ExportOptions, source: Grid, target: Grid | None, names: tuple[str, str]
) -> Fraction:
    """Return the target pixels per source pixel along an axis, as `target_resolution` asks.

    Args:
        options: Options of the export.
        source: Grid of the scene.
        target: Grid of the target; None for a vector layer.
        names: Names of source and target in messages.

    Raises:
        InvalidInputError: The pixel sizes are unknown or have no whole ratio, or chips cannot be
            cut into whole pixels of the target.
    """
    wanted = options.target_resolution
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
            "much, or bring the source to another size by resolution."
        )
    _check_whole(options, factor.denominator)
    return factor


def _check_whole(options: ExportOptions, count: int) -> None:
    for name, sizes in (("tile_size", options.size), ("stride", options.steps)):
        if any(size % count for size in sizes):
            raise InvalidInputError(
                f"{name} is {getattr(options, name) or options.tile_size}, but a pixel of the "
                f"target covers {count} x {count} of the source; give a multiple of {count}."
            )
