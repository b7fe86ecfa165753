"""Interpolate what is known of tiles linearly between their centers: pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geotranslate.raster.tiling.axis import Axis


@dataclass(frozen=True)
class InterpolationGrid:
    """The centers of the tiles along an axis.

    Beyond the first and the last one, values are theirs.
    """

    axis: Axis
    extent: int
    """Pixels from a tile's start that are looked at: its side, or more where it is padded."""

    @cached_property
    def radius(self) -> int:
        """How many tiles to either side count somewhere in a tile, at most.

        It is 1 where neighbors overlap by half a tile or less, 2 for a last one moved back.
        """
        starts = np.array(self.axis.starts)
        numbers = np.arange(len(starts))
        first, _ = self._between(starts + 0.5)
        last, share = self._between(starts + self.extent - 0.5)
        last += share > 0
        return int(max((numbers - first).max(), (last - numbers).max()))

    def neighbors(self, index: int) -> NDArray[np.intp]:
        """Return a tile's neighbors, `radius` to either side, the outermost ones repeated."""
        around = np.arange(index - self.radius, index + self.radius + 1)
        return np.clip(around, 0, len(self.axis) - 1)

    def weights(self, index: int, size: int) -> NDArray[np.float32]:
        """Return how far each of a tile's neighbors counts at every pixel of a layer.

        Args:
            index: The tile.
            size: Pixels of the layer along the extent.

        Returns:
            `(size, 2 * radius + 1)`; rows sum to 1. Where tiles overlap, those of both are alike.
        """
        pixels = np.arange(size)
        places = self.axis.starts[index] + (pixels + 0.5) * self.extent / size
        before, share = self._between(places)
        weights = np.zeros((size, 2 * self.radius + 1), np.float32)
        column = before - index + self.radius
        weights[pixels, column] = 1 - share
        after = share > 0  # where there is no next one in reach, it counts for nothing
        weights[pixels[after], column[after] + 1] = share[after]
        return weights

    def _between(self, places: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return the tile whose center comes before places, and how far the next one counts."""
        centers = np.array(self.axis.starts) + self.axis.tile / 2
        if len(centers) == 1:
            return np.zeros(len(places), np.intp), np.zeros(len(places))
        before = np.searchsorted(centers, places, side="right") - 1
        before = np.clip(before, 0, len(centers) - 2)
        gap = centers[before + 1] - centers[before]
        return before, np.clip((places - centers[before]) / gap, 0, 1)
