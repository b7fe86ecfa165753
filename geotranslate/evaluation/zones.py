"""Zones of a scene: polygons whose pixels are measured apart."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.windows import Window

from geotranslate.checks import shown
from geotranslate.chips.vectors import in_crs, read_layer, shapes_of, spread_over
from geotranslate.errors import InvalidInputError
from geotranslate.evaluation.windows import STEP
from geotranslate.raster.grid import Grid

ZonesLike: TypeAlias = "str | os.PathLike[str] | gpd.GeoDataFrame | gpd.GeoSeries"

FRACTION = 2.0**20
"""Corners of zones are rounded to this part of a pixel, so that they stay the same in the pixels of
every window."""


@dataclass(frozen=True)
class ZonePart:
    """The pixels of a zone in a window."""

    zone: int
    rows: slice
    cols: slice
    """Rows and columns of the window around them, which begin at multiples of 16."""
    mask: NDArray[np.bool_]
    """Whether a pixel's center lies in the zone, for these rows and columns."""


class Zones:
    """Polygons on the grid of a scene, which may overlap.

    Args:
        zones: Vector file, GeoDataFrame or GeoSeries in any CRS, one row for each zone.
        grid: Grid of the scene.

    Raises:
        RasterFileError: The vector file cannot be read.
        GridMismatchError: The CRS of the zones and of the scene are incompatible.
        InvalidInputError: They are no polygons, or none of them meets the scene.
    """

    def __init__(self, zones: ZonesLike, grid: Grid) -> None:
        self.layer = _layer(zones)
        shapes = shapely.make_valid(_on(self.layer.geometry, grid).to_numpy())
        self._shapes = shapely.transform(shapes, lambda at: _in_pixels(at, grid))
        scene = shapely.box(0, 0, grid.width, grid.height)
        self._tree = shapely.STRtree(self._shapes)
        if not len(self._tree.query(scene, predicate="intersects")):
            raise InvalidInputError(
                "No zone meets the scene on the ground; give zones of this place, and check that "
                "the layer names the CRS that it is really in."
            )

    def parts(self, window: Window) -> Iterator[ZonePart]:
        """Yield the pixels of every zone in a window, by their centers."""
        left, top = int(window.col_off), int(window.row_off)
        width, height = int(window.width), int(window.height)
        near = self._tree.query(shapely.box(left, top, left + width, top + height))
        for zone in sorted(near.tolist()):
            shape = shapely.transform(self._shapes[zone], lambda at: at - [left, top])
            bounds = shapely.bounds(shape)
            rows, cols = _span(bounds[1::2], height), _span(bounds[::2], width)
            if rows.start >= rows.stop or cols.start >= cols.stop:
                continue
            mask = _burned(shape, rows, cols)
            if mask.any():
                yield ZonePart(zone, rows, cols, mask)


def _layer(zones: ZonesLike) -> gpd.GeoDataFrame:
    """Return the zones as a layer of polygons."""
    if isinstance(zones, str | os.PathLike):
        zones = read_layer(zones)
    if isinstance(zones, gpd.GeoSeries):
        zones = zones.to_frame("geometry")
    if not isinstance(zones, gpd.GeoDataFrame):
        raise InvalidInputError(
            f"zones is {shown(zones)}; give a vector file, a GeoDataFrame or a GeoSeries of "
            "polygons."
        )
    shapes = shapes_of(zones, "the zones")
    kinds = sorted({str(kind) for kind in shapes.geom_type} - {"Polygon", "MultiPolygon"})
    if kinds or not len(shapes):
        found = f"has rows of kind {', '.join(kinds)}" if kinds else "has no rows"
        raise InvalidInputError(f"The layer of zones {found}; give one polygon for each zone.")
    return zones


def _on(shapes: gpd.GeoSeries, grid: Grid) -> gpd.GeoSeries:
    if (shapes.crs is None) != (grid.crs is None):
        without, other = ("zones", "scene") if shapes.crs is None else ("scene", "zones")
        verb = "have" if without == "zones" else "has"
        raise InvalidInputError(
            f"The {without} {verb} no CRS but the {other} {'has' if other == 'scene' else 'have'} "
            "one; assign it first."
        )
    return shapes if grid.crs is None else in_crs(shapes, grid.crs, spread_over(grid), "The zones")


def _in_pixels(at: NDArray[np.float64], grid: Grid) -> NDArray[np.float64]:
    """Return columns and rows of points."""
    found = np.stack(~grid.transform @ (at[:, 0], at[:, 1]), axis=1)
    return np.round(found * FRACTION) / FRACTION


def _span(ends: NDArray[np.float64], size: int) -> slice:
    """Return the pixels of an axis of a window between two places, from a multiple of 16 on."""
    if not np.isfinite(ends).all():
        return slice(0, 0)
    first = int(np.clip(np.floor(ends[0]), 0, size)) // STEP * STEP
    last = int(np.clip(np.ceil(ends[1]), 0, size))
    return slice(first, min(-(-last // STEP) * STEP, size))


def _burned(shape: Any, rows: slice, cols: slice) -> NDArray[np.bool_]:
    size = (rows.stop - rows.start, cols.stop - cols.start)
    moved = shapely.transform(shape, lambda at: at - [cols.start, rows.start])
    burned: NDArray[np.uint8] = rasterize([(moved, 1)], size, dtype="uint8")
    return burned > 0
