"""Where tiles lie on an axis and how they share the pixels they have in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from geotranslate.errors import InvalidInputError


def tile_starts(size: int, tile: int, stride: int) -> tuple[int, ...]:
    """Return the first pixel of every tile on an axis, the last moved back to end at the edge."""
    if size <= tile:
        return (0,)
    return (*range(0, size - tile, stride), size - tile)


def hann_ramp(overlap: int) -> NDArray[np.float64]:
    """Return the rising half of a Hann window, sampled at pixel centres: never 0, never 1."""
    return np.sin(np.pi * (np.arange(overlap) + 0.5) / (2 * overlap)) ** 2


@dataclass(frozen=True)
class Axis:
    """The tiles along one axis of a raster.

    Neighbours reach `overlap` pixels into each other, the last pair further where the size asks
    for it. An axis shorter than a tile has one tile that reaches beyond it.
    """

    size: int
    tile: int
    overlap: int

    def __post_init__(self) -> None:
        if self.tile < 1:
            raise InvalidInputError(f"tile_size is {self.tile}; give at least 1 pixel.")
        if not 0 <= 2 * self.overlap <= self.tile:
            raise InvalidInputError(
                f"overlap is {self.overlap} with tiles of {self.tile}; "
                f"give 0 to {self.tile // 2}, so that no pixel lies in two ramps of one tile."
            )

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """First pixel of every tile."""
        return tile_starts(self.size, self.tile, self.tile - self.overlap)

    @property
    def padded(self) -> int:
        """Pixels that the tiles cover together: the size, or one tile where that is more."""
        return max(self.size, self.tile)

    def __len__(self) -> int:
        return len(self.starts)

    def window(self, index: int) -> NDArray[np.float64]:
        """Return a tile's blend weights: Hann ramps, but none at the ends of the axis."""
        weights = np.ones(self.tile)
        if self.overlap and index > 0:
            weights[: self.overlap] = hann_ramp(self.overlap)
        if self.overlap and index < len(self) - 1:
            weights[-self.overlap :] = hann_ramp(self.overlap)[::-1]
        return weights

    @cached_property
    def shares(self) -> tuple[NDArray[np.float32], ...]:
        """For every tile, its share of the weighted mean where it reaches into earlier tiles.

        Tiles merged in order by `mean += share * (tile - mean)` on those leading pixels, and
        copied on the others, end as the mean weighted by `window`: a partition of unity that
        gives equal tiles back to the last bit. Without overlap a pixel belongs to the first tile
        that has it.
        """
        total = np.zeros(self.padded)
        shares = []
        covered = 0
        for index, start in enumerate(self.starts):
            lead = max(covered - start, 0)
            weights = self.window(index)
            if not self.overlap:
                weights[:lead] = 0
            total[start : start + self.tile] += weights
            covered = start + self.tile
            shares.append((weights[:lead] / total[start : start + lead]).astype(np.float32))
        return tuple(shares)


def tile_windows(height: int, width: int, tile: int, stride: int) -> Iterator[Window]:
    """Yield the whole tiles of a raster row by row, without a last one moved back to the edge."""
    for row in range(0, height - tile + 1, stride):
        for col in range(0, width - tile + 1, stride):
            yield Window(col, row, tile, tile)
