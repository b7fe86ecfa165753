"""The area of interest: which chips lie in it."""

from __future__ import annotations

import os
from typing import TypeAlias

import geopandas as gpd
from shapely import make_valid, prepare
from shapely.geometry.base import BaseGeometry

from geotranslate.chips.scenes import in_crs, read_layer
from geotranslate.errors import InvalidInputError
from geotranslate.raster.grid import Grid

AreaLike: TypeAlias = "str | os.PathLike[str] | gpd.GeoDataFrame | gpd.GeoSeries | BaseGeometry"


class Area:
    """An area of interest in the CRS of a scene.

    Args:
        area: Vector file, GeoDataFrame or GeoSeries in any CRS, or a geometry in the scene's.
        grid: Grid of the scene.
        min_cover: Least share of a chip, 0 to 1, that has to lie in the area; 1 is ArcGIS's rule.

    Raises:
        InvalidInputError: The area is empty or `min_cover` is no share.
        GridMismatchError: No way leads from its CRS to the scene's.
    """

    def __init__(self, area: AreaLike, grid: Grid, min_cover: float) -> None:
        if not 0 <= min_cover <= 1:
            raise InvalidInputError(f"min_cover is {min_cover}; give a share between 0 and 1.")
        if isinstance(area, str | os.PathLike):
            area = read_layer(area)
        if isinstance(area, gpd.GeoDataFrame | gpd.GeoSeries):
            both = area.crs is not None and grid.crs is not None
            area = (in_crs(area, grid.crs, "The aoi") if both else area).union_all()
        if not isinstance(area, BaseGeometry):
            raise InvalidInputError(
                f"aoi is {type(area).__name__}; give a vector file, a GeoDataFrame or a shapely "
                "geometry, for example shapely.geometry.box(left, bottom, right, top)."
            )
        if area.is_empty:
            raise InvalidInputError("The aoi is empty; give a polygon that holds chips.")
        area = make_valid(area)
        prepare(area)
        self._shape, self._min_cover = area, min_cover
        # A chip that ends at the border is inside, whatever the last digits say.
        self._slack = 1e-3 * min(grid.resolution)

    def holds(self, chip: Grid) -> bool:
        """Tell whether enough of a chip lies in the area."""
        if self._shape.covers(chip.footprint.buffer(-self._slack)):
            return True
        if self._min_cover == 1:
            return False
        inside = self._shape.intersection(chip.footprint).area
        return bool(inside > 0 and inside >= self._min_cover * chip.footprint.area)
