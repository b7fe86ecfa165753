"""Two rasters whose windows serve as chips, without chips on disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from rasterio.enums import Resampling
from rasterio.windows import Window

from geotranslate.chips.bands import resampling_for
from geotranslate.chips.layouts.base import (
    ListedChip,
    ListedPair,
    ListedSide,
    Listing,
    RasterWindow,
)
from geotranslate.chips.vectors import BurnedLayer
from geotranslate.errors import GridMismatchError, InvalidInputError
from geotranslate.raster.composite import Composite
from geotranslate.raster.factor import TargetResolution, check_whole, target_factor
from geotranslate.raster.grid import Grid, align
from geotranslate.raster.reader import RasterReader
from geotranslate.raster.tiling import tile_windows

PathLike = str | os.PathLike[str]

MIN_VALID = 0.5
"""Smallest share of valid pixels of a window."""
MOST_WINDOWS = 200_000
"""Largest number of windows of a raster: the facts of each stay in memory."""


@dataclass(frozen=True)
class TwoRasters:
    """The windows of two rasters: as pairs on the source's grid, or each on its own grid.

    Args:
        tile_size: Side of the windows, px.
        stride: Step from window to window, px.
        paired: Whether the rasters show one place.
        target_bands: Bands of the target, by number from 1 or by name.
        target_classes: Whether the target is resampled as classes; None to find out.
        target_resolution: Pixel size of the target's windows, see `prepare_data`.
    """

    tile_size: int
    stride: int
    paired: bool = True
    target_bands: Sequence[int | str] | None = None
    target_classes: bool | None = None
    target_resolution: TargetResolution = "source"

    def read(self, source: PathLike, target: PathLike) -> Listing:
        """List the windows of two rasters.

        Raises:
            RasterFileError: A raster cannot be read.
            GridMismatchError: They are paired, but do not overlap or one of them has no CRS.
            InvalidInputError: One is smaller than a window, or has too many, or windows are no
                whole pixels of the target.
        """
        return self._pairs(source, target) if self.paired else self._sides(source, target)

    def _pairs(self, source: PathLike, target: PathLike) -> Listing:
        with RasterReader(source) as left, RasterReader(target) as right:
            grid = left.grid
            factor = self._factor(
                (grid, None if isinstance(target, BurnedLayer) else right.grid),
                (left.name, right.name),
                of_shapes=isinstance(source, BurnedLayer),
            )
            there = grid if factor == 1 else grid.scaled(float(factor))
            with align(right.dataset, there) as aligned:
                warped = aligned is not right.dataset
        windows = self._windows(source, grid)
        method = resampling_for("target", self.target_classes, [target], self.target_bands)
        pairs = (
            ListedPair(
                _name(window),
                RasterWindow(_kept(source), window, grid, method),
                RasterWindow(_kept(target), _scaled(window, factor), there, method),
            )
            for window in windows
        )
        layout = "two rasters"
        if warped:
            pixels = "" if factor == 1 else ", in pixels of another size"
            layout += f", the target laid onto the source's grid{pixels} ({method.name} resampling)"
        return Listing(os.fspath(source), layout, pairs=tuple(pairs), min_valid=MIN_VALID)

    def _factor(
        self, grids: tuple[Grid, Grid | None], names: tuple[str, str], *, of_shapes: bool
    ) -> Fraction:
        """Return the target pixels per source pixel along an axis.

        Args:
            grids: Grids of source and target; None for a target of shapes.
            names: Their names in messages.
            of_shapes: Whether the source is a vector layer.
        """
        wanted = self.target_resolution
        if wanted != "source" and of_shapes:
            raise InvalidInputError(
                f"target_resolution is {wanted!r}, but {names[0]} holds shapes, which get the "
                "target's pixels; leave it out."
            )
        factor = target_factor(wanted, *grids, names)
        check_whole({"chip_size": self.tile_size, "stride": self.stride}, factor)
        return factor

    def _sides(self, source: PathLike, target: PathLike) -> Listing:
        return Listing(
            os.fspath(source),
            "two rasters, unpaired, each on its own grid",
            sides=(self._side(source), self._side(target)),
            min_valid=MIN_VALID,
        )

    def _side(self, raster: PathLike) -> ListedSide:
        name = os.fspath(raster)
        with RasterReader(raster) as opened:
            grid = opened.grid
        # On its own grid nothing is resampled.
        chips = (
            ListedChip(_name(window), RasterWindow(_kept(raster), window, grid, Resampling.nearest))
            for window in self._windows(raster, grid)
        )
        return ListedSide(name, tuple(chips))

    def _windows(self, raster: PathLike, grid: Grid) -> list[Window]:
        """Return the whole windows of a raster."""
        sides = (grid.height, grid.width)
        rows, cols = ((side - self.tile_size) // self.stride + 1 for side in sides)
        if min(rows, cols) < 1:
            raise InvalidInputError(
                f"{os.fspath(raster)} is {grid.width} x {grid.height} px, smaller than a chip; "
                f"give a chip_size below {self.tile_size}."
            )
        if rows * cols > MOST_WINDOWS:
            raise InvalidInputError(
                f"{os.fspath(raster)} has {rows * cols} windows of {self.tile_size} px at a stride "
                f"of {self.stride} px, and at most {MOST_WINDOWS} can be used; give a larger "
                "stride or chip_size, or a part of the raster."
            )
        return list(tile_windows(grid.height, grid.width, self.tile_size, self.stride))


def _kept(raster: PathLike) -> str | Composite:
    """Return a raster as windows keep it: as a text, or as the value that it is."""
    return raster if isinstance(raster, Composite) else os.fspath(raster)


def _scaled(window: Window, factor: Fraction) -> Window:
    """Return a window in pixels of the target."""
    edges = (window.col_off, window.row_off, window.width, window.height)
    return window if factor == 1 else Window(*(int(edge * factor) for edge in edges))


def _name(window: Window) -> str:
    return f"row {window.row_off} column {window.col_off}"


def on_raster(
    chips: ListedSide, raster: PathLike, method: Resampling
) -> tuple[tuple[ListedPair, ...], tuple[str, ...]]:
    """Return pairs of georeferenced chips and the ground of a raster under them.

    Args:
        chips: The chips.
        raster: The raster, resampled to the grid of each chip as it is read.
        method: Resampling method.

    Returns:
        The pairs, and a line for each chip that does not lie on the raster.

    Raises:
        RasterFileError: The raster or a chip cannot be read.
        GridMismatchError: A chip or the raster has no CRS.
    """
    pairs, left_out = [], []
    with RasterReader(raster) as opened:
        for chip in chips.chips:
            with RasterReader(chip.place.path) as file:
                grid = file.grid
            if grid.crs is None:
                raise GridMismatchError(
                    f"{chip.place.path} has no CRS, so its ground on {os.fspath(raster)} is not "
                    "known; assign it, or give a folder of target chips of the same names."
                )
            try:
                with align(opened.dataset, grid, method):
                    pass
            except GridMismatchError:
                if opened.grid.crs is None:
                    raise
                left_out.append(f"{chip.name}: not on the ground of {os.path.basename(raster)}")
                continue
            whole = Window(0, 0, grid.width, grid.height)
            place = RasterWindow(_kept(raster), whole, grid, method)
            pairs.append(ListedPair(chip.name, chip.place, place, chip.subset))
    return tuple(pairs), tuple(left_out)
