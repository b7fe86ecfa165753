"""Where tiles meet in a written raster, and how much the pixels change there."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from geotranslate.raster.plan import Plan
from geotranslate.raster.tiles import Axis

TILING_TAG = "GEOTRANSLATE_TILING"
"""Tag of an output that holds how its tiles lie."""

SIDE = 512
"""Pixels along a side of what is read at a time, the block of outputs."""

Pixels: TypeAlias = tuple[NDArray[np.float64], NDArray[np.bool_]]
"""Values `(bands, rows, cols)`, 0 where they are invalid, and validity `(rows, cols)`."""

Read: TypeAlias = Callable[[range, range], Pixels]
"""Reads some rows and columns."""


@dataclass(frozen=True)
class Span:
    """What is written of an axis of a scene's output, and the tiles that it is made of.

    Pixels are counted from the first one that is written.
    """

    axis: Axis
    """The tiles of the whole scene, in pixels of the output."""
    first: int
    last: int
    """Pixels of the axis from the first to before the last."""

    def __len__(self) -> int:
        return self.last - self.first

    @cached_property
    def borders(self) -> NDArray[np.int64]:
        """First pixels behind a border, rising: there the tiles change that a pixel is made of.

        A tile has one where it begins to count, and one where no earlier one counts any more.
        Tiles that are cropped have both in the same place.
        """
        axis = self.axis
        found = {
            start + edge - self.first
            for start, seam in zip(axis.starts[1:], axis.seams[1:], strict=True)
            for edge in (seam.keep, seam.own)
        }
        return np.array(sorted(edge for edge in found if 0 < edge < len(self)), np.int64)

    @cached_property
    def cells(self) -> range:
        """First pixels of the whole cells: as far as tiles lie on the regular stride.

        A cell is one stride from where a tile begins to count. A last tile that was moved back,
        and what the first one has alone because it lies at the edge, are in none.
        """
        axis, stride = self.axis, self.axis.stride
        moved = axis.starts[-1] % stride != 0
        regular = len(axis) - moved
        if regular < 2:
            return range(0)
        counts = [start + seam.keep for start, seam in zip(axis.starts, axis.seams, strict=True)]
        begin = counts[1] - stride
        end = min(counts[regular - 1] + stride, counts[-1] if moved else axis.size, self.last)
        begin += max(-(-(max(self.first, 0) - begin) // stride), 0) * stride
        whole = max(end - begin, 0) // stride
        return range(begin - self.first, begin - self.first + whole * stride, stride)


def tiling_text(plan: Plan) -> str:
    """Return how the tiles of an output lie, for `TILING_TAG`."""
    region = plan.region
    spans = {
        "rows": Span(plan.out_rows, region.top, region.bottom),
        "cols": Span(plan.out_cols, region.left, region.right),
    }
    return json.dumps(
        {"scale": str(plan.factor), **{name: asdict(span) for name, span in spans.items()}}
    )


def spans_of(text: str) -> tuple[Span, Span]:
    """Return what `tiling_text` was told, rows and columns.

    Raises:
        ValueError, KeyError, TypeError: It is something else.
    """
    values = json.loads(text)
    rows, cols = (
        Span(Axis(**given["axis"]), given["first"], given["last"])
        for given in (values["rows"], values["cols"])
    )
    return rows, cols


def pieces(size: int, side: int = SIDE) -> list[range]:
    """Return the pixels of an axis in pieces of `side` or less."""
    return [range(first, min(first + side, size)) for first in range(0, size, side)]


def seam_index(read: Read, rows: Span, cols: Span) -> float | None:
    """Return how much more neighbouring pixels differ across borders than elsewhere.

    Every border is held against the pairs of pixels that are nearer to it than to any other: what
    the scene shows there, and in which direction, is the same on both sides of the comparison.

    Returns:
        The sum of absolute differences over all pairs across borders, by what it would be with the
        mean of the others: 1 without seams, infinity where there are differences across borders
        alone; None where no tiles meet or nothing differs anywhere.
    """
    down, across = _Borders(rows.borders), _Borders(cols.borders)
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


class _Borders:
    """Sums of absolute differences of neighbouring pixels along one axis, border by border."""

    def __init__(self, borders: NDArray[np.int64]) -> None:
        self.borders = borders
        self._middles = (borders[1:] + borders[:-1]) / 2
        # Of the pairs near each border, and of those across it.
        self.sums = np.zeros((len(borders), 2))
        self.counts = np.zeros((len(borders), 2), np.int64)

    def add(self, first: int, data: NDArray[np.float64], valid: NDArray[np.bool_]) -> None:
        """Count the differences down `(bands, pixels, lines)`, from the axis' pixel `first` on."""
        if not len(self.borders):
            return
        both = valid[1:] & valid[:-1]
        apart = np.where(both, np.abs(np.diff(data, axis=1)).sum(axis=0), 0)
        at = np.arange(first + 1, first + len(valid))
        nearest = np.searchsorted(self._middles, at)
        across = (self.borders[nearest] == at).astype(int)
        np.add.at(self.sums, (nearest, across), apart.sum(axis=1))
        np.add.at(self.counts, (nearest, across), both.sum(axis=1))

    def compared(self) -> tuple[float, float]:
        """Return the sum across borders, and what it would be with the mean near each of them."""
        known = (self.counts > 0).all(axis=1)
        sums, counts = self.sums[known], self.counts[known]
        return float(sums[:, 1].sum()), float((counts[:, 1] * sums[:, 0] / counts[:, 0]).sum())
