"""Scenes of an export, whose sides lie on one grid."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from copy import copy
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import geopandas as gpd
import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.windows import Window

from geotranslate.checks import shown
from geotranslate.chips.bands import resampling_for
from geotranslate.chips.export.exportoptions import ExportOptions
from geotranslate.chips.layouts import counted
from geotranslate.chips.stacking import as_raster
from geotranslate.chips.vectors import (
    Burner,
    footprints,
    is_layer,
    layer_name,
    layer_of,
)
from geotranslate.errors import InvalidInputError, warn
from geotranslate.raster.bandfacts import BandFacts
from geotranslate.raster.factor import check_whole, target_factor
from geotranslate.raster.grid import Grid, align, color_table, warp
from geotranslate.raster.ground import at_resolution
from geotranslate.raster.opening import RasterLike
from geotranslate.raster.reader import RasterReader

ScenesLike: TypeAlias = "SceneLike | Sequence[SceneLike]"
SceneLike: TypeAlias = "RasterLike | gpd.GeoDataFrame"
Pixels: TypeAlias = "tuple[NDArray[Any], NDArray[np.bool_]]"
SceneSide: TypeAlias = "RasterSide | VectorSide"


def open_scenes(
    source: ScenesLike, target: ScenesLike, options: ExportOptions, stack: ExitStack
) -> list[Scene]:
    """Open the scenes of an export, each with source and target on one grid.

    Args:
        source: One source, or a list.
        target: One target for each source.
        options: Options of the export.
        stack: Exit stack that closes all rasters.

    Raises:
        RasterFileError: A side cannot be opened.
        GridMismatchError: The sides of a scene do not overlap, or one of them has no CRS.
        InvalidInputError: The scenes do not match each other or the options.
    """
    sides = [(as_raster(one), as_raster(other)) for one, other in _by_scene(source, target)]
    asked = (
        _side_options("source", [one for one, _ in sides], options.source_classes, options),
        _side_options("target", [other for _, other in sides], options.target_classes, options),
    )
    scenes = [open_scene(one, other, options, asked, stack) for one, other in sides]
    _check_burn(scenes, options.burn)
    footprints([scene.grid for scene in scenes])
    for scene in scenes[1:]:
        _check_alike(scene, scenes[0])
    if options.rotation_angle and any(scene.grid.crs is None for scene in scenes):
        raise InvalidInputError(
            "rotation_angle needs rasters with a CRS, onto whose ground turned tiles are laid; "
            "assign it, or let training turn the chips, which it does by itself."
        )
    return scenes


def _by_scene(source: ScenesLike, target: ScenesLike) -> list[tuple[SceneLike, SceneLike]]:
    sides = [list(side) if isinstance(side, list | tuple) else [side] for side in (source, target)]
    if len(sides[0]) != len(sides[1]) or not sides[0]:
        raise InvalidInputError(
            f"There are {len(sides[0])} sources and {len(sides[1])} targets; give as many targets "
            "as sources, in the same order."
        )
    return list(zip(*sides, strict=True))


def _side_options(
    side: str, scenes: Sequence[SceneLike], classes: bool | None, options: ExportOptions
) -> SideOptions:
    """Choose the resampling of a side, the same for all scenes."""
    rasters = [scene for scene in scenes if not is_layer(scene)]
    found = resampling_for(side, classes, rasters)
    return SideOptions(options.method or found, classes, found == Resampling.nearest)


def _check_burn(scenes: Sequence[Scene], burn: str | None) -> None:
    sides = [side for scene in scenes for side in (scene.source, scene.target)]
    if burn is not None and not any(isinstance(side, VectorSide) for side in sides):
        raise InvalidInputError(
            f"burn is {shown(burn)}, but both sides are rasters; leave it out, or give a vector "
            "layer with that column on one side."
        )


def _check_alike(scene: Scene, first: Scene) -> None:
    """Refuse a scene that differs from the first in bands, dtype, band names or factor."""
    if scene.factor != first.factor:
        raise InvalidInputError(
            f"The target {scene.target.name} has {scene.factor} pixels along an axis for each "
            f"pixel of its source, but {first.target.name} has {first.factor}; give "
            "target_resolution in meters, or export the scenes into folders of their own."
        )
    for side, usual in ((scene.source, first.source), (scene.target, first.target)):
        if (side.bands, side.dtype) != (usual.bands, usual.dtype):
            raise InvalidInputError(
                f"{side.name} has {bands_of(side)} but {usual.name} has {bands_of(usual)}; all "
                "scenes of a folder need the same."
            )
        if differ_in_names(side, usual):
            raise InvalidInputError(
                f"The bands of {side.name} are {', '.join(side.band_names)} but those of "
                f"{usual.name} are {', '.join(usual.band_names)}; all scenes of a folder need "
                "the same bands, of the same names and in the same order."
            )


def check_sizes(scenes: Sequence[Scene], size: tuple[int, int]) -> None:
    """Refuse scenes that are all smaller than a tile; warn if only some are.

    Args:
        scenes: The scenes.
        size: Rows and columns of a tile.

    Raises:
        InvalidInputError: No scene holds a tile.
    """
    rows, cols = size
    small = [scene for scene in scenes if scene.grid.height < rows or scene.grid.width < cols]
    if not small:
        return
    first, others = small[0], len(small) - 1
    more = f", and so {'is another scene' if others == 1 else f'are {others} other scenes'}"
    sentence = (
        f"{first.source.name} is {first.grid.width} x {first.grid.height} px, smaller than a tile"
        f"{more if others else ''}; "
    )
    below = str(rows) if rows == cols else f"{rows} rows and {cols} columns"
    if len(small) == len(scenes):
        raise InvalidInputError(f"{sentence}give a tile_size below {below}.")
    warn(f"{sentence}no chip is cut from it. A tile_size below {below} uses all scenes.")


@dataclass(frozen=True, slots=True)
class SideOptions:
    """Options of one side in all scenes."""

    resampling: Resampling
    """Resampling method for rasters on another grid."""
    classes: bool | None = None
    """The option `source_classes` or `target_classes`, which is stored in its chips."""
    holds_classes: bool = False
    """Whether its values are classes, as far as known before the chips are cut."""


class RasterSide:
    """A raster, resampled to the scene's grid if its own differs.

    Args:
        source: The raster.
        grid: Grid of the scene.
        options: Options of the side.
        stack: Exit stack that closes the warped view.
        moved: Distance on the ground from a pixel of the scene to the pixel that is read for it.
    """

    def __init__(
        self,
        source: RasterReader,
        grid: Grid,
        options: SideOptions,
        stack: ExitStack,
        moved: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self._original, self.options, self._moved = source, options, moved
        there = grid.moved(*moved) if any(moved) else grid
        aligned = stack.enter_context(align(source.dataset, there, options.resampling))
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
        there = grid.moved(*self._moved)
        with warp(self._original.dataset, there, self.options.resampling) as warped:
            return RasterReader(warped, self._original.indexes).read(dtype=None)

    def moved(self, distance: tuple[float, float], grid: Grid, stack: ExitStack) -> RasterSide:
        """Return the side of a scene with a grid, read at a distance on the ground."""
        return RasterSide(self._original, grid, self.options, stack, distance)


class VectorSide:
    """A vector layer rasterized onto a grid: values of a column, or 1, over a background of 0.

    Where shapes overlap, the later row of the layer wins. A pixel belongs to the shape that
    contains its center. Every pixel is valid.

    Args:
        layer: Shapes in any CRS.
        grid: Grid of the scene.
        burn: Column of numbers; None for the value 1.
        name: Name of the layer in error messages.
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
        self._burner = Burner(layer, grid, burn, name)
        self.dtype = self._burner.dtype
        self._grid, self.name, self._moved = grid, name, (0.0, 0.0)
        self.options = SideOptions(Resampling.nearest, classes, classes is not False)
        self.bands, self.band_names, self.warped = 1, (burn or "",), False
        self.band_facts = BandFacts()
        self.nodata, self.colormap, self.files, self.said_classes = None, None, (), classes

    def read(self, window: Window) -> Pixels:
        """Rasterize a window of the scene's grid."""
        return self.read_on(self._grid.crop(window))

    def read_on(self, grid: Grid) -> Pixels:
        """Rasterize the ground under another grid."""
        burned = self._burner.values(grid.moved(*self._moved))
        return burned[None], np.ones(burned.shape, bool)

    def covers(self, grid: Grid) -> NDArray[np.bool_]:
        """Return the pixels of a grid that belong to a shape, of any value, `(rows, cols)`."""
        return self._burner.covers(grid.moved(*self._moved))

    def moved(self, distance: tuple[float, float], grid: Grid, stack: ExitStack) -> VectorSide:
        """Return the side of a scene with a grid, read at a distance on the ground."""
        side = copy(self)
        side._grid, side._moved = grid, distance
        return side


@dataclass(frozen=True)
class Scene:
    """A source and a target on one grid."""

    grid: Grid
    source: SceneSide
    target: SceneSide
    warped: bool
    factor: Fraction = Fraction(1)
    """Target pixels per source pixel along an axis."""

    @property
    def target_grid(self) -> Grid:
        """The grid in pixels of the target."""
        return self.grid if self.factor == 1 else self.grid.scaled(float(self.factor))


def open_scene(
    source: SceneLike,
    target: SceneLike,
    options: ExportOptions,
    asked: tuple[SideOptions, SideOptions],
    stack: ExitStack,
) -> Scene:
    """Open both sides on the source's grid, or on the target's if the source is a vector layer.

    With a `resolution`, both are resampled to a grid of pixels of that size on the same ground.

    Raises:
        RasterFileError: A side cannot be opened.
        InvalidInputError: Both are vector layers, or the column is missing or holds no numbers.
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
    grid = first.grid
    if options.resolution is not None:
        grid = at_resolution(grid, options.resolution, first.name)
    one, other = (
        layer_name(side) if raster is None else raster.name
        for raster, side in zip(rasters, (source, target), strict=True)
    )
    factor = _factor_of(rasters, grid, options, (one, other))
    grids = grid, grid if factor == 1 else grid.scaled(float(factor))
    sides = [
        RasterSide(raster, own, wanted, stack)
        if raster is not None
        else VectorSide(layer, own, options.burn, layer_name(side), wanted.classes)
        for raster, layer, own, side, wanted in zip(
            rasters, layers, grids, (source, target), asked, strict=True
        )
    ]
    return Scene(grid, sides[0], sides[1], any(side.warped for side in sides), factor)


def _factor_of(
    rasters: Sequence[RasterReader | None],
    grid: Grid,
    options: ExportOptions,
    names: tuple[str, str],
) -> Fraction:
    """Return the factor of a scene, see `target_factor`.

    Raises:
        InvalidInputError: There is none, or chips cannot be cut into whole pixels of the target.
    """
    source, target = rasters
    wanted = options.target_resolution
    if source is None and wanted != "source":
        raise InvalidInputError(
            f"target_resolution is {wanted!r}, but {names[0]} holds shapes, "
            "which get the target's pixels; leave it out, or give resolution, which brings both "
            "sides to pixels of a size."
        )
    factor = target_factor(wanted, grid, None if target is None else target.grid, names)
    steps = options.tile_size if options.stride is None else options.stride
    check_whole({"tile_size": options.tile_size, "stride": steps}, factor)
    return factor


def turned(grid: Grid, degrees: float) -> Grid:
    """Return the grid rotated clockwise about its center."""
    across, down = grid.width / 2, grid.height / 2
    turn = (
        Affine.translation(across, down)
        @ Affine.rotation(degrees)
        @ Affine.translation(-across, -down)
    )
    return Grid(grid.crs, grid.transform @ turn, grid.height, grid.width)


def bands_of(side: SceneSide | RasterReader) -> str:
    """Return the number and dtype of a side's bands, in words for messages."""
    return f"{counted(range(side.bands), 'band')} of {side.dtype}"


def differ_in_names(side: SceneSide | RasterReader, other: SceneSide | RasterReader) -> bool:
    """Tell whether both name all their bands, with different names."""
    named = all(side.band_names) and all(other.band_names)
    return named and side.band_names != other.band_names


def _read_layer(side: SceneLike) -> gpd.GeoDataFrame | None:
    """Return a side as a vector layer, or None if it is a raster."""
    return layer_of(side) if is_layer(side) else None
