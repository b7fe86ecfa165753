"""Regions of a scene: whole output pixels that cover an area."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from shapely import box, get_coordinates
from shapely.geometry.base import BaseGeometry

from geotranslate.checks import shown
from geotranslate.errors import InvalidInputError
from geotranslate.raster.grid import Grid

SLACK = 1e-6
"""Share of a pixel by which an edge may miss a pixel's edge, because coordinates are rounded."""


@dataclass(frozen=True)
class Region:
    """Rows and columns from the first to before the last, in pixels."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.right - self.left


def region_of(
    grid: Grid,
    aoi: BaseGeometry | None,
    bbox: Sequence[float] | None,
    factor: Fraction,
) -> Region:
    """Return the output pixels that cover an area, counted in the output of the whole scene.

    The region begins where a source pixel and an output pixel begin: with 3 output pixels for 2
    source pixels, at every second source pixel.

    Args:
        grid: The scene's grid.
        aoi: Area in the grid's CRS, everything by default.
        bbox: Left, bottom, right and top in the grid's CRS; with `aoi`, the intersection counts.
        factor: Output pixels per source pixel.

    Raises:
        InvalidInputError: The area is empty or outside of the scene, or `bbox` is no box.
    """
    areas = [] if aoi is None else [("aoi", _geometry(aoi))]
    if bbox is not None:
        areas.append(("bbox", box(*corners(bbox))))
    top, bottom, left, right = 0, grid.height, 0, grid.width
    for name, area in areas:
        rows, cols = _pixels(grid, area)
        top, bottom = max(top, rows[0]), min(bottom, rows[1])
        left, right = max(left, cols[0]), min(right, cols[1])
        if top >= bottom or left >= right:
            raise InvalidInputError(
                f"The {name} ({_shown(area)}) does not overlap the raster "
                f"({_shown(grid.footprint)}); give an area on it, in its CRS."
            )
    return Region(
        *_scaled(top, bottom, grid.height, factor), *_scaled(left, right, grid.width, factor)
    )


def _scaled(first: int, last: int, size: int, factor: Fraction) -> tuple[int, int]:
    """Return output pixels over pixels of an axis, both ends on edges of source and output."""
    grown, shrunk = factor.numerator, factor.denominator
    end = -(-size * grown // shrunk)  # the last pixel may extend beyond the axis
    return first // shrunk * grown, min(-(-last // shrunk) * grown, end)


def _geometry(aoi: object) -> BaseGeometry:
    if not isinstance(aoi, BaseGeometry):
        raise InvalidInputError(
            f"aoi is {shown(aoi)}; give a shapely geometry in the raster's CRS."
        )
    if not np.isfinite(get_coordinates(aoi)).all():
        raise InvalidInputError(
            "The aoi has coordinates that are NaN or infinite; give an area of finite coordinates, "
            "or none for the whole raster."
        )
    return aoi


def corners(bbox: object) -> tuple[float, float, float, float]:
    """Return left, bottom, right and top of a box.

    Raises:
        InvalidInputError: It is not a box; the sentence shows it.
    """
    try:
        left, bottom, right, top = map(float, bbox)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        left = right = bottom = top = np.nan
    if not (-np.inf < left < right < np.inf and -np.inf < bottom < top < np.inf):
        raise InvalidInputError(
            f"bbox is {shown(bbox)}; give (left, bottom, right, top) in the raster's CRS."
        )
    return left, bottom, right, top


def _pixels(grid: Grid, area: BaseGeometry) -> tuple[tuple[int, int], tuple[int, int]]:
    if area.is_empty:
        return (0, 0), (0, 0)
    points = get_coordinates(area)
    cols, rows = ~grid.transform @ (points[:, 0], points[:, 1])
    return (
        (int(np.floor(rows.min() + SLACK)), int(np.ceil(rows.max() - SLACK))),
        (int(np.floor(cols.min() + SLACK)), int(np.ceil(cols.max() - SLACK))),
    )


def _shown(area: BaseGeometry) -> str:
    if area.is_empty:
        return "empty"
    left, bottom, right, top = (f"{edge:.6g}" for edge in area.bounds)
    return f"{left} to {right} east, {bottom} to {top} north"
