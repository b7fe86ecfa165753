"""Vector layers, and their transformation to the CRS of a raster."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS

from geotranslate.errors import (
    GeotranslateError,
    GridMismatchError,
    InvalidInputError,
    RasterFileError,
    said,
)
from geotranslate.raster.grid import Grid
from geotranslate.raster.opening import open_raster, readable_name, refuse_special

VECTOR_SUFFIXES = {".shp", ".gpkg", ".geojson", ".json", ".fgb", ".parquet", ".gml", ".kml"}
STEPS = 1000
"""Number of pieces of a straight side across the ground of interest: between two points on ground
of 1000 km, it bends by about a hundredth of a meter."""
MARGIN = 0.1
"""Margin around that ground within which shapes are kept, as a share of its size."""
LATTICE = 33j
"""Points along each side, as numpy counts them."""

Shapes = NDArray[Any]


def is_layer(side: object) -> bool:
    """Tell whether a value is a vector layer, by its type and name."""
    if isinstance(side, str | os.PathLike):
        return Path(side).suffix.lower() in VECTOR_SUFFIXES
    return isinstance(side, gpd.GeoDataFrame)


def read_layer(path: str | os.PathLike[str]) -> gpd.GeoDataFrame:
    """Read a vector file.

    Raises:
        RasterFileError: It cannot be read, or has no shapes; the message names it.
    """
    name = readable_name(path)
    refuse_special(path)
    try:
        parquet = Path(path).suffix.lower() == ".parquet"
        layer = gpd.read_parquet(path) if parquet else gpd.read_file(path)
    except Exception as error:  # pyogrio and pyarrow raise errors of many kinds
        if _is_raster(path):
            raise RasterFileError(
                f"{name} is a raster where a vector layer is expected; give polygons, for example "
                "the outline of what is valid in it (gdal_footprint)."
            ) from error
        raise RasterFileError(
            f"{name} cannot be read as a vector layer: {said(error)}. Give a file that geopandas "
            "reads, or a GeoDataFrame."
        ) from error
    if not isinstance(layer, gpd.GeoDataFrame):
        raise RasterFileError(f"{name} is a table without shapes; give a layer of polygons.")
    return layer


def _is_raster(path: str | os.PathLike[str]) -> bool:
    with ExitStack() as stack:
        try:
            open_raster(path, stack)
        except GeotranslateError:
            return False
    return True


def shapes_of(layer: gpd.GeoDataFrame | gpd.GeoSeries, name: str) -> gpd.GeoSeries:
    """Return the shapes of a layer.

    Raises:
        InvalidInputError: It has no column of shapes; the message names the layer.
    """
    try:
        return layer.geometry
    except AttributeError as error:
        raise InvalidInputError(
            f"No column of {name} holds shapes, or none is the active one; choose it with "
            "set_geometry."
        ) from error


def spread_over(grid: Grid) -> NDArray[np.float64]:
    """Return points `(n, 2)` spread over a grid, including its edges, in its CRS."""
    places: Any = np.mgrid[0:1:LATTICE, 0:1:LATTICE].reshape(2, -1)
    return np.stack(grid.transform @ (places[0] * grid.width, places[1] * grid.height), axis=1)


def in_crs(
    shapes: gpd.GeoSeries, crs: CRS | None, points: NDArray[np.float64], name: str
) -> gpd.GeoSeries:
    """Return the parts of shapes near some points, in the CRS of the points.

    Straight lines of one CRS bend in another, so points are added along sides. Ground far away is
    cut off, as it may not exist in the other CRS: a UTM zone cannot hold the world. Every shape
    keeps its row, which is empty if no part of it is near. Degrees that differ by 360 are the same
    place.

    Args:
        shapes: Shapes with a CRS.
        crs: The other CRS.
        points: Points `(n, 2)` spread over the ground that matters, in the other CRS.
        name: Name of the shapes in error messages.

    Raises:
        GridMismatchError: There is no other CRS, or no transformation to it; the message names the
            shapes.
    """
    try:
        if shapes.crs == crs and not shapes.crs.is_geographic:
            return shapes
        wanted = gpd.GeoSeries(gpd.points_from_xy(*points.T), crs=crs)
        moved = _moved(shapes, wanted)
    except Exception as error:  # pyproj and geopandas raise errors of several kinds
        other = "no CRS" if crs is None else gpd.GeoSeries(crs=crs).crs.name
        raise GridMismatchError(
            f"{name} cannot be brought from {shapes.crs.name} into {other}: no way from one to the "
            "other is known. Check that both name the CRS that they are really in."
        ) from error
    return moved


def _moved(shapes: gpd.GeoSeries, wanted: gpd.GeoSeries) -> gpd.GeoSeries:
    degrees, to_degrees = shapes.crs.is_geographic, wanted.crs.is_geographic
    points = shapely.get_coordinates(wanted.array)
    there = shapely.get_coordinates(wanted.to_crs(shapes.crs).array)
    window = None
    if np.isfinite(there).all():
        window = _window(there, points if to_degrees else None, degrees=degrees)
    near = _near(shapes.to_numpy(), window, turns=(-1, 0, 1) if degrees else (0,))
    if shapes.crs == wanted.crs:
        return gpd.GeoSeries(near, index=shapes.index, crs=wanted.crs)
    near = shapely.segmentize(near, _step(window, near))
    moved = gpd.GeoSeries(near, index=shapes.index, crs=shapes.crs).to_crs(wanted.crs)
    if to_degrees:
        middle = (points[:, 0].min() + points[:, 0].max()) / 2
        return moved.transform(lambda at: _beside(at, middle))
    if degrees and window is not None and window[2] - window[0] > 359:
        # The 180th meridian lies within: rounding must not separate shapes that meet there.
        return moved.buffer(1e-8 * float(np.ptp(points, axis=0).max()), join_style="mitre")
    return moved


def _window(
    there: NDArray[np.float64], points: NDArray[np.float64] | None, *, degrees: bool
) -> NDArray[np.float64]:
    """Return left, bottom, right and top of the ground around points.

    Args:
        there: The points in the CRS of the shapes.
        points: The original points in degrees; None if they are not in degrees.
        degrees: Whether the shapes are in degrees.
    """
    if degrees and points is not None:
        # The ground in its own coordinates, which may exceed 180.
        there[:, 0] += 360 * np.round((points[:, 0] - there[:, 0]) / 360)
    elif degrees:
        there[:, 0] = _without_seam(there[:, 0])
    low, high = there.min(axis=0), there.max(axis=0)
    margin = MARGIN * (high - low)
    window = np.concatenate([low - margin, high + margin])
    if degrees and points is None:
        if window[2] - window[0] >= 360:
            window[0], window[2] = -180, 180
        elif high[0] <= 180:
            # Ground that ends at the 180th meridian may touch both ends of a map.
            window[0], window[2] = max(window[0], -180), min(window[2], 180)
    return window


def _without_seam(longitudes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return longitudes that continue across the 180th meridian, cut at their widest gap."""
    ordered = np.sort(longitudes % 360)
    widest = np.diff(np.append(ordered, ordered[0] + 360)).argmax()
    first = ordered[(widest + 1) % len(ordered)]
    return first + (longitudes - first) % 360 - (360 if first >= 180 else 0)


def _near(shapes: Shapes, window: NDArray[np.float64] | None, turns: tuple[int, ...]) -> Shapes:
    """Return the parts of shapes in a window, also at whole turns of 360 degrees from it."""
    if window is None:
        return shapes
    found = _clipped(shapes, window)
    for turn in (turn for turn in turns if turn):
        away = 360.0 * turn
        pieces = _clipped(shapes, window + np.array([away, 0, away, 0]))
        held = ~shapely.is_empty(pieces)
        back = shapely.transform(pieces[held], lambda at, by=away: at - [by, 0])
        found[held] = shapely.union(found[held], back)
    return found


def _clipped(shapes: Shapes, window: NDArray[np.float64]) -> Shapes:
    bounds = shapely.bounds(shapes)
    inside = (bounds[:, :2] >= window[:2]).all(axis=1) & (bounds[:, 2:] <= window[2:]).all(axis=1)
    # Empty shapes have no bounds and intersect nothing.
    meets = (bounds[:, 2:] >= window[:2]).all(axis=1) & (bounds[:, :2] <= window[2:]).all(axis=1)
    found = np.full(len(shapes), shapely.GeometryCollection(), object)
    found[inside] = shapes[inside]
    cut = meets & ~inside
    found[cut] = shapely.intersection(shapely.make_valid(shapes[cut]), shapely.box(*window))
    return found


def _step(window: NDArray[np.float64] | None, shapes: Shapes) -> float:
    """Return the length of the pieces that sides are divided into."""
    left, bottom, right, top = shapely.total_bounds(shapes) if window is None else window
    size = float(np.hypot(right - left, top - bottom))
    return size / STEPS if np.isfinite(size) and size > 0 else np.inf


def _beside(at: NDArray[np.float64], middle: float) -> NDArray[np.float64]:
    """Return points in degrees within half a turn of a longitude."""
    # Slightly less than half a turn, so that shapes which end there up to rounding stay.
    turns = np.round((middle - at[:, 0]) / 360 * (1 - 1e-9))
    return at + 360 * np.stack([turns, np.zeros(len(at))], axis=1)
