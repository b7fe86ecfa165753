"""Blend tiles into finished rows, in memory that does not grow with the raster's height."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geotranslate.raster.tiles import Axis


class RowBand:
    """Tiles in, finished rows out, top down.

    The blend is separable, so each row of tiles is first merged sideways into a strip, and the
    strip then downwards into the band. Both are running weighted means (`Axis.shares`): where
    tiles agree the result is their value to the last bit, and as the order of the tiles is fixed,
    so is every sum.

    Args:
        bands: Bands of the tiles.
        rows: Tiles down the raster.
        cols: Tiles across it.
        block: Finished rows are handed out in multiples of this, but for the last ones.
    """

    def __init__(self, bands: int, rows: Axis, cols: Axis, block: int) -> None:
        self.rows, self.cols, self.block = rows, cols, block
        self.strip = np.zeros((bands, rows.tile, cols.padded), np.float32)
        self.band = np.zeros((bands, rows.tile + block, cols.size), np.float32)
        self.top = 0

    def add(self, row: int, col: int, tile: NDArray[np.float32]) -> None:
        """Merge the tile `(bands, tile, tile)`; rows of tiles from the top, each from the left."""
        start, share = self.cols.starts[col], self.cols.shares[col]
        lead = len(share)
        mean = self.strip[:, :, start : start + self.cols.tile]
        mean[:, :, :lead] += share * (tile[:, :, :lead] - mean[:, :, :lead])
        mean[:, :, lead:] = tile[:, :, lead:]
        if col == len(self.cols) - 1:
            self._merge_strip(row)

    def _merge_strip(self, row: int) -> None:
        start, share = self.rows.starts[row] - self.top, self.rows.shares[row][:, None]
        lead = len(share)
        mean = self.band[:, start : start + self.rows.tile]
        strip = self.strip[:, :, : self.cols.size]
        mean[:, :lead] += share * (strip[:, :lead] - mean[:, :lead])
        mean[:, lead:] = strip[:, lead:]

    def finished(self, row: int) -> NDArray[np.float32]:
        """Hand out the rows that no tile below tile row `row` touches, as whole blocks."""
        if row == len(self.rows) - 1:
            count = self.rows.size - self.top
        else:
            count = (self.rows.starts[row + 1] - self.top) // self.block * self.block
        done: NDArray[np.float32] = self.band[:, :count].copy()
        rest = self.band.shape[1] - count
        self.band[:, :rest] = self.band[:, count:]
        self.top += count
        return done
