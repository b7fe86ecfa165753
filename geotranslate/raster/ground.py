"""Sizes of pixels on the ground, in meters."""

from __future__ import annotations

import math

from affine import Affine
from rasterio._err import CPLE_BaseError  # what transforming raises is not public
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.warp import transform

from geotranslate.errors import InvalidInputError
from geotranslate.raster.grid import Grid

EARTH_RADIUS = 6_371_008.8
"""Meters."""
WEB_MERCATOR = 3857
MOST_SIDE = 2**31 - 1
"""Largest width or height of a raster in GDAL."""

GroundSize = tuple[float, float]
"""Sides of a pixel along its row and along its column, meters."""


def ground_size(
    resolution: tuple[float, float], crs: CRS | None, latitude: float
) -> GroundSize | None:
    """Return a pixel's sides in meters at a latitude; None if the CRS has no known unit.

    Args:
        resolution: Sides along row and column in units of the CRS.
        crs: Geographic or projected.
        latitude: Degrees.
    """
    if crs is None or not (crs.is_geographic or crs.is_projected):
        return None
    factor = crs.units_factor[1]
    along_row = along_column = factor * (EARTH_RADIUS if crs.is_geographic else 1)
    shrunk = math.cos(math.radians(latitude))
    if crs.is_geographic:
        along_row *= shrunk
    elif crs.to_epsg() == WEB_MERCATOR:
        along_row, along_column = along_row * shrunk, along_column * shrunk
    return resolution[0] * along_row, resolution[1] * along_column


def latitude_of(grid: Grid, down: float = 0.5) -> float:
    """Return the latitude of a point in the middle column of a grid with a CRS, degrees.

    Args:
        grid: The grid.
        down: Place of the point along the column, 0 at the top and 1 at the bottom.

    Raises:
        CRSError, RasterioError, CPLE_BaseError: The CRS cannot be brought to latitudes.
    """
    x, y = grid.transform @ (grid.width / 2, grid.height * down)
    latitude = transform(grid.crs, CRS.from_epsg(4326), [x], [y])[1][0]
    return float(latitude) if math.isfinite(latitude) else 0.0


def ground_of(grid: Grid, down: float = 0.5) -> GroundSize | None:
    """Return the size of a pixel of a grid on the ground, or None if it is not known.

    Args:
        grid: The grid.
        down: Place of the pixel along the middle column, 0 at the top and 1 at the bottom.
    """
    if grid.crs is None:
        return None
    try:
        found = ground_size(grid.resolution, grid.crs, latitude_of(grid, down))
    except (CRSError, RasterioError, CPLE_BaseError):
        return None
    return found if found is not None and min(found) > 0 and max(found) < math.inf else None


def at_resolution(grid: Grid, meters: float, name: str) -> Grid:
    """Return a grid on the same ground with square pixels of a size, whole ones only.

    Args:
        grid: Grid of a raster.
        meters: Side of a pixel on the ground, at the middle of the raster.
        name: Name of the raster in messages.

    Raises:
        InvalidInputError: The grid does not tell the size of its pixels, or no whole pixel fits.
    """
    sizes = ground_of(grid)
    if sizes is None:
        raise InvalidInputError(
            f"resolution is {meters:g} meters, but {name} has no CRS that tells the size of its "
            "pixels on the ground; assign one, or leave resolution out."
        )
    ratios = [size / meters for size in sizes]
    # Rounded first, as 30 / 0.1 is a little less than 300.
    width, height = (
        math.floor(round(count * ratio, 6))
        for count, ratio in zip((grid.width, grid.height), ratios, strict=True)
    )
    if not 1 <= min(width, height) <= max(width, height) <= MOST_SIDE:
        raise InvalidInputError(
            f"resolution is {meters:g} meters, at which {name} would have {width} x {height} "
            f"pixels; its own are {sizes[0]:.3g} x {sizes[1]:.3g} m. Give a number of meters near "
            "that."
        )
    finer = Affine.scale(1 / ratios[0], 1 / ratios[1])
    return Grid(grid.crs, grid.transform @ finer, height, width)
