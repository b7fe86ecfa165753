"""The pictures of a scene, read in windows of the grid of its translation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from geotranslate.raster.grid import Grid
from geotranslate.raster.reader import RasterReader

Read: TypeAlias = "tuple[NDArray[Any], NDArray[np.bool_]]"
"""Values `(bands, rows, cols)` and validity `(rows, cols)`."""

SPOTS, SPOT = 8, 64
"""Number of windows in each direction from which colors are chosen, and their side in px."""


class Layer(Protocol):
    """A raster that is read in windows of one grid."""

    def read(self, window: Window) -> Read:
        """Return the pixels of a window inside the grid."""
        ...


@dataclass(frozen=True)
class SourceLayer:
    """A scene on the grid of its translation, which may have another pixel size.

    Args:
        reader: The scene, with the bands of the model.
        factor: Pixels of the translation for each pixel of the scene, along an axis.
    """

    reader: RasterReader
    factor: Fraction

    def read(self, window: Window) -> Read:
        """Return the pixels of a window; smaller pixels repeat, larger ones are means."""
        if self.factor == 1:
            return self.reader.read(window, None)
        rows = self._span(int(window.row_off), int(window.height))
        cols = self._span(int(window.col_off), int(window.width))
        data, valid = self.reader.read(Window(cols.start, rows.start, len(cols), len(rows)), None)
        if self.factor < 1:
            return _means(data, valid, int(1 / self.factor))
        down = self._places(int(window.row_off), int(window.height)) - rows.start
        across = self._places(int(window.col_off), int(window.width)) - cols.start
        repeated: NDArray[np.bool_] = valid[down][:, across]
        return data[:, down][:, :, across], repeated

    def _span(self, start: int, size: int) -> range:
        """Return the pixels of the scene under some pixels of the grid."""
        return range(math.floor(start / self.factor), math.ceil((start + size) / self.factor))

    def _places(self, start: int, size: int) -> NDArray[np.intp]:
        return (np.arange(size) + start) // int(self.factor)


def _means(data: NDArray[Any], valid: NDArray[np.bool_], step: int) -> Read:
    """Return the means of blocks of pixels; a block is valid if all of its pixels are."""
    bands, height, width = data.shape
    shape = (height // step, step, width // step, step)
    means = data.astype(np.float64).reshape(bands, *shape).mean(axis=(2, 4))
    whole: NDArray[np.bool_] = np.asarray(valid.reshape(shape).all(axis=(1, 3)))
    return means.astype(data.dtype), whole


@dataclass(frozen=True)
class PlainLayer:
    """A raster that lies on the grid."""

    reader: RasterReader

    def read(self, window: Window) -> Read:
        """Return the pixels of a window."""
        return self.reader.read(window, None)


@dataclass(frozen=True)
class ErrorLayer:
    """Absolute difference of a translation and its reference, the mean of the bands."""

    translation: Layer
    truth: Layer

    def read(self, window: Window) -> Read:
        """Return the errors `(1, rows, cols)` of a window."""
        (ours, seen), (theirs, known) = self.translation.read(window), self.truth.read(window)
        with np.errstate(invalid="ignore"):
            errors = np.abs(ours.astype(np.float64) - theirs).mean(axis=0, keepdims=True)
        return errors, seen & known


@dataclass
class Extrapolation:
    """Counts of source pixels with values that no training pixel has.

    Args:
        limits: Smallest and largest training value of each band.
    """

    limits: Sequence[tuple[float, float]]
    valid: int = 0
    beyond: int = 0

    def add(self, data: NDArray[Any], valid: NDArray[np.bool_]) -> None:
        """Add the pixels of a window."""
        low, high = (np.array(ends)[:, None, None] for ends in zip(*self.limits, strict=True))
        outside = ((data < low) | (data > high)).any(axis=0) & valid
        self.valid += int(valid.sum())
        self.beyond += int(outside.sum())

    @property
    def share(self) -> float:
        """Share of the valid pixels with a value outside of the training's range, 0 to 1."""
        return self.beyond / self.valid if self.valid else 0.0


def sampled(layer: Layer, grid: Grid) -> NDArray[Any]:
    """Return valid values `(bands, pixels)` of windows spread over a grid."""
    found = []
    height, width = min(SPOT, grid.height), min(SPOT, grid.width)
    rows, cols = (
        sorted({step * (size - side) // (SPOTS - 1) for step in range(SPOTS)})
        for size, side in ((grid.height, height), (grid.width, width))
    )
    for row in rows:
        for col in cols:
            data, valid = layer.read(Window(col, row, width, height))
            found.append(data[:, valid])
    return np.concatenate(found, axis=1)
