"""Outlines of grids in longitude and latitude, as GeoJSON and as boxes."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import shapely
from rasterio._err import CPLE_BaseError  # what transforming raises is not public
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.warp import transform_geom
from shapely.affinity import translate
from shapely.geometry import MultiPolygon, Polygon, box, mapping, shape
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient

from geotranslate.raster.grid import Grid
from geotranslate.schema import Json

DEGREES = CRS.from_epsg(4326)
POINTS = 80
"""Points along an outline that is brought to degrees, where its sides may bend."""
SLACK = 1e-4
"""Share of an outline's smaller side by which its points may be moved."""

Box = tuple[float, float, float, float]
"""West, south, east and north, degrees. West is larger than east across the 180th meridian."""


def box_of(grids: Iterable[Grid]) -> Box | None:
    """Return the box in degrees around grids; None if any has no CRS, or one without degrees."""
    bounds: dict[CRS | None, list[float]] = {}
    for grid in grids:
        corners = ((0, 0), (grid.width, 0), (grid.width, grid.height), (0, grid.height))
        xs, ys = zip(*(grid.transform @ corner for corner in corners), strict=True)
        last = bounds.get(grid.crs, [*(math.inf,) * 2, *(-math.inf,) * 2])
        bounds[grid.crs] = [
            *(min(last[0], *xs), min(last[1], *ys), max(last[2], *xs), max(last[3], *ys))
        ]
    outlines = [in_degrees(box(*found), crs) for crs, found in bounds.items()]
    known = [outline for outline in outlines if outline is not None]
    if not known or len(known) < len(outlines):
        return None
    return _box(*shapely.total_bounds(known).tolist())


def in_degrees(outline: BaseGeometry, crs: CRS | None) -> BaseGeometry | None:
    """Return an outline in longitude and latitude, beyond 180 degrees across that meridian.

    None if it is not known there.
    """
    if crs is None:
        return None
    try:
        fine = outline.segmentize(max(outline.length, 1e-9) / POINTS)
        found = fine if crs == DEGREES else shape(transform_geom(crs, DEGREES, mapping(fine)))
    except (CRSError, RasterioError, CPLE_BaseError):
        return None
    points = shapely.get_coordinates(found)
    if not len(points) or not np.isfinite(points).all():
        return None
    beyond = shapely.transform(
        found, lambda xy: np.stack([np.where(xy[:, 0] < 0, xy[:, 0] + 360, xy[:, 0]), xy[:, 1]], 1)
    )
    if _width(found) > 180 > _width(beyond):
        found = beyond
    return found.simplify(SLACK * min(_width(found), found.bounds[3] - found.bounds[1]))


def geojson_of(outline: BaseGeometry) -> tuple[Json, Box]:
    """Return an outline in degrees as GeoJSON, cut at the 180th meridian, and its box.

    Args:
        outline: Result of `in_degrees`.
    """
    world = box(-180, -90, 180, 90)
    whole = shapely.union_all(
        [translate(outline, turns).buffer(0).intersection(world) for turns in (-360, 0, 360)]
    )
    pieces = [orient(piece, 1.0) for piece in _polygons(whole)]
    whole = pieces[0] if len(pieces) == 1 else MultiPolygon(pieces)
    found = mapping(shapely.transform(whole, lambda xy: xy.round(7)))
    return dict(found), _box(*(round(edge, 7) for edge in outline.bounds))


def outline_of(edges: Box) -> Polygon:
    """Return the outline of a box, beyond 180 degrees across that meridian."""
    west, south, east, north = edges
    return box(west, south, east + 360 if west > east else east, north)


def _polygons(found: BaseGeometry) -> list[Polygon]:
    parts = getattr(found, "geoms", [found])
    return [part for part in parts if isinstance(part, Polygon) and not part.is_empty]


def _width(outline: BaseGeometry) -> float:
    return float(outline.bounds[2] - outline.bounds[0])


def _box(west: float, south: float, east: float, north: float) -> Box:
    if east - west >= 360:
        west, east = -180.0, 180.0
    return _within(west), max(south, -90.0), _within(east, last=True), min(north, 90.0)


def _within(longitude: float, *, last: bool = False) -> float:
    """Return a longitude between -180 and 180; the 180th meridian is 180 for a last one."""
    if -180 <= longitude <= 180:
        return longitude
    found = (longitude + 180) % 360 - 180
    return 180.0 if last and found == -180 else found
