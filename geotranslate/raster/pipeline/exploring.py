"""Maps of rasters in notebooks, by ipyleaflet and localtileserver."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rasterio.crs import CRS
from rasterio.enums import Resampling

from geotranslate.checks import required
from geotranslate.errors import InvalidInputError
from geotranslate.raster.grid import Grid
from geotranslate.raster.opening import RasterLike
from geotranslate.raster.reader import RasterReader

SAMPLE = 512
"""Longest side of the picture of a raster whose values decide what is drawn darkest, px."""
PERCENTILES = (2, 98)
"""Percentiles of the values that are drawn darkest and lightest, except 8-bit values."""
SCREEN = 512
"""Side of the map that should show the whole raster at first, px."""
GDAL_VARIABLES = ("GDAL_NUM_THREADS", "GDAL_DISABLE_READDIR_ON_OPEN")
"""Variables that localtileserver sets."""
MERCATOR, WORLD = (CRS.from_epsg(code) for code in (3857, 4326))


@dataclass(frozen=True)
class Stretch:
    """Drawn bands of a raster, and the values of each that are darkest and lightest."""

    bands: list[int]
    low: list[float]
    high: list[float]


def explore_raster(
    path: str | os.PathLike[str], other: RasterLike | None, names: tuple[str, str]
) -> Any:
    """Return a map of a raster, on the right of a divider if another one is on its left.

    Args:
        path: The raster.
        other: Raster to compare it with: path, URL or GDAL name; None for none.
        names: Name of the other raster and of the raster.

    Returns:
        An `ipyleaflet.Map`.

    Raises:
        RasterFileError: A raster cannot be read.
        InvalidInputError: A raster has no CRS or no transform.
        MissingPackageError: ipyleaflet or localtileserver is not installed.
    """
    leaflet, tiles = (
        required(package, "map", "explore") for package in ("ipyleaflet", "localtileserver")
    )
    with RasterReader(path) as reader:
        outline = _placed(reader).footprint_in(WORLD).bounds
        stretch, zoom = _stretch(reader), _zoom(reader.grid)
        count = reader.bands
    if other is not None:
        with RasterReader(other) as reader:
            _placed(reader)
            other_name, other_stretch = reader.name, _stretch(reader)
            if stretch and other_stretch and names[0] == "Truth" and reader.bands == count:
                other_stretch = replace(stretch, bands=other_stretch.bands)
    left, bottom, right, top = outline
    shown = leaflet.Map(
        center=((bottom + top) / 2, (left + right) / 2),
        zoom=zoom,
        scroll_wheel_zoom=True,
        layers=(),
    )
    layer = _layer(tiles, os.fspath(path), names[1], stretch)
    if other is None:
        shown.add(layer)
    else:
        beside = _layer(tiles, other_name, names[0], other_stretch)
        shown.add(leaflet.SplitMapControl(left_layer=beside, right_layer=layer))
    return shown


def _layer(tiles: Any, path: str, name: str, stretch: Stretch | None) -> Any:
    drawn: dict[str, Any] = {}
    if stretch is not None:
        drawn = {"indexes": stretch.bands, "vmin": stretch.low, "vmax": stretch.high}
    with _same_environment():
        return tiles.get_leaflet_tile_layer(path, name=name, attribution="", **drawn)


@contextmanager
def _same_environment() -> Iterator[None]:
    """Restore the variables of GDAL at the end of the block.

    localtileserver lets GDAL start threads everywhere in the process, for which processes that are
    forked later would wait.
    """
    former = {name: os.environ.get(name) for name in GDAL_VARIABLES}
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _placed(reader: RasterReader) -> Grid:
    grid = reader.grid
    if grid.crs is None or grid.transform.is_identity:
        raise InvalidInputError(
            f"{reader.name} has no {'CRS' if grid.crs is None else 'transform'}, so it has no "
            "place on a map; look at it in a picture, or give it its place first, for example "
            "with gdal_edit.py -a_srs."
        )
    return grid


def _stretch(reader: RasterReader) -> Stretch | None:
    """Return what is drawn of a raster, by a sample of its values; None for 8-bit values."""
    if reader.dtype == "uint8":
        return None
    grid = reader.grid
    shrink = max(grid.height, grid.width, SAMPLE) / SAMPLE
    shape = max(int(grid.height / shrink), 1), max(int(grid.width / shrink), 1)
    bands = list(reader.indexes[:3] if reader.bands >= 3 else reader.indexes[:1])
    data = reader.dataset.read(
        bands, out_shape=(len(bands), *shape), resampling=Resampling.nearest, masked=True
    )
    low, high = [], []
    for band in data:
        values = band.compressed()[np.isfinite(band.compressed())]
        least, most = np.percentile(values, PERCENTILES).tolist() if values.size else (0.0, 1.0)
        low.append(least)
        high.append(most if most > least else least + 1)
    return Stretch(bands, low, high)


def _zoom(grid: Grid) -> int:
    """Return the largest zoom at which the raster fits into a map."""
    left, bottom, right, top = grid.footprint_in(MERCATOR).bounds
    return int(np.clip(np.log2(40_075_017 / max(right - left, top - bottom) * SCREEN / 256), 1, 24))
