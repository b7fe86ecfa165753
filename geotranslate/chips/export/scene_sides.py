"""The two sides of a scene: rasters, or vector layers burnt into the other's grid."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeAlias

import geopandas as gpd
import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.features import rasterize
from rasterio.windows import Window

from geotranslate.chips.layouts import counted
from geotranslate.chips.vectors import in_crs, is_layer, read_layer, shapes_of, spread_over
from geotranslate.errors import GridMismatchError, InvalidInputError
from geotranslate.raster.bandfacts import BandFacts
from geotranslate.raster.grid import Grid, align, color_table, warp
from geotranslate.raster.opening import RasterLike
from geotranslate.raster.reader import RasterReader

SceneLike: TypeAlias = "RasterLike | gpd.GeoDataFrame"
Pixels: TypeAlias = "tuple[NDArray[Any], NDArray[np.bool_]]"


@dataclass(frozen=True, slots=True)
class SideOptions:
    """Options of one side, for all scenes."""

    resampling: Resampling
    """Method by which its rasters are resampled to another grid."""
    classes: bool | None = None
    """The option `source_classes` or `target_classes`, which its chips remember."""


class RasterSide:
    """A raster, resampled to a grid where its own differs.

    Args:
        source: The raster.
        grid: Grid of the scene.
        options: Its options.
        stack: Closes the warped view in the end.
    """

    def __init__(
        self, source: RasterReader, grid: Grid, options: SideOptions, stack: ExitStack
    ) -> None:
        self._original, self._resampling = source, options.resampling
        aligned = stack.enter_context(align(source.dataset, grid, options.resampling))
        self.warped = aligned is not source.dataset
        self._aligned = RasterReader(aligned)
        self.name, self.bands, self.dtype = source.name, source.bands, source.dtype
        self.files: tuple[str, ...] = tuple(source.dataset.files)
        self.nodata: float | None = source.nodata
        self.band_names = source.band_names
        self.colormap, self.said_classes = color_table(source.dataset), options.classes
        self.band_facts = BandFacts.of(source.dataset, source.indexes)

    def read(self, window: Window) -> Pixels:
        """Read a window of the scene's grid."""
        return self._aligned.read(window, dtype=None)

    def read_on(self, grid: Grid) -> Pixels:
        """Read the ground under another grid."""
        with warp(self._original.dataset, grid, self._resampling) as warped:
            return RasterReader(warped, self._original.indexes).read(dtype=None)


class VectorSide:
    """A vector layer burnt into a grid: a column's values, or 1, on a ground of 0.

    Where shapes overlap the later row of the layer stands. A pixel belongs to the shape that
    holds its center. Every pixel is valid.

    Args:
        layer: Shapes in any CRS.
        grid: Grid of the scene.
        burn: Column of numbers; None burns 1.
        name: What errors call the layer.
        classes: The option `source_classes` or `target_classes`.
    """

    def __init__(
        self,
        layer: gpd.GeoDataFrame,
        grid: Grid,
        burn: str | None,
        name: str,
        classes: bool | None = None,
    ) -> None:
        shapes = shapes_of(layer, name)
        if shapes.is_empty.all():
            raise InvalidInputError(f"{name} is empty; give a layer with shapes to burn.")
        if (shapes.crs is None) != (grid.crs is None):
            raise GridMismatchError(
                f"{name} cannot be burnt: {'it' if shapes.crs is None else 'the raster'} has no "
                "CRS and the other side has one. Assign the CRS first."
            )
        if shapes.crs is not None:
            shapes = in_crs(shapes, grid.crs, spread_over(grid), name)
        self._shapes = shapes
        self._values, self.dtype = _burnt_values(layer, burn, name)
        if not shapes.intersects(grid.footprint).any():
            raise GridMismatchError(
                f"No shape of {name} lies on the raster's ground. Give a layer of the same place."
            )
        self._grid, self.name = grid, name
        self.bands, self.band_names, self.warped = 1, (burn or "",), False
        self.band_facts = BandFacts()
        self.nodata, self.colormap, self.files, self.said_classes = None, None, (), classes

    def read(self, window: Window) -> Pixels:
        """Burn a window of the scene's grid."""
        return self.read_on(self._grid.crop(window))

    def read_on(self, grid: Grid) -> Pixels:
        """Burn the ground under another grid."""
        near = np.flatnonzero(self._shapes.intersects(grid.footprint))
        shapes = [(self._shapes.iloc[i], self._values[i]) for i in near]
        size = (grid.height, grid.width)
        valid = np.ones(size, bool)
        if not shapes:
            return np.zeros((1, *size), self.dtype), valid
        burnt = rasterize(shapes, size, transform=grid.transform, dtype=self.dtype)
        return burnt[None], valid


SceneSide: TypeAlias = "RasterSide | VectorSide"


@dataclass(frozen=True)
class Scene:
    """Two sides on one grid."""

    grid: Grid
    source: SceneSide
    target: SceneSide
    warped: bool


def open_scene(
    source: SceneLike,
    target: SceneLike,
    burn: str | None,
    options: tuple[SideOptions, SideOptions],
    stack: ExitStack,
) -> Scene:
    """Open both sides on the source's grid, or on the target's where the source is a layer.

    Raises:
        RasterFileError: A side cannot be opened.
        InvalidInputError: Both are layers, or the column is not there or holds no numbers.
        GridMismatchError: The sides do not overlap, or one of them has no CRS.
    """
    layers = [_read_layer(side) for side in (source, target)]
    if all(layer is not None for layer in layers):
        raise InvalidInputError(
            "Both sides are vector layers; give a raster on one side, whose grid the chips take."
        )
    rasters = [
        None if layer is not None else stack.enter_context(RasterReader(side))
        for side, layer in zip((source, target), layers, strict=True)
    ]
    first = next(raster for raster in rasters if raster is not None)
    sides = [
        RasterSide(raster, first.grid, asked, stack)
        if raster is not None
        else VectorSide(layer, first.grid, burn, _name(side), asked.classes)
        for raster, layer, side, asked in zip(
            rasters, layers, (source, target), options, strict=True
        )
    ]
    return Scene(first.grid, sides[0], sides[1], any(side.warped for side in sides))


def turned(grid: Grid, degrees: float) -> Grid:
    """Return the grid turned clockwise about its middle."""
    across, down = grid.width / 2, grid.height / 2
    turn = (
        Affine.translation(across, down)
        @ Affine.rotation(degrees)
        @ Affine.translation(-across, -down)
    )
    return Grid(grid.crs, grid.transform @ turn, grid.height, grid.width)


def bands_of(side: SceneSide | RasterReader) -> str:
    """Return number and dtype of a side's bands as sentences say it."""
    return f"{counted(range(side.bands), 'band')} of {side.dtype}"


def differ_in_names(side: SceneSide | RasterReader, other: SceneSide | RasterReader) -> bool:
    """Tell whether both name all their bands, and differently."""
    named = all(side.band_names) and all(other.band_names)
    return named and side.band_names != other.band_names


def _name(side: SceneLike) -> str:
    return "the vector layer" if isinstance(side, gpd.GeoDataFrame) else os.fspath(side)


def _read_layer(side: SceneLike) -> gpd.GeoDataFrame | None:
    """Return the vector layer that a side is, or None for a raster."""
    if not is_layer(side):
        return None
    return side if isinstance(side, gpd.GeoDataFrame) else read_layer(side)


def _burnt_values(layer: gpd.GeoDataFrame, burn: str | None, name: str) -> tuple[list[float], str]:
    """Return what every shape burns and the smallest dtype that holds it beside 0."""
    if burn is None:
        return [1] * len(layer), "uint8"
    if burn not in layer.columns:
        columns = ", ".join(str(column) for column in layer.columns if column != "geometry")
        raise InvalidInputError(f"burn is {burn!r} but {name} has the columns {columns or 'none'}.")
    values = layer[burn].to_numpy()
    if values.dtype == bool:
        values = values.astype(np.uint8)
    real = np.issubdtype(values.dtype, np.integer) or np.issubdtype(values.dtype, np.floating)
    if not real or not np.isfinite(values.astype(float)).all():
        raise InvalidInputError(
            f"Column {burn!r} of {name} does not hold a number for every shape; give a column of "
            "real numbers, for example class codes."
        )
    if not np.issubdtype(values.dtype, np.integer):
        return values.astype(float).tolist(), "float32"
    low, high = min(0, int(values.min())), int(values.max())
    fitting = [t for t in ("uint8", "int16", "uint16", "int32") if _holds(t, low, high)]
    if not fitting:
        raise InvalidInputError(
            f"Column {burn!r} of {name} reaches from {low} to {high}; give numbers of 32 bits."
        )
    return values.tolist(), fitting[0]


def _holds(dtype: str, low: int, high: int) -> bool:
    limits = np.iinfo(dtype)
    return bool(limits.min <= low and high <= limits.max)
