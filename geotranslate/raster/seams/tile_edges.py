"""Measures of artifacts at tile edges and of their periodicity."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from geotranslate.raster.tiling import WrittenAxis

SIDE = 512
"""Side of the blocks that are read at a time, px, as in outputs."""

Pixels: TypeAlias = tuple[NDArray[np.float64], NDArray[np.bool_]]
"""Values `(bands, rows, cols)`, 0 where they are invalid, and validity `(rows, cols)`."""

Read: TypeAlias = Callable[[range, range], Pixels]
"""Returns the pixels of some rows and columns."""

LEAST = 4
"""Smallest number of cells: along an axis for a spectrum, in total for a bias."""
SEGMENTS = (8, 4)
"""Strides of a segment: the first number that the axis has. Ratios grow with it, so long axes do
not use longer segments, and scenes of any size are comparable."""
HARMONICS = 8
ROUNDING = 2.0**-24
"""Relative error of float32, below which nothing is energy."""


def pieces(size: int, side: int = SIDE) -> list[range]:
    """Return the pixels of an axis in pieces of at most `side`."""
    return [range(first, min(first + side, size)) for first in range(0, size, side)]


def seam_index(read: Read, rows: WrittenAxis, cols: WrittenAxis) -> float | None:
    """Return the ratio of differences between neighboring pixels at tile edges and elsewhere.

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


def tile_spectrum(read: Read, others: WrittenAxis, along: WrittenAxis) -> tuple[float, ...] | None:
    """Return the energy at the tiles' frequency and its harmonics, relative to that beside them.

    Power is the mean over bands and lines by Welch's method: segments of 8 strides (4 on shorter
    axes) under a Hann window, half overlapping. Invalid pixels of a segment get the mean of its
    valid ones; segments with more invalid than valid pixels are left out. The power without tiles
    is interpolated between the means of the frequencies on both sides, 2 bins and more from any
    harmonic, in logarithms of frequency and power, in which spectra of scenes are lines.

    Args:
        read: Reads the pixels, lines along the last axis.
        others: The other axis.
        along: The axis.

    Returns:
        The ratio of each harmonic, of which the first is one over the stride: 8 ratios, or those
        below the Nyquist frequency; None with fewer than 4 strides, or for a constant raster.
    """
    cells = along.cells
    if len(cells) < LEAST:
        return None
    length = next(strides for strides in SEGMENTS if strides <= len(cells))
    size = length * along.axis.stride
    power = np.zeros(size // 2 + 1)
    for first in cells[: len(cells) - length + 1 : length // 2]:
        for lines in pieces(len(others)):
            power += _power(*read(lines, range(first, first + size)))
    return _ratios(power, length) if power.any() else None


def _power(data: NDArray[np.float64], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the sum of the power spectra of `(bands, lines, pixels)` over bands and lines."""
    size = valid.shape[1]
    seen = valid.sum(axis=1, keepdims=True)
    enough = seen[:, 0] * 2 >= size
    seen, valid = seen[enough], valid[enough]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    power = np.zeros(size // 2 + 1)
    for band in data:
        values = band[enough]
        apart = np.where(valid, values - values.sum(axis=1, keepdims=True) / seen, 0)
        power += (np.abs(np.fft.rfft(apart * window)) ** 2).sum(axis=0)
        # The noise of rounding is added, so that constant rasters give no meaningless ratios.
        power += ROUNDING**2 * (window**2).mean() * (values**2).sum()
    return power


def _ratios(power: NDArray[np.float64], length: int) -> tuple[float, ...] | None:
    """Return the power at the harmonics, multiples of bin `length`, over the power beside them."""
    # There have to be frequencies between the last harmonic and the Nyquist frequency.
    highest = min(len(power) // length - 1, HARMONICS)
    if highest < 1:
        return None
    at = length * np.arange(1, highest + 1)
    between = length * np.arange(highest + 1)[:, None] + np.arange(2, length - 1)
    sides = np.log(between).mean(axis=1), np.log(power[between]).mean(axis=1)
    ratios: list[float] = (power[at] / np.exp(np.interp(np.log(at), *sides))).tolist()
    return tuple(ratios)


@dataclass(frozen=True)
class PositionBias:
    """Mean error by position in the tile."""

    bias: float
    """Its root mean square beyond chance, in the units of the pixels."""
    chance: float
    """Root mean square expected from tiles with independent errors."""
    map: NDArray[np.float64]
    """Mean of the bands `(stride, stride)` from the first pixel of a tile on, NaN with fewer than
    4 tiles."""


def position_bias(read: Read, rows: WrittenAxis, cols: WrittenAxis) -> PositionBias | None:
    """Return the size of the mean error by position in the tile; None with fewer than 4 cells.

    The pixels are cut into cells of one stride. Cells of which half is valid count, less their own
    mean. The bias is the root mean square, over places and bands, of the mean over cells, beyond
    the value expected by chance from the variance among cells.
    """
    strides = rows.axis.stride, cols.axis.stride
    sums = squares = np.zeros(())
    counts = np.zeros(strides, np.int64)
    for some in _together(rows):
        for others in _together(cols):
            apart, used = _cells(*read(some, others), *strides)
            sums = sums + apart.sum(axis=(1, 2))
            squares = squares + (apart**2).sum(axis=(1, 2))
            counts += used.sum(axis=(0, 1))
    if counts.max() < LEAST:
        return None
    number = np.where(counts >= LEAST, counts, np.nan)
    mean = sums / number
    variances = np.maximum(squares / number - mean**2, 0) / (number - 1)
    chance = float(np.nanmean(variances))
    bias = math.sqrt(max(float(np.nanmean(mean**2)) - chance, 0))
    begins = tuple(
        (written.cells.start + written.first) % written.axis.stride for written in (rows, cols)
    )
    return PositionBias(bias, math.sqrt(chance), np.roll(mean.mean(axis=0), begins, axis=(0, 1)))


def _together(written: WrittenAxis) -> list[range]:
    """Return the pixels of whole cells, in pieces that are read together."""
    stride, cells = written.axis.stride, written.cells
    several = max(SIDE // stride, 1) * stride
    return [
        range(first + cells.start, min(first + several, len(cells) * stride) + cells.start)
        for first in range(0, len(cells) * stride, several)
    ]


def _cells(
    data: NDArray[np.float64], valid: NDArray[np.bool_], height: int, width: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return `(bands, cells down, cells across, height, width)` less means, and the used pixels."""
    down, across = valid.shape[0] // height, valid.shape[1] // width
    used = valid.reshape(down, height, across, width).swapaxes(1, 2)
    cells = data.reshape(-1, down, height, across, width).swapaxes(2, 3)
    seen = used.sum(axis=(2, 3), keepdims=True)
    used = used & (2 * seen >= height * width)
    mean = cells.sum(axis=(3, 4), keepdims=True) / np.maximum(seen, 1)
    return np.where(used, cells - mean, 0), used
