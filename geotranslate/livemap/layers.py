"""Layers of a live map, which answer map tiles as PNG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rio_tiler.io import Reader
from rio_tiler.models import ImageData
from rio_tiler.utils import render

from geotranslate.chips.bands import Side, sample_scene
from geotranslate.data.plotting import class_color
from geotranslate.errors import InvalidInputError
from geotranslate.livemap.blockstore import Key, Pixels
from geotranslate.livemap.mapreader import BlockReader, View
from geotranslate.raster.grid import color_table
from geotranslate.raster.opening import quiet_about_georeference
from geotranslate.raster.reader import RasterReader
from geotranslate.raster.writing import Color

MERCATOR = CRS.from_epsg(3857)
WORLD = 20_040_000
"""Largest coordinate in it, meters, with some slack; NaN is not within it."""

MOST_READ = 2**26
"""Most pixels of a file without overviews that are read for a map tile."""

STRETCH = (2, 98)
"""Percentiles of a file that are drawn darkest and lightest, unless it holds 8-bit values."""


@dataclass(frozen=True)
class Look:
    """Colors of the values of a layer."""

    bands: tuple[int, ...]
    """Three bands to draw as colors, or one to draw in gray, from 1."""
    low: tuple[float, ...] = ()
    """Value of each band that is drawn darkest."""
    high: tuple[float, ...] = ()
    """Value of each band that is drawn lightest."""
    colors: Mapping[int, Color] = field(default_factory=dict)
    """Red, green, blue and alpha by value, for classes; others have none."""

    @property
    def exact(self) -> bool:
        """Whether only values of pixels may be drawn, no averages."""
        return bool(self.colors)

    def png(self, image: ImageData) -> bytes:
        """Return the bands of this look as PNG; invalid pixels are transparent."""
        seen = ~np.ma.getmaskarray(image.array).any(axis=0) * np.uint8(255)
        data = image.array.data
        if self.colors:
            return bytes(render(data, seen, colormap=dict(self.colors), zlevel=1))
        low, high = (np.asarray(each, np.float32)[:, None, None] for each in (self.low, self.high))
        if data.dtype != np.uint8 or (low != 0).any() or (high != 255).any():
            stretched = (data.astype(np.float32) - low) / np.maximum(high - low, 1e-30) * 255
            data = np.nan_to_num(stretched).clip(0, 255).astype(np.uint8)
        return bytes(render(data, seen, zlevel=1))

    @classmethod
    def of_side(cls, side: Side, bands: int) -> Look:
        """Return the look of translations, which may have a band more than the side."""
        if side.classes is not None:
            table = {
                value: tuple(round(part * 255) for part in class_color(side.classes, value))
                for value in side.class_numbers or range(256)
            }
            return cls((1,), colors={value: (r, g, b, a) for value, (r, g, b, a) in table.items()})
        shown = _shown(bands)
        low, high = ((0.0,) * 3, (255.0,) * 3) if side.dtype == "uint8" else side.limits
        return cls(shown, tuple(low[: len(shown)]), tuple(high[: len(shown)]))

    @classmethod
    def of_file(cls, reader: RasterReader) -> Look:
        """Return the look of a file by its color table, its dtype or a sample of its values."""
        if table := color_table(reader.dataset):
            return cls((1,), colors=table)
        shown = _shown(reader.bands)
        if reader.dtype == "uint8":
            return cls(shown, (0.0,) * len(shown), (255.0,) * len(shown))
        sample = sample_scene(reader)[: len(shown)]
        if not sample.shape[1]:
            return cls(shown, (0.0,) * len(shown), (1.0,) * len(shown))
        low, high = np.percentile(sample, STRETCH, axis=1)
        return cls(shown, tuple(low.tolist()), tuple(high.tolist()))


def _shown(bands: int) -> tuple[int, ...]:
    return (1, 2, 3) if bands >= 3 else (1,)


@dataclass(frozen=True)
class FileLayer:
    """A raster in a file, read by rio-tiler."""

    name: str
    path: str
    look: Look
    indexes: tuple[int, ...]
    """Bands of the file that are drawn, by number from 1."""

    def png(self, x: int, y: int, z: int) -> bytes | None:
        """Return a map tile; None beyond the raster, and if too many pixels had to be read.

        Raises:
            RasterioError: The file cannot be read.
        """
        with quiet_about_georeference(), Reader(self.path) as reader:
            if not reader.tile_exists(x, y, z) or self._too_far(reader, z):
                return None
            # As GDAL does for maps: pixels stay squares nearby, averages are smooth from afar.
            smooth = not self.look.exact and z < reader.maxzoom
            method = "bilinear" if smooth else "nearest"
            image = reader.tile(
                x, y, z, indexes=self.indexes, resampling_method=method, reproject_method=method
            )
            return self.look.png(image)

    @staticmethod
    def _too_far(reader: Reader, z: int) -> bool:
        dataset: Any = reader.dataset
        apart = 2 ** max(reader.maxzoom - z, 0)
        pixels = min(256 * apart, reader.width) * min(256 * apart, reader.height)
        return pixels > MOST_READ and not dataset.overviews(1)


@dataclass(frozen=True)
class TranslationLayer:
    """The translation of a scene, of blocks that are computed when a tile needs them."""

    name: str
    reader: BlockReader
    look: Look

    def view(self, x: int, y: int, z: int) -> View | None:
        """Return the pixels under a map tile; None if it misses the scene."""
        return self.reader.tile_view(x, y, z)

    def png(self, view: View, blocks: Mapping[Key, Pixels]) -> bytes:
        """Return a map tile of blocks that are computed."""
        image = self.reader.image(view, blocks)
        chosen = [band - 1 for band in self.look.bands]
        return self.look.png(ImageData(image.array[chosen], bounds=image.bounds, crs=image.crs))


def file_layer(name: str, path: str, reader: RasterReader, look: Look | None = None) -> FileLayer:
    """Return the layer of an open raster, after checking that it has a place on the map.

    Args:
        name: Name on the page.
        path: Path or GDAL name, by which it is opened for every tile.
        reader: The raster, with the bands that are drawn.
        look: Its colors; by default those of the file.

    Raises:
        InvalidInputError: It has no CRS or no transform.
    """
    refuse_unplaced(reader)
    look = look or Look.of_file(reader)
    return FileLayer(name, path, look, tuple(reader.indexes[band - 1] for band in look.bands))


def refuse_unplaced(reader: RasterReader) -> None:
    """Refuse a raster without a place on the ground.

    Raises:
        InvalidInputError: It has no CRS or no transform, or lies where Web Mercator has no place.
    """
    grid = reader.grid
    missing = [
        word
        for word, gone in (("CRS", grid.crs is None), ("transform", grid.transform.is_identity))
        if gone
    ]
    if missing:
        raise InvalidInputError(
            f"{reader.name} has no {' and no '.join(missing)}, so it has no place on a map; give "
            "it one, for example with gdal_edit.py -a_srs, or with gdalwarp if it has ground "
            "control points or RPCs."
        )
    try:
        outline = grid.footprint_in(MERCATOR)
        placed = not outline.is_empty and max(map(abs, outline.bounds)) <= WORLD
    except (RasterioError, ValueError):
        placed = False
    if not placed:
        raise InvalidInputError(
            f"{reader.name} lies where Web Mercator, the projection of web maps, has no place; "
            "translate it with predict_raster, and look at it in a GIS."
        )
