"""Merging of tiles, and the mismatch where they overlap."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geotranslate.raster.tiling.axis import Axis, TileJoin
from geotranslate.raster.tiling.region import Region
from geotranslate.raster.tiling.tile_plan import BLOCK
from geotranslate.schema import Check, Json, anything, record, several, whole

SHIFT = 17
"""Bits of a float32 that a bin of the histogram leaves out: 64 bins for each power of two."""

BINS = 0x7F800000 >> SHIFT

MANTISSA = 23
"""Bits of a float32 after its exponent."""

EXPONENTS = 0x7F800000 >> MANTISSA

EVERY = 8
"""One in so many of the rows where tiles overlap is compared, which takes little time."""

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass
class Mismatch:
    """Absolute differences |p - q| of tiles where they overlap, over valid pixels of all bands.

    All sums are whole numbers, so that parts, stripes and batches give the same tag. Float64 sums
    of the same differences depended on their grouping in 1 of 2000 random cases.
    """

    sums: NDArray[np.int64] = field(default_factory=lambda: np.zeros(EXPONENTS, np.int64))
    """Sum of the mantissas of all differences, by exponent."""
    bins: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))

    def add(
        self, one: NDArray[np.float32], other: NDArray[np.float32], valid: NDArray[np.bool_]
    ) -> None:
        """Count the differences of two arrays `(bands, rows, cols)`."""
        apart = np.abs(one - other)[:, valid]
        apart = np.ascontiguousarray(apart[np.isfinite(apart)], np.float32)
        bits = apart.view(np.uint32)
        # The bits of positive floats ascend with them: the leading bits are a logarithmic bin.
        found = np.bincount(bits >> SHIFT)
        self.bins[: len(found)] += found
        exponents = bits >> MANTISSA
        mantissas = (bits & ((1 << MANTISSA) - 1)) | ((exponents > 0) << MANTISSA)
        # Sums of whole numbers are exact in float64 up to 2**53, which no two tiles exceed.
        sums = np.bincount(exponents, mantissas).astype(np.int64)
        self.sums[: len(sums)] += sums

    def merge(self, other: Mismatch) -> None:
        """Add the counts of another mismatch."""
        self.sums += other.sums
        self.bins += other.bins

    @property
    def count(self) -> int:
        """Number of differences."""
        return int(self.bins.sum())

    @property
    def mean(self) -> float | None:
        """Mean difference; None where no tiles overlap."""
        if not self.count:
            return None
        # The smallest exponents, 0 and 1, stand for the same power of two.
        total = sum(int(self.sums[e]) << max(int(e) - 1, 0) for e in np.flatnonzero(self.sums))
        return float(Fraction(total, self.count << 149))

    def percentile(self, share: float) -> float | None:
        """Return the quantile `share` (0 to 1) of the differences, to 1.6 percent."""
        if not self.count:
            return None
        bin = int(np.searchsorted(np.cumsum(self.bins), share * self.count))
        edges = np.array([bin << SHIFT, (bin + 1) << SHIFT], np.uint32).view(np.float32)
        return 0.0 if bin == 0 else float(edges.mean())

    def to_json(self) -> Json:
        """Return the sums and counts that are not 0, as JSON values."""
        return {name: _sparse(values) for name, values in vars(self).items()}

    @classmethod
    def from_json(cls, values: Json) -> Mismatch:
        """Return the mismatch that `to_json` was called on.

        Raises:
            InvalidInputError: A value is missing, of another type or out of its range.
        """
        found = cls()
        counts = {name: _checked(len(places)) for name, places in vars(found).items()}
        for name, (used, numbers) in record(counts)("mismatch", values).items():
            getattr(found, name)[list(used)] = numbers
        return found


def _checked(length: int) -> Check:
    """Return the check of the counts that `_sparse` returned for an array of a length."""

    def check(name: str, value: Any) -> tuple[Any, Any]:
        used, numbers = several(several(anything), 2, 2)(name, value)
        places = several(whole(0, length - 1))(name, used)
        return places, several(whole(0, 2**62), len(places), len(places))(name, numbers)

    return check


def _sparse(values: NDArray[np.int64]) -> list[list[int]]:
    used = np.flatnonzero(values)
    return [used.tolist(), values[used].tolist()]


class RowBuffer:
    """Merges tiles and returns finished rows, top down.

    The blend is separable: each row of tiles is merged sideways into a strip, and the strip then
    downwards into the buffer. Both are running weighted means (`TileJoin`). Where tiles agree, the
    result is their value to the last bit; the order of the tiles is fixed, so every sum is too.

    Args:
        bands: Bands of the tiles.
        rows: Tiles down the scene.
        cols: Tiles across it.
        region: Region of the output; exactly its tiles have to be added.
        part_of: Returns the part of a row of the scene, to count the mismatch by part.
        compared: Whether to count the mismatch; else only tiles that give values are to be added.
    """

    def __init__(
        self,
        bands: int,
        rows: Axis,
        cols: Axis,
        region: Region,
        part_of: Callable[[int], int] = lambda row: 0,
        *,
        compared: bool = True,
    ) -> None:
        self.rows, self.cols, self.region, self.part_of = rows, cols, region, part_of
        self.compared = compared
        down, across = (axis.touching if compared else axis.giving for axis in (rows, cols))
        self.tile_rows = down(region.top, region.bottom)
        self.tile_cols = across(region.left, region.right)
        self.left = cols.starts[self.tile_cols[0]]
        width = cols.starts[self.tile_cols[-1]] + cols.tile - self.left
        self.strip = np.zeros((bands, rows.tile, width), np.float32)
        self.valid = np.zeros((rows.tile, width), bool)
        height = min(rows.tile + BLOCK, region.height)
        self.values = np.zeros((bands, height, region.width), np.float32)
        self.known = np.zeros((height, region.width), bool)
        self.top = region.top
        """First row of the scene in the buffer."""
        self.mismatches: defaultdict[int, Mismatch] = defaultdict(Mismatch)
        """Tile mismatch by part."""

    def begin(self, valid: Mask) -> None:
        """Start a row of tiles, given the validity `(tile, columns of all its tiles)`."""
        self.valid = valid

    def add(self, row: int, col: int, tile: Floats) -> None:
        """Merge a tile `(bands, tile, tile)`; rows come from the top, tiles from the left."""
        join = self.cols.joins[col]
        start = self.cols.starts[col] - self.left
        mean = self.strip[:, :, start : start + self.cols.tile]
        if col != self.tile_cols[0]:
            if self.compared:
                self._compare_sideways(row, start, join, tile)
            blend = slice(join.keep, join.own)
            mean[:, :, blend] += join.shares * (tile[:, :, blend] - mean[:, :, blend])
            mean[:, :, join.own :] = tile[:, :, join.own :]
        else:
            mean[:] = tile

    def finish(self, row: int) -> Iterator[tuple[int, Floats, Mask]]:
        """Merge a complete row of tiles; yield the rows that no later tile changes.

        Yields the first row's position in the scene, values `(bands, rows, cols)` and validity, in
        whole blocks except at the end. The next row of tiles overwrites the arrays.
        """
        self._merge_strip(row)
        if row == self.tile_rows[-1]:
            done = self.region.bottom - self.top
        else:
            done = (self.rows.extents[row + 1][0] - self.top) // BLOCK * BLOCK
        if done > 0:
            yield self.top, self.values[:, :done], self.known[:done]
            rest = self.values.shape[1] - done
            self.values[:, :rest] = self.values[:, done:]
            self.known[:rest] = self.known[done:]
            self.top += done

    def _merge_strip(self, row: int) -> None:
        join = self.rows.joins[row]
        start = self.rows.starts[row]
        left = self.region.left - self.left
        strip = self.strip[:, :, left : left + self.region.width]
        # Rows of the tile that lie in the region and were not yielded yet.
        low, high = max(self.top - start, 0), min(self.region.bottom - start, self.rows.tile)
        if low >= high:
            return
        valid = self.valid[low:high, left : left + self.region.width]
        self.known[start + low - self.top : start + high - self.top] = valid
        own = low
        if row != self.tile_rows[0]:
            if self.compared:
                self._compare_downwards(row, strip, left)
            own = max(join.own, low)
            blend = slice(max(join.keep, low), min(own, high))
            shares = join.shares[blend.start - join.keep : blend.stop - join.keep, None]
            mean = self.values[:, start + blend.start - self.top : start + blend.stop - self.top]
            mean += shares * (strip[:, blend] - mean)
        if own < high:
            at = slice(start + own - self.top, start + high - self.top)
            self.values[:, at] = strip[:, own:high]

    def _compare_sideways(self, row: int, start: int, join: TileJoin, tile: Floats) -> None:
        # Pixels beyond the region are counted with the neighboring region, which has all tiles.
        left, right = (edge - self.left for edge in (self.region.left, self.region.right))
        first, last = (min(max(start + at, left), right) for at in join.compared)
        across, inside = slice(first, last), slice(first - start, last - start)
        for part, lines in self._lines(row, *self.rows.extents[row], EVERY):
            one, other = self.strip[:, lines, across], tile[:, lines, inside]
            self.mismatches[part].add(one, other, self.valid[lines, across])

    def _compare_downwards(self, row: int, strip: Floats, left: int) -> None:
        down = self.rows.starts[row]
        first, last = self.rows.joins[row].compared
        # Columns are chosen by their position in the scene too.
        every = slice(-self.region.left % EVERY, None, EVERY)
        valid = self.valid[:, left : left + self.region.width][:, every]
        for part, lines in self._lines(row, down + first, down + last, 1):
            held = slice(lines.start + down - self.top, lines.stop + down - self.top)
            one, other = self.values[:, held, every], strip[:, lines, every]
            self.mismatches[part].add(one, other, valid[lines])

    def _lines(self, row: int, first: int, last: int, every: int) -> Iterator[tuple[int, slice]]:
        """Yield, by part, the rows of a tile to compare, from the scene's rows `first` to `last`.

        Rows are chosen by their position in the scene, so that parts add up to the whole.
        """
        start = self.rows.starts[row]
        first, last = max(first, self.top), min(last, self.region.bottom)
        chosen = range(-(-first // every) * every, last, every)
        for part, lines in groupby(chosen, self.part_of):
            found = list(lines)
            yield part, slice(found[0] - start, found[-1] - start + 1, every)
