"""Masks: pixels of a chip that training does not see."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

EDGE = 1e-6
"""Share of a pixel's side that may lie in an area without notice, as coordinates are rounded."""
SIDES = (256, 64, 16, 4, 1)
"""Of the blocks that are looked at, px: only blocks that an area cuts are looked into."""


@dataclass(frozen=True, slots=True)
class Mask:
    """Pixels `(rows, cols)` that are hidden, compressed: most chips have none or a rectangle."""

    height: int
    width: int
    packed: bytes

    @classmethod
    def of(cls, hidden: NDArray[np.bool_]) -> Mask:
        """Keep which pixels are hidden."""
        return cls(
            hidden.shape[0], hidden.shape[1], zlib.compress(np.packbits(hidden).tobytes(), 1)
        )

    @property
    def hidden(self) -> NDArray[np.bool_]:
        """Which pixels are hidden, `(rows, cols)`."""
        bits = np.frombuffer(zlib.decompress(self.packed), np.uint8)
        flat = np.unpackbits(bits, count=self.height * self.width)
        return flat.reshape(self.height, self.width).astype(bool)


def covered(area: BaseGeometry, height: int, width: int) -> NDArray[np.bool_]:
    """Return which pixels share ground with an area.

    GDAL's rasterization with `all_touched` is not used: it leaves out pixels that an area reaches
    into by less than a hundredth, and takes or leaves those that it touches along an edge.

    Args:
        area: In columns and rows of pixels, from the upper left corner.
        height: Rows.
        width: Columns.
    """
    found = np.zeros((height, width), bool)
    shapely.prepare(area)
    blocks = _blocks(np.zeros((1, 2), np.int64), max(height, width), SIDES[0], height, width)
    for side, finer in zip(SIDES, (*SIDES[1:], None), strict=True):
        ends = np.minimum(blocks + side, (height, width))
        outlines = shapely.box(*(blocks[:, ::-1] + EDGE).T, *(ends[:, ::-1] - EDGE).T)
        near = shapely.intersects(area, outlines)
        whole = near if finer is None else near & shapely.covers(area, outlines)
        for (row, col), (last_row, last_col) in zip(blocks[whole], ends[whole], strict=True):
            found[row:last_row, col:last_col] = True
        if finer is not None:
            blocks = _blocks(blocks[near & ~whole], side, finer, height, width)
    return found


def _blocks(
    corners: NDArray[np.int64], side: int, finer: int, height: int, width: int
) -> NDArray[np.int64]:
    """Return the upper left corners `(n, 2)` of the finer blocks in blocks of a side."""
    steps = np.arange(0, side, finer)
    inside = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    found = (corners[:, None] + inside).reshape(-1, 2)
    return found[(found < (height, width)).all(axis=1)]
