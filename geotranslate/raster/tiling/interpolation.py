"""Linear interpolation of values of tiles between the centers of the tiles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geotranslate.raster.tiling.axis import Axis


@dataclass(frozen=True)
class InterpolationGrid:
    """The centers of the tiles along an axis, between which values of tiles are interpolated.

    Beyond the first and the last center, values are constant.
    """

    axis: Axis
    extent: int
    """Pixels from a tile's start to interpolate at: its side, or more if it is padded."""

    @cached_property
    def radius(self) -> int:
        """Largest number of tiles to either side that contribute within a tile.

        It is 1 where neighbors overlap by half a tile or less, and 2 if the last one was moved
        back.
        """
        starts = np.array(self.axis.starts)
        numbers = np.arange(len(starts))
        first, _ = self._between(starts + 0.5)
        last, share = self._between(starts + self.extent - 0.5)
        last += share > 0
        return int(max((numbers - first).max(), (last - numbers).max()))

    def neighbors(self, index: int) -> NDArray[np.intp]:
        """Return a tile and `radius` neighbors to either side, repeating the first or last tile."""
        around = np.arange(index - self.radius, index + self.radius + 1)
        return np.clip(around, 0, len(self.axis) - 1)

    def weights(self, index: int, size: int) -> NDArray[np.float32]:
        """Return the weights of a tile's neighbors at every pixel of a layer.

        Args:
            index: The tile.
            size: Pixels of the layer along the extent.

        Returns:
            `(size, 2 * radius + 1)`; rows sum to 1. Where tiles overlap, both get the same weights.
        """
        pixels = np.arange(size)
        places = self.axis.starts[index] + (pixels + 0.5) * self.extent / size
        before, share = self._between(places)
        weights = np.zeros((size, 2 * self.radius + 1), np.float32)
        column = before - index + self.radius
        weights[pixels, column] = 1 - share
        after = share > 0  # without a next tile, its weight is 0
        weights[pixels[after], column[after] + 1] = share[after]
        return weights

    def _between(self, places: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return the tile whose center precedes each place, and the weight of the next tile."""
        centers = np.array(self.axis.starts) + self.axis.tile / 2
        if len(centers) == 1:
            return np.zeros(len(places), np.intp), np.zeros(len(places))
        before = np.searchsorted(centers, places, side="right") - 1
        before = np.clip(before, 0, len(centers) - 2)
        gap = centers[before + 1] - centers[before]
        return before, np.clip((places - centers[before]) / gap, 0, 1)
