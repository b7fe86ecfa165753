"""Tiles along an axis, and the interpolation grid of their centers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from geotranslate.errors import InvalidInputError


def hann_ramp(length: int) -> NDArray[np.float64]:
    """Return the rising half of a Hann window, sampled at pixel centers: never 0, never 1."""
    return np.sin(np.pi * (np.arange(length) + 0.5) / (2 * length)) ** 2


@dataclass(frozen=True)
class TileJoin:
    """The join of a tile with the tiles before it, along one axis.

    The first `keep` pixels stay those of the earlier tiles, the next `len(shares)` become
    `mean + share * (tile - mean)`, and the others are the tile's own. Tiles joined in order give
    the mean weighted by `Axis.window`. Where tiles agree, the result is their value to the last
    bit.
    """

    keep: int
    shares: NDArray[np.float32]

    @property
    def own(self) -> int:
        """First pixel that belongs to the tile alone."""
        return self.keep + len(self.shares)

    @property
    def compared(self) -> tuple[int, int]:
        """Pixels where tiles are compared: the ramp, or the last pixel before the tile's own."""
        if len(self.shares):
            return self.keep, self.own
        return max(self.keep - 1, 0), self.keep


@dataclass(frozen=True)
class Axis:
    """The tiles along one axis of a raster.

    Neighbors overlap by `overlap` pixels; the last pair may overlap by more. The outer `padding`
    pixels of every tile are discarded, except at the ends of the axis; the rest of the overlap is a
    ramp. Without a ramp, a pixel belongs to the first tile that holds it. Tiles start at multiples
    of `step`, so the last or only tile may extend beyond the axis.
    """

    size: int
    tile: int
    overlap: int
    padding: int = 0
    step: int = 1

    def __post_init__(self) -> None:
        if self.tile < 1:
            raise InvalidInputError(f"tile_size is {self.tile}; give at least 1 pixel.")
        if not 0 <= 2 * self.padding < self.tile:
            raise InvalidInputError(
                f"padding is {self.padding} with tiles of {self.tile}; give 0 to "
                f"{(self.tile - 1) // 2}, so that something is left of a tile."
            )
        most = self.tile - 1 if self.ramp == 0 else self.tile // 2 + self.padding
        if not 2 * self.padding <= self.overlap <= min(most, self.tile - 1):
            raise InvalidInputError(
                f"overlap is {self.overlap} with tiles of {self.tile}"
                f"{f' and padding {self.padding}' if self.padding else ''}; give "
                f"{2 * self.padding} to {min(self.tile // 2 + self.padding, self.tile - 1)}, so "
                "that no pixel lies in two ramps of one tile."
            )
        if self.stride % self.step:
            raise InvalidInputError(
                f"Tiles of {self.tile} with overlap {self.overlap} lie {self.stride} px apart; "
                f"give sizes that make it a multiple of {self.step}."
            )

    @property
    def stride(self) -> int:
        """Pixels from tile to tile."""
        return self.tile - self.overlap

    @property
    def ramp(self) -> int:
        """Pixels over which neighbors are blended."""
        return self.overlap - 2 * self.padding

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """First pixel of every tile."""
        last = -(-max(self.size - self.tile, 0) // self.step) * self.step
        return (*range(0, last, self.stride), last)

    @property
    def padded(self) -> int:
        """Pixels that all tiles cover together: the size or more."""
        return max(self.size, self.starts[-1] + self.tile)

    def __len__(self) -> int:
        return len(self.starts)

    def scaled(self, factor: Fraction) -> Axis:
        """Return the axis of the output where every pixel becomes `factor` pixels.

        Raises:
            InvalidInputError: Tile, overlap, padding or step would not be whole numbers.
        """
        if factor == 1:
            return self
        sizes = [self.tile, self.overlap, self.padding, self.step]
        whole = [size * factor for size in sizes]
        if any(size.denominator != 1 for size in whole):
            raise InvalidInputError(
                f"The output is {factor} times the source, but tiles of {self.tile} with overlap "
                f"{self.overlap} and padding {self.padding} cannot be scaled by it; give "
                f"multiples of {factor.denominator}."
            )
        return Axis(-(-self.size * factor.numerator // factor.denominator), *map(int, whole))

    def window(self, index: int) -> NDArray[np.float64]:
        """Return a tile's weights: 0 in the padding, Hann ramps, neither at the axis' ends."""
        weights = np.ones(self.tile)
        edge = np.concatenate([np.zeros(self.padding), hann_ramp(self.ramp)])
        if len(edge) and index > 0:
            weights[: len(edge)] = edge
        if len(edge) and index < len(self) - 1:
            weights[-len(edge) :] = edge[::-1]
        return weights

    @cached_property
    def joins(self) -> tuple[TileJoin, ...]:
        """The join of every tile with the tiles before it."""
        total = np.zeros(self.padded)
        joins = []
        covered = 0
        for index, start in enumerate(self.starts):
            lead = max(covered - start, 0)
            before = total[start : start + lead]
            weights = self.window(index)
            if not self.ramp:
                weights[:lead][before > 0] = 0
            both = before + weights[:lead]
            # Pixels without weight get it from a later tile.
            shares = np.divide(weights[:lead], both, out=np.ones(lead), where=both > 0)
            total[start : start + self.tile] += weights
            covered = start + self.tile
            keep = int(np.argmax(np.append(shares, 1) > 0))
            own = lead - int(np.argmax(np.append(shares[::-1], 0) < 1))
            joins.append(TileJoin(keep, shares[keep : max(own, keep)].astype(np.float32)))
        return tuple(joins)

    @cached_property
    def extents(self) -> tuple[tuple[int, int], ...]:
        """First pixel that every tile contributes to, and the pixel after the last.

        Without a ramp, a tile also counts for the one pixel where it is compared, so that regions
        which hold a compared pixel get both tiles.
        """
        ends = [
            start + join.own for start, join in zip(self.starts[1:], self.joins[1:], strict=True)
        ]
        return tuple(
            (start + join.compared[0], end)
            for start, join, end in zip(self.starts, self.joins, (*ends, self.padded), strict=True)
        )

    def touching(self, begin: int, end: int) -> range:
        """Return the tiles that contribute to the pixels from `begin` to before `end`."""
        firsts, stops = self._bounds
        return range(
            int(np.searchsorted(stops, begin, side="right")), int(np.searchsorted(firsts, end))
        )

    def giving(self, begin: int, end: int) -> range:
        """Return the tiles whose values the pixels from `begin` to before `end` are made of.

        Those of `touching`, without tiles that are only compared there.
        """
        found = self.touching(begin, end)
        return range(
            found.start,
            next(i + 1 for i in reversed(found) if self.starts[i] + self.joins[i].keep < end),
        )

    def beginning(self, begin: int, end: int) -> range:
        """Return the tiles whose contribution starts from `begin` to before `end`."""
        first, stop = np.searchsorted(self._bounds[0], [begin, end]).tolist()
        return range(first, stop)

    @cached_property
    def _bounds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First pixels of the extents, and the pixels after the last; both ascend."""
        firsts, stops = np.array(self.extents, np.int64).T
        return firsts, stops

    def __getstate__(self) -> dict[str, object]:
        # Cached values are larger than the fields, and quickly computed again.
        return {field.name: getattr(self, field.name) for field in fields(self)}


def tile_windows(height: int, width: int, tile: int, stride: int) -> Iterator[Window]:
    """Yield the whole tiles of a raster row by row, without a last one moved back to the edge."""
    for row in range(0, height - tile + 1, stride):
        for col in range(0, width - tile + 1, stride):
            yield Window(col, row, tile, tile)


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
