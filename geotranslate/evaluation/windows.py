"""Windows and blocks of ground of a scene, and rasters that are read on its grid."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.windows import Window

from geotranslate.chips.stacking import as_raster
from geotranslate.raster.grid import Grid, align
from geotranslate.raster.reader import RasterLike, RasterReader
from geotranslate.raster.stack import is_warped

Values: TypeAlias = "tuple[NDArray[Any], NDArray[np.bool_]]"
"""Values `(bands, rows, cols)` and validity `(rows, cols)`."""

CELL = 512
"""Side of the cells in which warped rasters are read, px."""
MOST_CELLS = 64
"""Largest number of cells in memory."""
STEP = 16
"""Sides of blocks and windows are multiples of it, so that the four halvings of MS-SSIM fall on the
same pixels in every window, px."""
HALO = 5 * STEP
"""Pixels around a window that its measures depend on: half a window of SSIM at the last scale."""
MOST_BLOCKS = 400
SMALLEST_BLOCK = 64
"""Side of the smallest block that is chosen by default, px."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The pixels of a window in one block of ground."""

    block: int
    """Number of the block."""
    rows: slice
    cols: slice
    """Rows and columns of the window, which begin at multiples of 16."""

    def of(self, window: Window) -> Window:
        """Return the piece as a window of the scene."""
        height, width = self.rows.stop - self.rows.start, self.cols.stop - self.cols.start
        col, row = window.col_off + self.cols.start, window.row_off + self.rows.start
        return Window(col, row, width, height)


@dataclass(frozen=True, slots=True)
class Core:
    """A window whose pixels are counted, and the larger one that is read for it."""

    inside: Window
    """The window."""
    read: Window
    """The window with its halo, cut at the edges of the scene."""
    pieces: tuple[Piece, ...]
    """The window by blocks of ground."""

    @property
    def offset(self) -> tuple[int, int]:
        """First row and column of the window in what is read."""
        return (
            int(self.inside.row_off - self.read.row_off),
            int(self.inside.col_off - self.read.col_off),
        )


@dataclass(frozen=True, slots=True)
class Lattice:
    """A scene divided into square blocks of ground, and into windows of whole blocks or parts.

    Args:
        height: Rows of the scene.
        width: Columns.
        block: Side of the blocks, px.
        window: Largest side of the windows, px, unless blocks are larger.
    """

    height: int
    width: int
    block: int
    window: int

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return _count(self.height, self.block) * _count(self.width, self.block)

    @property
    def windows(self) -> int:
        """Number of windows."""
        return sum(1 for _ in self.cores(0))

    def cores(self, halo: int = HALO) -> Iterator[Core]:
        """Yield the windows, block by block from top to bottom if blocks are larger."""
        outer = max(self.window // self.block, 1) * self.block
        inner = min(self.window, outer)
        for top in range(0, self.height, outer):
            for left in range(0, self.width, outer):
                for row in range(top, min(top + outer, self.height), inner):
                    for col in range(left, min(left + outer, self.width), inner):
                        bottom = min(row + inner, top + outer, self.height)
                        right = min(col + inner, left + outer, self.width)
                        yield self._core(range(row, bottom), range(col, right), halo)

    def _core(self, rows: range, cols: range, halo: int) -> Core:
        top, left = max(rows.start - halo, 0), max(cols.start - halo, 0)
        bottom, right = min(rows.stop + halo, self.height), min(cols.stop + halo, self.width)
        across = _count(self.width, self.block)
        pieces = tuple(
            Piece(row * across + col, part, other)
            for row, part in self._pieces(rows)
            for col, other in self._pieces(cols)
        )
        inside = Window(cols.start, rows.start, len(cols), len(rows))
        return Core(inside, Window(left, top, right - left, bottom - top), pieces)

    def _pieces(self, pixels: range) -> Iterator[tuple[int, slice]]:
        """Yield the blocks along an axis that a window meets, and its pixels in each."""
        first = pixels.start
        for block in range(first // self.block, (pixels.stop - 1) // self.block + 1):
            start, stop = block * self.block, (block + 1) * self.block
            yield block, slice(max(start, first) - first, min(stop, pixels.stop) - first)


def block_side(height: int, width: int) -> int:
    """Return the side of the blocks of a scene: the smallest power of two for 400 blocks or fewer.

    So their number does not grow with the scene, and neither does the memory.
    """
    side = SMALLEST_BLOCK
    while _count(height, side) * _count(width, side) > MOST_BLOCKS:
        side *= 2
    return side


def _count(size: int, side: int) -> int:
    return -(-size // side)


class AlignedReader:
    """A raster that is aligned to a grid as it is read.

    Args:
        raster: The raster.
        grid: The grid.
        bands: Bands to read, by number from 1 or by name; all by default.
        resampling: Method where the raster lies on another grid.
        stack: Closes the raster.
        onto: Words for the raster of the grid in messages.

    Raises:
        RasterFileError: It cannot be opened.
        GridMismatchError: It cannot be aligned to the grid.
    """

    def __init__(
        self,
        raster: RasterLike,
        grid: Grid,
        bands: Sequence[int | str] | None,
        resampling: Resampling,
        stack: ExitStack,
        onto: str,
    ) -> None:
        self.original = stack.enter_context(RasterReader(as_raster(raster), bands))
        dataset = stack.enter_context(align(self.original.dataset, grid, resampling, onto))
        self._reader = (
            self.original
            if dataset is self.original.dataset
            else RasterReader(dataset, self.original.indexes)
        )
        self.warped = dataset is not self.original.dataset or is_warped(dataset)
        self._cells: OrderedDict[tuple[int, int], Values] = OrderedDict()

    @property
    def bands(self) -> int:
        """Number of bands."""
        return self.original.bands

    def read(self, window: Window) -> Values:
        """Read a window inside the grid as float64."""
        if not self.warped:
            return self._reader.read(window, "float64")
        # GDAL's result depends on the extent of what is warped at once, so that is always a cell.
        top, left = int(window.row_off), int(window.col_off)
        height, width = int(window.height), int(window.width)
        data = np.empty((self.bands, height, width))
        valid = np.empty((height, width), bool)
        for row in range(top // CELL, (top + height - 1) // CELL + 1):
            for col in range(left // CELL, (left + width - 1) // CELL + 1):
                rows, from_rows = _shared(top, height, row)
                cols, from_cols = _shared(left, width, col)
                values, known = self._cell(row, col)
                data[:, rows, cols] = values[:, from_rows, from_cols]
                valid[rows, cols] = known[from_rows, from_cols]
        return data, valid

    def _cell(self, row: int, col: int) -> Values:
        found = self._cells.get((row, col))
        if found is None:
            grid = self._reader.grid
            height = min(CELL, grid.height - row * CELL)
            width = min(CELL, grid.width - col * CELL)
            found = self._reader.read(Window(col * CELL, row * CELL, width, height), None)
            self._cells[row, col] = found
            if len(self._cells) > MOST_CELLS:
                self._cells.popitem(last=False)
        self._cells.move_to_end((row, col))
        return found


def _shared(first: int, size: int, cell: int) -> tuple[slice, slice]:
    """Return the pixels that a window shares with a cell, counted in the window and in the cell."""
    start = max(first, cell * CELL)
    stop = min(first + size, (cell + 1) * CELL)
    return slice(start - first, stop - first), slice(start - cell * CELL, stop - cell * CELL)
