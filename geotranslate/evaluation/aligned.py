"""Windows of a raster on the grid of another one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.windows import Window

from geotranslate.raster.grid import Grid, align
from geotranslate.raster.reader import RasterLike, RasterReader

Values: TypeAlias = "tuple[NDArray[Any], NDArray[np.bool_]]"
"""Values `(bands, rows, cols)` and validity `(rows, cols)`."""

CELL = 512
"""Side of the cells in which warped rasters are read, px."""
MOST_CELLS = 64
"""Largest number of cells in memory."""


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
        self.original = stack.enter_context(RasterReader(raster, bands))
        dataset = stack.enter_context(align(self.original.dataset, grid, resampling, onto))
        self.warped = dataset is not self.original.dataset
        self._reader = (
            RasterReader(dataset, self.original.indexes) if self.warped else self.original
        )
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
