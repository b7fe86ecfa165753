"""Differences of neighboring pixels across the edges of tiles."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from geotranslate.raster.tiling import WrittenAxis

SIDE = 512
"""Side of the pieces that are read at a time, px: the block of outputs."""

Pixels: TypeAlias = tuple[NDArray[np.float64], NDArray[np.bool_]]
"""Values `(bands, rows, cols)`, 0 where they are invalid, and validity `(rows, cols)`."""

Read: TypeAlias = Callable[[range, range], Pixels]
"""Returns the pixels of some rows and columns."""


def pieces(size: int, side: int = SIDE) -> list[range]:
    """Return the pixels of an axis in pieces of `side` or less."""
    return [range(first, min(first + side, size)) for first in range(0, size, side)]


def seam_index(read: Read, rows: WrittenAxis, cols: WrittenAxis) -> float | None:
    """Return the ratio of differences of neighboring pixels across tile edges and elsewhere.

    Every edge is compared with the pairs of pixels that are nearer to it than to any other edge, so
    that both show the same part of the scene in the same direction.

    Returns:
        The sum of absolute differences over all pairs across edges, divided by the sum expected
        from the mean of the other pairs: 1 without seams, infinity if only pairs across edges
        differ, None if no tiles meet or no pairs differ.
    """
    down, across = _TileEdges(rows.edges), _TileEdges(cols.edges)
    for ys in pieces(len(rows)):
        for xs in pieces(len(cols)):
            top, left = max(ys.start - 1, 0), max(xs.start - 1, 0)
            data, valid = read(range(top, ys.stop), range(left, xs.stop))
            own_rows, own_cols = slice(ys.start - top, None), slice(xs.start - left, None)
            down.add(top, data[:, :, own_cols], valid[:, own_cols])
            across.add(left, data[:, own_rows].swapaxes(1, 2), valid[own_rows].T)
    found, expected = np.sum([down.compared(), across.compared()], axis=0)
    if expected == 0:
        return math.inf if found > 0 else None
    return float(found / expected)


class _TileEdges:
    """Sums of absolute differences of neighboring pixels along one axis, by tile edge."""

    def __init__(self, edges: NDArray[np.int64]) -> None:
        self.edges = edges
        self._middles = (edges[1:] + edges[:-1]) / 2
        # Columns: pairs near each edge, and pairs across it.
        self.sums = np.zeros((len(edges), 2))
        self.counts = np.zeros((len(edges), 2), np.int64)

    def add(self, first: int, data: NDArray[np.float64], valid: NDArray[np.bool_]) -> None:
        """Add the differences along axis 1 of `(bands, pixels, lines)`, which begin at `first`."""
        if not len(self.edges):
            return
        both = valid[1:] & valid[:-1]
        apart = np.where(both, np.abs(np.diff(data, axis=1)).sum(axis=0), 0)
        at = np.arange(first + 1, first + len(valid))
        nearest = np.searchsorted(self._middles, at)
        across = (self.edges[nearest] == at).astype(int)
        np.add.at(self.sums, (nearest, across), apart.sum(axis=1))
        np.add.at(self.counts, (nearest, across), both.sum(axis=1))

    def compared(self) -> tuple[float, float]:
        """Return the sum across edges, and the sum expected from the means near each edge."""
        known = (self.counts > 0).all(axis=1)
        sums, counts = self.sums[known], self.counts[known]
        return float(sums[:, 1].sum()), float((counts[:, 1] * sums[:, 0] / counts[:, 0]).sum())
