"""What repeats from tile to tile: a spectrum at the tiles' frequency, and the mean tile."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geotranslate.raster.seams.tile_edges import SIDE, Read, pieces
from geotranslate.raster.tiling import WrittenAxis

LEAST = 4
"""Cells without which there is nothing to say: along an axis for a spectrum, in all for a bias."""

SEGMENTS = (8, 4)
"""Strides of a segment, the first that the axis has. What repeats gives a ratio that grows with it,
so it is not as long as it could be: scenes of any size are alike."""

HARMONICS = 8

ROUNDING = 2.0**-24
"""Relative error of float32, below which nothing is energy."""


def tile_spectrum(read: Read, others: WrittenAxis, along: WrittenAxis) -> tuple[float, ...] | None:
    """Return the energy at the frequency of the tiles and its harmonics, by that beside it.

    Power is the mean over the bands and the lines along the axis, each cut into segments of 8
    strides (4 where there are fewer than 8) under a Hann window, of which neighbours share half:
    Welch's method. In a line the mean of a segment's valid pixels stands for its invalid ones; one
    with more invalid than valid pixels is left out. What would be there without tiles is
    interpolated, in logarithms of frequency and power as the spectra of scenes are lines in them,
    between the means of the frequencies on both sides, 2 bins and more from any harmonic.

    Args:
        read: Reads the pixels, lines along the last axis.
        others: The other axis.
        along: The axis.

    Returns:
        The ratio of each harmonic, the first of which is one over the stride: 8, or those below
        the Nyquist frequency; None with fewer than 4 strides, or where nothing differs.
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
        # As much as rounding makes of noise: it keeps differences that are none from having ratios.
        power += ROUNDING**2 * (window**2).mean() * (values**2).sum()
    return power


def _ratios(power: NDArray[np.float64], length: int) -> tuple[float, ...] | None:
    """Return power at the harmonics, multiples of bin `length`, over what it is between them."""
    # Beyond the last one there have to be others below the Nyquist frequency.
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
    """The mean error by place in the tile."""

    bias: float
    """Its root mean square beyond chance, in the units of the pixels."""
    chance: float
    """What tiles that have nothing in common would leave there."""
    map: NDArray[np.float64]
    """Mean of the bands `(stride, stride)` from the first pixel of a tile on, NaN where fewer than
    4 tiles show it."""


def position_bias(read: Read, rows: WrittenAxis, cols: WrittenAxis) -> PositionBias | None:
    """Return how large the mean error at a place in the tile is; None with fewer than 4 cells.

    The pixels are cut into cells of one stride, and each is taken without its own mean, where half
    of it is valid. The root mean square is that over places and bands of the mean over cells, and
    chance the variance among cells by their number: what is beyond it is the bias.
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
    """Return the pixels of whole cells, as many at a time as are read together."""
    stride, cells = written.axis.stride, written.cells
    several = max(SIDE // stride, 1) * stride
    return [
        range(first + cells.start, min(first + several, len(cells) * stride) + cells.start)
        for first in range(0, len(cells) * stride, several)
    ]


def _cells(
    data: NDArray[np.float64], valid: NDArray[np.bool_], height: int, width: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return `(bands, cells down, cells across, height, width)` less means, 0 where not used."""
    down, across = valid.shape[0] // height, valid.shape[1] // width
    used = valid.reshape(down, height, across, width).swapaxes(1, 2)
    cells = data.reshape(-1, down, height, across, width).swapaxes(2, 3)
    seen = used.sum(axis=(2, 3), keepdims=True)
    used = used & (2 * seen >= height * width)
    mean = cells.sum(axis=(3, 4), keepdims=True) / np.maximum(seen, 1)
    return np.where(used, cells - mean, 0), used
