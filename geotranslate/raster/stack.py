"""Stacks: several rasters of one place that are read as one raster."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.windows import Window

from geotranslate.raster.composite import Composite, OpenComposite
from geotranslate.raster.coverage import LayerCoverage, StackSummary
from geotranslate.raster.grid import Grid, align, warp
from geotranslate.raster.reader import RasterReader

Missing = Literal["any", "all", "ignore"]
"""Rule for pixels where only some layers of a stack are valid, see `stack`."""
VALID = "valid"
"""Name of the band that tells where a layer is valid."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A raster of a stack."""

    name: str
    path: str | Composite
    """Path, URL or GDAL name; or a mosaic."""
    resampling: Resampling
    """Resampling method for another grid."""
    fill: tuple[float, ...] = ()
    """Values of its bands where it is invalid and the stack is valid."""


@dataclass(frozen=True)
class Stack(Composite):
    """Several rasters of one place, made by `stack` and accepted wherever a raster is.

    It holds paths, so it can be sent to other processes. Each layer is read from its own file, by
    its own mask and nodata value, and warped onto the grid of the stack by its own method. Bands
    are named by layer and band, such as `s1:VV` or `dem:1`.
    """

    layers: tuple[Layer, ...]
    missing: Missing = "any"
    """See `stack`."""
    grid: Grid | None = None
    """Its grid; None for the grid of the first layer."""

    def __fspath__(self) -> str:
        return "+".join(os.fspath(layer.path) for layer in self.layers)

    def __str__(self) -> str:
        return os.fspath(self)

    @property
    def main(self) -> str:
        """Path of the first layer, or of its first raster."""
        first = self.layers[0].path
        return first.main if isinstance(first, Composite) else first

    def absolute(self) -> Stack:
        """Return the same stack with absolute paths, for processes in other folders."""
        layers = (replace(layer, path=_absolute(layer.path)) for layer in self.layers)
        return replace(self, layers=tuple(layers))

    def filled(self, values: Mapping[str, float]) -> Stack:
        """Return the stack with other values of missing layers, by the names of bands.

        Bands without a value keep theirs.
        """
        with self.opened() as dataset:
            names = dataset.layer_names
        layers = (
            replace(
                layer,
                fill=tuple(
                    values.get(name, known) for name, known in zip(own, layer.fill, strict=True)
                ),
            )
            for layer, own in zip(self.layers, names, strict=True)
        )
        return self if self.missing == "any" else replace(self, layers=tuple(layers))

    def summary(self) -> StackSummary:
        """Return the layers with their CRS, pixel size and ground; no pixels are read.

        The result prints as a table, and `to_geojson()` gives the outline of each layer in
        EPSG:4326.

        Raises:
            RasterFileError: A layer cannot be opened.
            GridMismatchError: A layer does not overlap the grid.
        """
        with self.opened() as dataset:
            return StackSummary(
                tuple(
                    LayerCoverage.of(
                        each.layer.name,
                        os.fspath(each.layer.path),
                        each.file.bands,
                        each.file.grid,
                        dataset.grid,
                    )
                    for each in dataset.layers
                )
            )

    @contextmanager
    def opened(self) -> Iterator[StackedDataset]:
        """Open all layers on the grid of the stack, until the context ends.

        Raises:
            RasterFileError: A layer cannot be opened; the message names it.
            GridMismatchError: A layer does not overlap the grid, or has no CRS.
            InvalidInputError: A layer cannot be read, for example as it holds complex numbers.
        """
        with ExitStack() as closing:
            files = [closing.enter_context(RasterReader(layer.path)) for layer in self.layers]
            grid = self.grid or files[0].grid
            layers = []
            for layer, file in zip(self.layers, files, strict=True):
                view = align(file.dataset, grid, layer.resampling, onto="the stack's grid")
                layers.append(OpenLayer(layer, file, RasterReader(closing.enter_context(view))))
            yield StackedDataset(self, grid, layers)


def _absolute(path: str | Composite) -> str | Composite:
    if isinstance(path, Composite):
        return path.absolute()
    return os.path.abspath(path) if os.path.exists(path) else path


class OpenLayer:
    """An open layer on the grid of a stack.

    Args:
        layer: The layer.
        file: Its raster.
        view: The raster on the grid of the stack.
    """

    def __init__(self, layer: Layer, file: RasterReader, view: RasterReader) -> None:
        self.layer, self.file, self.view = layer, file, view
        self._readers: dict[tuple[int, ...], RasterReader] = {}

    @property
    def warped(self) -> bool:
        """Whether its raster lies on another grid."""
        return self.view.dataset is not self.file.dataset

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its bands: the names in the file, or else their numbers."""
        own = self.file.band_names
        return tuple(
            f"{self.layer.name}:{name if name and own.count(name) == 1 else index}"
            for name, index in zip(own, self.file.indexes, strict=True)
        )

    def reader(self, indexes: tuple[int, ...]) -> RasterReader:
        """Return the reader of some of its bands, of all if none are given."""
        known = self._readers.get(indexes)
        if known is None:
            known = RasterReader(self.view.dataset, indexes or self.file.indexes)
            self._readers[indexes] = known
        return known

    def on(self, grid: Grid, closing: ExitStack) -> OpenLayer:
        """Return the layer on another grid, which need not overlap it."""
        same = self.file.grid.matches(grid)
        view = (
            nullcontext(self.file.dataset)
            if same
            else warp(self.file.dataset, grid, self.layer.resampling)
        )
        return OpenLayer(self.layer, self.file, RasterReader(closing.enter_context(view)))


@dataclass(frozen=True, slots=True)
class _Band:
    """A band of a stack."""

    name: str
    layer: int
    """Position of its layer."""
    index: int | None
    """Number of the band in the layer's raster; None for the band of validity."""


def is_warped(dataset: object) -> bool:
    """Tell whether a dataset is a stack with a layer on another grid."""
    return isinstance(dataset, StackedDataset) and any(each.warped for each in dataset.layers)


class StackedDataset(OpenComposite):
    """An open stack.

    Args:
        stack: The stack.
        grid: Its grid.
        layers: Its layers on this grid.
    """

    driver = "stack"
    subdatasets: tuple[str, ...] = ()
    rpcs = None

    def __init__(self, stack: Stack, grid: Grid, layers: Sequence[OpenLayer]) -> None:
        self.stack, self.grid, self.layers = stack, grid, tuple(layers)
        self.name = os.fspath(stack)
        self.bands = tuple(
            band for number, layer in enumerate(layers) for band in self._of_layer(number, layer)
        )
        self.dtype = np.result_type(*(layer.file.dtype for layer in layers)).name
        self._whole = np.issubdtype(self.dtype, np.integer)
        if stack.missing != "any":
            self.rules = (stack.missing, [layer.layer.fill for layer in layers])

    @property
    def short_name(self) -> str:
        """Names of the files, with the names of the layers if some files have equal names."""
        layers = self.stack.layers
        files = [layer.file.short_name for layer in self.layers]
        if len(set(files)) == len(files):
            return "+".join(files)
        return "+".join(f"{each.name}={file}" for each, file in zip(layers, files, strict=True))

    def _of_layer(self, number: int, layer: OpenLayer) -> Iterator[_Band]:
        for name, index in zip(layer.names, layer.file.indexes, strict=True):
            yield _Band(name, number, index)
        if self.stack.missing == "ignore":
            yield _Band(f"{layer.layer.name}:{VALID}", number, None)

    @property
    def layer_names(self) -> tuple[tuple[str, ...], ...]:
        """Names of the bands of each layer, without the bands of validity."""
        return tuple(layer.names for layer in self.layers)

    @property
    def count(self) -> int:
        """Number of bands."""
        return len(self.bands)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The smallest dtype that holds the values of all layers, for every band."""
        return (self.dtype,) * self.count

    @property
    def descriptions(self) -> tuple[str, ...]:
        """Names of the bands."""
        return tuple(band.name for band in self.bands)

    @property
    def nodatavals(self) -> tuple[None, ...]:
        """None: layers are read by their own nodata values."""
        return (None,) * self.count

    @property
    def colorinterp(self) -> tuple[ColorInterp, ...]:
        """Color interpretations of the bands."""
        return self._facts("colorinterp", ColorInterp.undefined)

    @property
    def scales(self) -> tuple[float, ...]:
        """Scales of the bands."""
        return self._facts("scales", 1.0)

    @property
    def offsets(self) -> tuple[float, ...]:
        """Offsets of the bands."""
        return self._facts("offsets", 0.0)

    @property
    def units(self) -> tuple[str | None, ...]:
        """Units of the bands."""
        return self._facts("units", None)

    def _facts(self, name: str, of_validity: Any) -> tuple[Any, ...]:
        known = [getattr(layer.file.dataset, name) for layer in self.layers]
        return tuple(
            of_validity if band.index is None else known[band.layer][band.index - 1]
            for band in self.bands
        )

    @property
    def mask_flag_enums(self) -> tuple[list[MaskFlags], ...]:
        """Whether pixels may be invalid, for every band."""
        gaps = [layer.view.may_have_gaps for layer in self.layers]
        may = any(gaps) if self.stack.missing == "any" else all(gaps)
        return ([MaskFlags.nodata if may else MaskFlags.all_valid],) * self.count

    @property
    def block_shapes(self) -> tuple[tuple[int, int], ...]:
        """Rows and columns of the blocks of the first layer, for every band."""
        return (self.layers[0].view.dataset.block_shapes[0],) * self.count

    @property
    def files(self) -> list[str]:
        """Files of all layers."""
        return list(dict.fromkeys(file for each in self.layers for file in each.file.dataset.files))

    @property
    def gcps(self) -> tuple[Any, CRS | None]:
        """Ground control points of the first layer if it gives the grid."""
        first = self.layers[0]
        return ([], None) if first.warped else first.file.dataset.gcps

    def tags(self, ns: str | None = None) -> dict[str, str]:
        """Return the RPCs of the first layer if it gives the grid; no other tags."""
        first = self.layers[0]
        return first.file.dataset.tags(ns=ns) if ns == "RPC" and not first.warped else {}

    def pixels(
        self, indexes: Sequence[int], window: Window, dtype: str | None
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Read a window, see `OpenComposite.pixels`; only layers of these bands count."""
        wanted = [self.bands[index - 1] for index in indexes]
        used = list(dict.fromkeys(band.layer for band in wanted))
        shape = (len(wanted), int(window.height), int(window.width))
        data = np.empty(shape, dtype or self.dtype)
        seen = {number: self._read_layer(number, wanted, window, data) for number in used}
        join = np.logical_and if self.stack.missing == "any" else np.logical_or
        return data, reduce(join, seen.values())

    def _read_layer(
        self, number: int, wanted: Sequence[_Band], window: Window, data: NDArray[Any]
    ) -> NDArray[np.bool_]:
        """Read the bands of a layer into their places and return where it is valid."""
        layer = self.layers[number].layer
        mine = {i: band.index for i, band in enumerate(wanted) if band.layer == number}
        places = {i: index for i, index in mine.items() if index is not None}
        valid = self._read_bands(number, places, window, data)
        for i in mine.keys() - places.keys():
            data[i] = valid
        if self.stack.missing == "any" or valid.all():
            return valid
        indexes = self.layers[number].file.indexes
        for i, index in places.items():
            fill = layer.fill[indexes.index(index)]
            # Rounded for every dtype of the values, so that chips and scenes agree.
            data[i, ~valid] = round(fill) if self._whole else fill
        return valid

    def _read_bands(
        self, number: int, places: Mapping[int, int], window: Window, data: NDArray[Any]
    ) -> NDArray[np.bool_]:
        """Read bands of a layer, by their places in an array, and return where it is valid."""
        reader = self.layers[number].reader(tuple(places.values()))
        if places and list(places) == list(range(min(places), max(places) + 1)):
            return reader.read_into(window, data[min(places) : max(places) + 1])
        values, valid = reader.read(window, data.dtype.name)
        for i, band in zip(places, values, strict=False):
            data[i] = band
        return valid

    @contextmanager
    def on(self, grid: Grid, resampling: Resampling | None = None) -> Iterator[StackedDataset]:
        """Return the stack on another grid, onto which each layer is warped by its own method."""
        with ExitStack() as closing:
            layers = [layer.on(grid, closing) for layer in self.layers]
            yield StackedDataset(self.stack, grid, layers)
