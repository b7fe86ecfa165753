"""Vector layers burned into grids, as arrays and as rasters."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.features import rasterize
from rasterio.windows import Window

from geotranslate.checks import shown
from geotranslate.chips.vectors.shapes import in_crs, read_layer, shapes_of, spread_over
from geotranslate.errors import GridMismatchError, InvalidInputError
from geotranslate.raster.bandfacts import BandFacts
from geotranslate.raster.composite import Composite, OpenComposite
from geotranslate.raster.grid import Grid
from geotranslate.raster.mosaicdataset import DescribedDataset, RasterFacts


class Burner:
    """Shapes of a vector layer with their values, burned over a background of 0.

    Where shapes overlap, the later row of the layer wins. A pixel belongs to the shape that
    contains its center.

    Args:
        layer: Shapes in any CRS.
        grid: Grid of the scene.
        burn: Column of numbers; None for the value 1.
        name: Name of the layer in error messages.

    Raises:
        InvalidInputError: The layer is empty, or the column is missing or holds no numbers.
        GridMismatchError: The layer lies elsewhere, or only one of the two has a CRS.
    """

    def __init__(self, layer: gpd.GeoDataFrame, grid: Grid, burn: str | None, name: str) -> None:
        shapes = shapes_of(layer, name)
        if shapes.is_empty.all():
            raise InvalidInputError(f"{name} is empty; give a layer with shapes to burn.")
        if (shapes.crs is None) != (grid.crs is None):
            raise GridMismatchError(
                f"{name} cannot be burned: {'it' if shapes.crs is None else 'the raster'} has no "
                "CRS and the other side has one. Assign the CRS first."
            )
        if shapes.crs is not None:
            shapes = in_crs(shapes, grid.crs, spread_over(grid), name)
        self._shapes = shapes
        self._values, self.dtype = _burned_values(layer, burn, name)
        if not shapes.intersects(grid.footprint).any():
            raise GridMismatchError(
                f"No shape of {name} lies on the raster's ground. Give a layer of the same place."
            )

    def values(self, grid: Grid) -> NDArray[Any]:
        """Return the values on a grid of the scene's CRS, `(rows, cols)`."""
        return self._burned(grid, self._values, self.dtype)

    def covers(self, grid: Grid) -> NDArray[np.bool_]:
        """Return the pixels that belong to a shape, of any value, `(rows, cols)`."""
        return self._burned(grid, [1] * len(self._values), "uint8") > 0

    def _burned(self, grid: Grid, values: Sequence[float], dtype: str) -> NDArray[Any]:
        near = np.flatnonzero(self._shapes.intersects(grid.footprint)).tolist()
        shapes = [(self._shapes.iloc[i], values[i]) for i in near]
        size = (grid.height, grid.width)
        if not shapes:
            return np.zeros(size, dtype)
        return rasterize(shapes, size, transform=grid.transform, dtype=dtype)


def layer_name(layer: Any) -> str:
    """Return the path of a vector layer, or words for one in memory."""
    return "the vector layer" if isinstance(layer, gpd.GeoDataFrame) else os.fspath(layer)


def layer_of(layer: Any) -> gpd.GeoDataFrame:
    """Return a vector layer, which is read if it is a file.

    Raises:
        RasterFileError: It cannot be read.
    """
    return layer if isinstance(layer, gpd.GeoDataFrame) else read_layer(layer)


@dataclass(frozen=True, eq=False)
class BurnedLayer(Composite):
    """A vector layer as a raster on a grid.

    It holds its shapes, so it can be sent to other processes.
    """

    name: str
    burner: Burner
    facts: RasterFacts

    @classmethod
    def of(cls, layer: Any, burn: str | None, grid: Grid) -> BurnedLayer:
        """Return a layer as a raster.

        Args:
            layer: Vector file or GeoDataFrame, in any CRS.
            burn: Column of numbers; None for the value 1.
            grid: The grid.

        Raises:
            RasterFileError: The file cannot be read.
            InvalidInputError: As for `Burner`.
            GridMismatchError: As for `Burner`.
        """
        name = layer_name(layer)
        burner = Burner(layer_of(layer), grid, burn, name)
        facts = RasterFacts(grid, burner.dtype, (burn or "",), BandFacts())
        return cls(name, burner, facts)

    def __fspath__(self) -> str:
        return self.name

    def __str__(self) -> str:
        return self.name

    @property
    def main(self) -> str:
        """Path of the layer."""
        return self.name

    def absolute(self) -> BurnedLayer:
        """Return the layer itself, which is in memory."""
        return self

    @contextmanager
    def opened(self) -> Iterator[OpenComposite]:
        """Return the raster, which reads no file."""
        yield _BurnedDataset(self, self.facts)


class _BurnedDataset(DescribedDataset):
    """A vector layer as an open raster."""

    def __init__(self, layer: BurnedLayer, facts: RasterFacts) -> None:
        super().__init__(layer.name, facts, [layer.name] if os.path.exists(layer.name) else [])
        self._layer = layer

    def pixels(
        self, indexes: Sequence[int], window: Window, dtype: str | None
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Burn a window, see `OpenComposite.pixels`; every pixel is valid."""
        values = self._layer.burner.values(self.grid.crop(window))
        data = np.stack([values] * len(indexes)).astype(dtype or self.facts.dtype, copy=False)
        return data, np.ones(values.shape, bool)

    @contextmanager
    def on(self, grid: Grid, resampling: Resampling | None = None) -> Iterator[OpenComposite]:
        """Return the layer burned into another grid of its CRS.

        Raises:
            GridMismatchError: The grid has another CRS.
        """
        if grid.crs != self.grid.crs:
            raise GridMismatchError(
                f"{self.name} is burned in the CRS of its raster and is needed in another one; "
                "write chips of both with export_chips."
            )
        yield _BurnedDataset(self._layer, replace(self.facts, grid=grid))


def _burned_values(layer: gpd.GeoDataFrame, burn: str | None, name: str) -> tuple[list[float], str]:
    """Return the value of every shape, and the smallest dtype that holds all values and 0."""
    if burn is None:
        return [1] * len(layer), "uint8"
    if burn not in layer.columns:
        columns = ", ".join(str(column) for column in layer.columns if column != "geometry")
        raise InvalidInputError(
            f"burn is {shown(burn)} but {name} has the columns {columns or 'none'}."
        )
    values = layer[burn].to_numpy()
    if values.dtype == bool:
        values = values.astype(np.uint8)
    real = np.issubdtype(values.dtype, np.integer) or np.issubdtype(values.dtype, np.floating)
    if not real or not np.isfinite(values.astype(float)).all():
        raise InvalidInputError(
            f"Column {burn!r} of {name} does not hold a number for every shape; give a column of "
            "real numbers, for example class codes."
        )
    if not np.issubdtype(values.dtype, np.integer):
        return values.astype(float).tolist(), "float32"
    low, high = min(0, int(values.min())), int(values.max())
    fitting = [t for t in ("uint8", "int16", "uint16", "int32") if _holds(t, low, high)]
    if not fitting:
        raise InvalidInputError(
            f"Column {burn!r} of {name} reaches from {low} to {high}; give numbers of 32 bits."
        )
    return values.tolist(), fitting[0]


def _holds(dtype: str, low: int, high: int) -> bool:
    limits = np.iinfo(dtype)
    return bool(limits.min <= low and high <= limits.max)
