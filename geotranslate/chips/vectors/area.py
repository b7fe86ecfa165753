"""Areas of interest and outlines on the ground."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError  # what transforming raises is not public
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.warp import transform
from shapely import STRtree, buffer, get_coordinates, length, make_valid, prepare
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from geotranslate.checks import shown
from geotranslate.chips.vectors.shapes import in_crs, read_layer, shapes_of, spread_over
from geotranslate.errors import GridMismatchError, InvalidInputError
from geotranslate.raster.grid import Grid

DEGREES = CRS.from_epsg(4326)

AreaLike: TypeAlias = "str | os.PathLike[str] | gpd.GeoDataFrame | gpd.GeoSeries | BaseGeometry"
EMPTY = "The aoi is empty; give a polygon that holds chips or pixels."


def footprints(grids: Sequence[Grid]) -> gpd.GeoSeries:
    """Return the outlines of grids in one CRS, in which equal ground has equal coordinates.

    It is their own CRS if they share one. If they differ, or cross the 180th meridian in degrees,
    it is an equal-area projection around their center, in meters, whose only singular point is the
    farthest one on Earth; poles and the 180th meridian are ordinary places in it.

    Raises:
        GridMismatchError: A CRS is a local one, without a transformation to the others.
    """
    known = {grid.crs for grid in grids}
    plain = gpd.GeoSeries([grid.footprint for grid in grids], crs=next(iter(known)))
    if len(known) == 1 and not _crosses(plain):
        return plain
    try:
        outlines = _on(_equal_area(grids), grids)
        # A chip of half the world has no outline on that map, but has one in degrees.
        return outlines if _whole(outlines) else _on(DEGREES, grids)
    except (CPLE_BaseError, CRSError, RasterioError) as error:
        names = " and ".join(sorted({str(crs) for crs in known})[:3])
        raise GridMismatchError(
            f"The chips differ in CRS ({names}), and no way from one to the other is known, so it "
            "cannot be seen which overlap on the ground. Assign the CRS that they are really in."
        ) from error


def _on(crs: CRS, grids: Sequence[Grid]) -> gpd.GeoSeries:
    return gpd.GeoSeries([grid.footprint_in(crs) for grid in grids], crs=crs)


def _whole(outlines: gpd.GeoSeries) -> bool:
    return bool(outlines.is_valid.all() and np.isfinite(get_coordinates(outlines.array)).all())


def _crosses(outlines: gpd.GeoSeries) -> bool:
    if outlines.crs is None or not outlines.crs.is_geographic:
        return False
    left, _, right, _ = outlines.total_bounds
    # A global raster may end there up to rounding.
    return bool(left < -180 - 1e-6 or right > 180 + 1e-6)


def _equal_area(grids: Sequence[Grid]) -> CRS:
    """Return an equal-area projection, centered at the chips unless one would lie opposite."""
    chips = np.array([_direction(grid) for grid in grids if grid.crs is not None])
    middles = np.vstack([chips.sum(axis=0), *_around()])
    middles = middles[np.linalg.norm(middles, axis=1) > 1e-9]
    middles /= np.linalg.norm(middles, axis=1)[:, None]
    furthest = (middles @ chips.T).min(axis=1)
    # The projection is accurate for the hemisphere around its center.
    x, y, z = middles[0 if furthest[0] > 0 else int(furthest.argmax())]
    latitude, longitude = np.degrees([np.arcsin(z), np.arctan2(y, x)])
    return CRS.from_proj4(
        f"+proj=laea +lat_0={latitude:.4f} +lon_0={longitude:.4f} +datum=WGS84 +units=m"
    )


def _around(count: int = 200) -> NDArray[np.float64]:
    """Return directions spread evenly over the globe, as unit vectors."""
    steps = np.arange(count) + 0.5
    height, turn = 1 - 2 * steps / count, np.pi * (1 + 5**0.5) * steps
    level = np.sqrt(1 - height**2)
    return np.stack([level * np.cos(turn), level * np.sin(turn), height], axis=1)


def _direction(grid: Grid) -> tuple[float, float, float]:
    """Return the unit vector from the center of the Earth to the center of a grid."""
    x, y = grid.transform @ (grid.width / 2, grid.height / 2)
    longitude, latitude = np.radians(transform(grid.crs, DEGREES, [x], [y])).ravel()
    level = np.cos(latitude)
    return level * np.cos(longitude), level * np.sin(longitude), np.sin(latitude)


class Ground:
    """Index of outlines that finds overlapping ones.

    Args:
        footprints: Outlines in one CRS.
    """

    def __init__(self, footprints: Sequence[Polygon]) -> None:
        self._footprints = np.array(footprints, object)
        # Adjacent chips share a line, up to rounding: only overlapping area counts.
        self._inner = buffer(self._footprints, -1e-6 * length(self._footprints))
        self._tree = STRtree(self._inner)

    def overlaps(self) -> NDArray[np.int64]:
        """Return the positions of overlapping outlines, `(pairs, 2)`, in both orders."""
        found = self._tree.query(self._inner, predicate="intersects").T
        return found[found[:, 0] != found[:, 1]]

    def sharing(self, chips: Iterable[int]) -> set[int]:
        """Return the positions of outlines that overlap some of them, including these."""
        return self._found(self._inner[list(chips)], "intersects", None)

    def within(self, chips: Iterable[int], distance: float) -> set[int]:
        """Return the positions of outlines within a distance of some of them, including these."""
        # Inner outlines are slightly smaller than the chips.
        reach = distance * (1 + 1e-6)
        return self._found(self._footprints[list(chips)], "dwithin", reach)

    def _found(self, outlines: NDArray[Any], predicate: str, distance: float | None) -> set[int]:
        found = self._tree.query(outlines, predicate=predicate, distance=distance)[1]
        return set(np.unique(found).tolist())


def area_on(area: AreaLike, grid: Grid) -> BaseGeometry:
    """Return an area as one valid geometry in the CRS of a grid.

    Of a layer in another CRS, only the part near the grid is returned, which may be empty.

    Args:
        area: Vector file, GeoDataFrame or GeoSeries in any CRS, or a geometry in the grid's.
        grid: Grid of the scene.

    Raises:
        RasterFileError: The vector file cannot be read.
        InvalidInputError: It is empty, or its CRS and the grid's CRS are incompatible.
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
    """Return the bounds of an area and their CRS, in words for messages."""
    if isinstance(area, str | os.PathLike):
        area = read_layer(area)
    if isinstance(area, BaseGeometry):
        return covered(area.bounds, grid.crs)
    return covered(area.total_bounds, area.crs)


def covered(bounds: Sequence[float], crs: Any) -> str:
    """Return left, bottom, right and top and their CRS, in words for messages."""
    left, bottom, right, top = (f"{edge:.6g}" for edge in bounds)
    named = "" if crs is None else f" in {crs.to_string()}"
    return f"{left} to {right} east, {bottom} to {top} north{named}"


class Area:
    """An area of interest in the CRS of a scene.

    Args:
        area: Vector file, GeoDataFrame or GeoSeries in any CRS, or a geometry in the scene's.
        grid: Grid of the scene.
        min_cover: Smallest share of a chip, 0 to 1, that must lie in the area; ArcGIS requires 1.

    Raises:
        RasterFileError: The vector file cannot be read.
        InvalidInputError: The area is empty, its CRS is incompatible with the scene's, or
            `min_cover` is not between 0 and 1.
    """

    def __init__(self, area: AreaLike, grid: Grid, min_cover: float) -> None:
        if not 0 <= min_cover <= 1:
            raise InvalidInputError(
                f"min_cover is {shown(min_cover)}; give a share between 0 and 1."
            )
        self._shape, self._min_cover = area_on(area, grid), min_cover
        prepare(self._shape)
        # A chip that ends at the border is inside, up to rounding.
        self._slack = 1e-3 * min(grid.resolution)

    def meets(self, grid: Grid) -> bool:
        """Tell whether any part of a grid lies in the area."""
        return bool(self._shape.intersects(grid.footprint))

    def holds(self, chip: Grid) -> bool:
        """Tell whether enough of a chip lies in the area."""
        if self._shape.covers(chip.footprint.buffer(-self._slack)):
            return True
        if self._min_cover == 1:
            return False
        inside = self._shape.intersection(chip.footprint).area
        return bool(inside > 0 and inside >= self._min_cover * chip.footprint.area)
