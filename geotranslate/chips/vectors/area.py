"""The area of interest, and the chips that lie in it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeAlias

import geopandas as gpd
import numpy as np
from shapely import make_valid, prepare
from shapely.geometry.base import BaseGeometry

from geotranslate.chips.vectors.shapes import in_crs, read_layer, shapes_of, spread_over
from geotranslate.errors import InvalidInputError
from geotranslate.raster.grid import Grid

AreaLike: TypeAlias = "str | os.PathLike[str] | gpd.GeoDataFrame | gpd.GeoSeries | BaseGeometry"
EMPTY = "The aoi is empty; give a polygon that holds chips or pixels."


def area_on(area: AreaLike, grid: Grid) -> BaseGeometry:
    """Return an area as one valid geometry in the CRS of a grid.

    Of a layer in another CRS it is what lies near the grid, which may be empty.

    Args:
        area: Vector file, GeoDataFrame or GeoSeries in any CRS, or a geometry in the grid's.
        grid: Grid of the scene.

    Raises:
        RasterFileError: The vector file cannot be read.
        InvalidInputError: It is empty, or its CRS and the grid's do not go together.
    """
    if isinstance(area, str | os.PathLike):
        area = read_layer(area)
    if isinstance(area, gpd.GeoDataFrame | gpd.GeoSeries):
        shapes = shapes_of(area, "the aoi")
        if shapes.is_empty.all():
            raise InvalidInputError(EMPTY)
        return make_valid(_in_crs(shapes, grid).make_valid().union_all())
    if not isinstance(area, BaseGeometry):
        raise InvalidInputError(
            f"aoi is {type(area).__name__}; give a vector file, a GeoDataFrame or a shapely "
            "geometry, for example shapely.geometry.box(left, bottom, right, top)."
        )
    if area.is_empty:
        raise InvalidInputError(EMPTY)
    return make_valid(area)


def _in_crs(shapes: gpd.GeoSeries, grid: Grid) -> gpd.GeoSeries:
    if (shapes.crs is None) != (grid.crs is None):
        without, with_one = ("aoi", "raster") if shapes.crs is None else ("raster", "aoi")
        raise InvalidInputError(
            f"The {without} has no CRS but the {with_one} has one; assign it first, or give the "
            "aoi as a shapely geometry in the raster's coordinates."
        )
    if shapes.crs is None:
        return shapes
    moved = in_crs(shapes, grid.crs, spread_over(grid), "The aoi")
    if not np.isfinite(moved.total_bounds).all() and not moved.is_empty.all():
        raise InvalidInputError(
            "The aoi has no place in the raster's CRS; check the CRS of both, and that they are "
            "of one place."
        )
    return moved


def where(area: AreaLike, grid: Grid) -> str:
    """Return what an area covers, and in which CRS, as sentences say it."""
    if isinstance(area, str | os.PathLike):
        area = read_layer(area)
    if isinstance(area, BaseGeometry):
        return covered(area.bounds, grid.crs)
    return covered(area.total_bounds, area.crs)


def covered(bounds: Sequence[float], crs: Any) -> str:
    """Return left, bottom, right and top, and the CRS that they are in, as sentences say it."""
    left, bottom, right, top = (f"{edge:.6g}" for edge in bounds)
    named = "" if crs is None else f" in {crs.to_string()}"
    return f"{left} to {right} east, {bottom} to {top} north{named}"


class Area:
    """An area of interest in the CRS of a scene.

    Args:
        area: Vector file, GeoDataFrame or GeoSeries in any CRS, or a geometry in the scene's.
        grid: Grid of the scene.
        min_cover: Least share of a chip, 0 to 1, that has to lie in the area; 1 is ArcGIS's rule.

    Raises:
        RasterFileError: The vector file cannot be read.
        InvalidInputError: The area is empty, its CRS does not go with the scene's, or `min_cover`
            is no share.
    """

    def __init__(self, area: AreaLike, grid: Grid, min_cover: float) -> None:
        if not 0 <= min_cover <= 1:
            raise InvalidInputError(f"min_cover is {min_cover}; give a share between 0 and 1.")
        self._shape, self._min_cover = area_on(area, grid), min_cover
        prepare(self._shape)
        # A chip that ends at the border is inside, whatever the last digits say.
        self._slack = 1e-3 * min(grid.resolution)

    def meets(self, grid: Grid) -> bool:
        """Tell whether any of a grid lies in the area."""
        return bool(self._shape.intersects(grid.footprint))

    def holds(self, chip: Grid) -> bool:
        """Tell whether enough of a chip lies in the area."""
        if self._shape.covers(chip.footprint.buffer(-self._slack)):
            return True
        if self._min_cover == 1:
            return False
        inside = self._shape.intersection(chip.footprint).area
        return bool(inside > 0 and inside >= self._min_cover * chip.footprint.area)
