"""Coordinates of pixels: the affine transform, and longitude and latitude by interpolation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError  # what transforming raises is not public
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.warp import transform

from geotranslate.raster.grid import Grid

WGS84 = "EPSG:4326"
SIZES = (3, 5, 9, 17, 33)
"""Points of a lattice along an axis, each size with the points of the one before."""
ACCURACY = 0.1
"""Largest error of interpolated longitudes and latitudes, in pixels."""


def coordinates_of(grid: Grid) -> dict[str, Any]:
    """Return plain values from which a page computes the coordinates of a pixel.

    Returns:
        `affine`, the six numbers of the transform; `crs`, the name of the CRS, or "" for none;
        `digits`, the digits behind the point of a coordinate; and `lonlat`, a lattice of longitudes
        and latitudes over the grid, or None if they are not known.
    """
    crs = grid.crs
    size = min(grid.resolution) or 1.0
    return {
        "affine": list(grid.transform[:6]),
        "crs": "" if crs is None else name_of(crs),
        "digits": min(max(2 - math.floor(math.log10(size)), 0), 12),
        "lonlat": _lattice(grid),
    }


def name_of(crs: CRS | None) -> str:
    """Return the code of a CRS, or its name where it has no code, or "no CRS"."""
    if crs is None:
        return "no CRS"
    code = crs.to_authority()
    return ":".join(code) if code else str(crs.to_wkt().split('"')[1])


def unit_of(crs: CRS | None) -> str:
    """Return the unit of a CRS, abbreviated if it is the meter, or "" for none."""
    unit = "" if crs is None else str(crs.units_factor[0])
    return "m" if unit in ("metre", "meter") else unit


def _lattice(grid: Grid) -> dict[str, Any] | None:
    """Return the smallest lattice that is accurate, the finest one otherwise; None if unknown."""
    if grid.crs is None:
        return None
    finest = _lonlat(grid, 2 * SIZES[-1] - 1)
    if finest is None:
        return None
    for size in SIZES:
        step = (2 * SIZES[-1] - 2) // (size - 1)
        lattice = finest[:, ::step, ::step]
        error = _error(grid, lattice, finest, step)
        if error <= ACCURACY:
            break
    return {"size": size, "lon": _plain(lattice[0]), "lat": _plain(lattice[1])}


def _lonlat(grid: Grid, count: int) -> NDArray[np.float64] | None:
    """Return longitudes and latitudes `(2, count, count)` from edge to edge of a grid."""
    rows, cols = np.meshgrid(
        np.linspace(0, grid.height, count), np.linspace(0, grid.width, count), indexing="ij"
    )
    forth: Any = grid.transform
    xs, ys = forth @ (cols.ravel(), rows.ravel())
    try:
        lon, lat = transform(grid.crs, WGS84, xs, ys)
    except (CRSError, RasterioError, CPLE_BaseError):
        return None
    found = np.array([lon, lat]).reshape(2, count, count)
    if not np.isfinite(found).all():
        return None
    # Across the antimeridian, longitudes go on beyond 180 degrees.
    for axis in (0, 1):
        found[0] = np.unwrap(found[0], period=360, axis=axis)
    return found


def _error(
    grid: Grid, lattice: NDArray[np.float64], finest: NDArray[np.float64], step: int
) -> float:
    """Return the largest error of a lattice in the middle of its cells, px."""
    if step < 2:
        return 0.0
    half = step // 2
    corners = lattice[:, :-1, :-1] + lattice[:, 1:, :-1] + lattice[:, :-1, 1:] + lattice[:, 1:, 1:]
    away = np.abs(corners / 4 - finest[:, half::step, half::step]).max(axis=(1, 2))
    # Degrees for each pixel, along the diagonal of the grid.
    pixel = math.hypot(*(finest[:, -1, -1] - finest[:, 0, 0])) / math.hypot(grid.height, grid.width)
    return float(away.max()) / pixel if pixel > 0 else math.inf


def _plain(values: NDArray[np.float64]) -> list[list[float]]:
    return [[round(value, 9) for value in row] for row in values.tolist()]
