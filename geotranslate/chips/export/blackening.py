"""Pixels of chips that become invalid because they show other ground than asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely.geometry.base import BaseGeometry

from geotranslate.chips.export.exportoptions import ExportOptions
from geotranslate.chips.export.scene_sides import Pixels, Scene, VectorSide
from geotranslate.chips.export.writer import Candidate
from geotranslate.chips.vectors import area_on
from geotranslate.errors import InvalidInputError
from geotranslate.raster.grid import Grid


class Blackening:
    """Ground outside of which pixels become invalid.

    Args:
        scenes: The scenes.
        options: Options of the export.

    Raises:
        RasterFileError: The area of interest cannot be read.
        InvalidInputError: There is neither an area of interest nor a vector layer.
    """

    def __init__(self, scenes: Sequence[Scene], options: ExportOptions) -> None:
        layers = any(isinstance(side, VectorSide) for one in scenes for side in _sides(one))
        if options.aoi is None and not layers:
            raise InvalidInputError(
                "blacken is True, but there are no shapes outside of which pixels could be black; "
                "give aoi, or a vector layer on one side."
            )
        self._areas: dict[int, BaseGeometry] = {}
        if options.aoi is not None:
            self._areas = {id(one): area_on(options.aoi, one.grid) for one in scenes}

    def of(self, tile: Candidate, pixels: tuple[Pixels, Pixels]) -> tuple[Pixels, Pixels]:
        """Return the pixels of a tile, 0 and invalid outside."""
        area = self._areas.get(id(tile.scene))
        inside = np.ones((tile.grid.height, tile.grid.width), bool)
        if area is not None:
            inside = _pixels_in(area, tile.grid)
        source, target = _sides(tile.scene)
        return (
            _within(pixels[0], inside & _shapes(target, tile.grid)),
            _within(pixels[1], inside & _shapes(source, tile.grid)),
        )


def _sides(scene: Scene) -> tuple[object, object]:
    return scene.source, scene.target


def _shapes(other: object, grid: Grid) -> NDArray[np.bool_] | bool:
    """Return the pixels inside of the shapes of the other side; True if it is a raster."""
    return other.covers(grid) if isinstance(other, VectorSide) else True


def _pixels_in(area: BaseGeometry, grid: Grid) -> NDArray[np.bool_]:
    """Return the pixels whose centers lie in an area, `(rows, cols)`."""
    # Cut around the tile, not along it: what only touches a cut becomes a line, which is burned.
    near = area.intersection(grid.footprint.buffer(max(grid.resolution), join_style="mitre"))
    size = (grid.height, grid.width)
    if near.is_empty:
        return np.zeros(size, bool)
    burned: NDArray[np.uint8] = rasterize([near], size, transform=grid.transform, dtype="uint8")
    return burned > 0


def _within(pixels: Pixels, inside: NDArray[np.bool_]) -> Pixels:
    data, valid = pixels
    return np.where(inside, data, np.zeros((), data.dtype)), valid & inside
