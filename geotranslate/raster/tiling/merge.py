"""Blend tiles into finished rows, in memory that does not grow with the raster's height."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from geotranslate.raster.tiling.axis import Axis, TileJoin
from geotranslate.raster.tiling.mismatch import EVERY, Mismatch
from geotranslate.raster.tiling.region import Region
from geotranslate.raster.tiling.tile_plan import BLOCK

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


class RowBuffer:
    """Tiles in, finished rows out, top down.

    The blend is separable, so each row of tiles is first merged sideways into a strip, and the
    strip then downwards into the band. Both are running weighted means (`TileJoin`): where tiles
    agree the result is their value to the last bit, and as the order of the tiles is fixed, so is
    every sum.

    Args:
        bands: Bands of the tiles.
        rows: Tiles down the scene.
        cols: Tiles across it.
        region: What is wanted of the scene; its tiles have to come and no others.
        part_of: Number of the part that a row of the scene is in, for the mismatch.
    """

    def __init__(
        self,
        bands: int,
        rows: Axis,
        cols: Axis,
        region: Region,
        part_of: Callable[[int], int] = lambda row: 0,
    ) -> None:
        self.rows, self.cols, self.region, self.part_of = rows, cols, region, part_of
        self.tile_rows = rows.touching(region.top, region.bottom)
        self.tile_cols = cols.touching(region.left, region.right)
        self.left = cols.starts[self.tile_cols[0]]
        width = cols.starts[self.tile_cols[-1]] + cols.tile - self.left
        self.strip = np.zeros((bands, rows.tile, width), np.float32)
        self.valid = np.zeros((rows.tile, width), bool)
        height = min(rows.tile + BLOCK, region.height)
        self.band = np.zeros((bands, height, region.width), np.float32)
        self.known = np.zeros((height, region.width), bool)
        self.top = region.top
        """Row of the scene that the band begins with."""
        self.mismatches: defaultdict[int, Mismatch] = defaultdict(Mismatch)
        """How far tiles were apart, by part."""

    def begin(self, valid: Mask) -> None:
        """Start a row of tiles whose pixels `(tile, columns of all its tiles)` are so valid."""
        self.valid = valid

    def add(self, row: int, col: int, tile: Floats) -> None:
        """Merge the tile `(bands, tile, tile)`; rows of tiles from the top, each from the left."""
        join = self.cols.joins[col]
        start = self.cols.starts[col] - self.left
        mean = self.strip[:, :, start : start + self.cols.tile]
        if col != self.tile_cols[0]:
            self._compare_sideways(row, start, join, tile)
            blend = slice(join.keep, join.own)
            mean[:, :, blend] += join.shares * (tile[:, :, blend] - mean[:, :, blend])
            mean[:, :, join.own :] = tile[:, :, join.own :]
        else:
            mean[:] = tile

    def finish(self, row: int) -> Iterator[tuple[int, Floats, Mask]]:
        """Merge the row of tiles that is complete; yield the rows that no later tile touches.

        They come as the first row's place in the scene, `(bands, rows, cols)` and their validity,
        whole blocks but for the last ones. They are overwritten by the next row of tiles.
        """
        self._merge_strip(row)
        if row == self.tile_rows[-1]:
            done = self.region.bottom - self.top
        else:
            done = (self.rows.extents[row + 1][0] - self.top) // BLOCK * BLOCK
        if done > 0:
            yield self.top, self.band[:, :done], self.known[:done]
            rest = self.band.shape[1] - done
            self.band[:, :rest] = self.band[:, done:]
            self.known[:rest] = self.known[done:]
            self.top += done

    def _merge_strip(self, row: int) -> None:
        join = self.rows.joins[row]
        start = self.rows.starts[row]
        left = self.region.left - self.left
        strip = self.strip[:, :, left : left + self.region.width]
        # Rows of the tile that are wanted and not handed out yet.
        low, high = max(self.top - start, 0), min(self.region.bottom - start, self.rows.tile)
        if low >= high:
            return
        valid = self.valid[low:high, left : left + self.region.width]
        self.known[start + low - self.top : start + high - self.top] = valid
        own = low
        if row != self.tile_rows[0]:
            self._compare_downwards(row, strip, left)
            own = max(join.own, low)
            blend = slice(max(join.keep, low), min(own, high))
            shares = join.shares[blend.start - join.keep : blend.stop - join.keep, None]
            mean = self.band[:, start + blend.start - self.top : start + blend.stop - self.top]
            mean += shares * (strip[:, blend] - mean)
        if own < high:
            at = slice(start + own - self.top, start + high - self.top)
            self.band[:, at] = strip[:, own:high]

    def _compare_sideways(self, row: int, start: int, join: TileJoin, tile: Floats) -> None:
        # Beyond the region it is the neighbour's to count, who has all tiles there.
        left, right = (edge - self.left for edge in (self.region.left, self.region.right))
        first, last = (min(max(start + at, left), right) for at in join.compared)
        across, inside = slice(first, last), slice(first - start, last - start)
        for part, lines in self._lines(row, *self.rows.extents[row], EVERY):
            one, other = self.strip[:, lines, across], tile[:, lines, inside]
            self.mismatches[part].add(one, other, self.valid[lines, across])

    def _compare_downwards(self, row: int, strip: Floats, left: int) -> None:
        down = self.rows.starts[row]
        first, last = self.rows.joins[row].compared
        # Columns are chosen by their place in the scene too.
        every = slice(-self.region.left % EVERY, None, EVERY)
        valid = self.valid[:, left : left + self.region.width][:, every]
        for part, lines in self._lines(row, down + first, down + last, 1):
            held = slice(lines.start + down - self.top, lines.stop + down - self.top)
            one, other = self.band[:, held, every], strip[:, lines, every]
            self.mismatches[part].add(one, other, valid[lines])

    def _lines(self, row: int, first: int, last: int, every: int) -> Iterator[tuple[int, slice]]:
        """Yield by part those rows of a tile that are compared, of the scene's from `first` on.

        They are chosen by their place in the scene, so that parts count what the whole would.
        """
        start = self.rows.starts[row]
        first, last = max(first, self.top), min(last, self.region.bottom)
        chosen = range(-(-first // every) * every, last, every)
        for part, lines in groupby(chosen, self.part_of):
            found = list(lines)
            yield part, slice(found[0] - start, found[-1] - start + 1, every)
