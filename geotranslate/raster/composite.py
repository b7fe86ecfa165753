"""Rasters made of other rasters, as values and open."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.windows import Window


class OpenComposite(ABC):
    """An open raster made of others.

    It has the attributes of a rasterio dataset that describe it, but `pixels` alone reads it.
    """

    name: str
    grid: Any
    """Its `Grid`, whose module imports this one."""
    closed, mode = False, "r"
    rules: tuple[Any, ...] = ()
    """Facts that its pixels depend on besides files and grid, as JSON values."""

    @property
    @abstractmethod
    def short_name(self) -> str:
        """Its name without folders, for messages and tags."""

    @property
    @abstractmethod
    def count(self) -> int:
        """Number of bands."""

    @property
    def indexes(self) -> tuple[int, ...]:
        """Numbers of the bands."""
        return tuple(range(1, self.count + 1))

    @property
    def crs(self) -> CRS | None:
        """CRS of the grid."""
        return self.grid.crs

    @property
    def transform(self) -> Any:
        """Transform of the grid."""
        return self.grid.transform

    @property
    def height(self) -> int:
        """Rows."""
        return self.grid.height

    @property
    def width(self) -> int:
        """Columns."""
        return self.grid.width

    @abstractmethod
    def pixels(
        self, indexes: Sequence[int], window: Window, dtype: str | None
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Read a window.

        Args:
            indexes: Bands to read, by number from 1.
            window: Pixels to read, all on the raster.
            dtype: dtype of the values; None for the raster's own.

        Returns:
            Values `(bands, rows, cols)`, arbitrary where invalid, and validity `(rows, cols)`.

        Raises:
            RasterFileError: The pixels cannot be decoded.
        """

    @abstractmethod
    def on(self, grid: Any, resampling: Any = None) -> AbstractContextManager[OpenComposite]:
        """Return the same raster on another `Grid`.

        Args:
            grid: The grid.
            resampling: Rasterio's `Resampling`, for rasters whose parts have no method of their
                own.
        """


class Composite(os.PathLike[str], ABC):
    """A raster made of others, as a value that can be sent to other processes."""

    @abstractmethod
    def opened(self) -> AbstractContextManager[OpenComposite]:
        """Open the raster.

        Raises:
            RasterFileError: A part cannot be opened; the message names it.
            GridMismatchError: A part cannot be laid on the grid.
        """

    @property
    @abstractmethod
    def main(self) -> str:
        """Path of the part after which outputs are named."""

    @abstractmethod
    def absolute(self) -> Composite:
        """Return the same raster with absolute paths, for processes in other folders."""
