"""Open mosaics, whose pixels are read from several rasters."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError  # what transforming raises is not public
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.env import env_ctx_if_needed
from rasterio.errors import CRSError, RasterioError
from rasterio.warp import transform
from rasterio.windows import Window

from geotranslate.raster.bandfacts import BandFacts
from geotranslate.raster.composite import OpenComposite
from geotranslate.raster.grid import Grid, beside, warp
from geotranslate.raster.opening import quiet_about_georeference
from geotranslate.raster.reader import RasterReader

MOST_OPEN = 64
"""Largest number of rasters of a mosaic that are open at once."""
LATTICE = 33j
"""Points along each side of a window that is warped, as numpy counts them."""
KERNEL = 3
"""Radius of the widest resampling kernel, px of the coarser grid."""
CELL = 256
"""Side of the cells that are warped at once, px."""
MOST_BYTES = 2**26
"""Largest number of bytes of cells that are kept: a row of them, for most widths."""

Pixels = tuple[NDArray[Any], NDArray[np.bool_]]
"""Values `(bands, rows, cols)` and their validity."""

Colors = tuple[tuple[int, tuple[int, int, int, int]], ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A raster of a mosaic, and the place of its first pixel."""

    path: str
    """Path, URL or GDAL name."""
    row: int
    col: int
    height: int
    width: int


@dataclass(frozen=True)
class RasterFacts:
    """Description of a raster: grid, bands, dtype, nodata."""

    grid: Grid
    dtype: str
    band_names: tuple[str, ...]
    band_facts: BandFacts
    nodata: float | None = None
    colormap: Colors | None = None
    tags: tuple[tuple[str, str], ...] = ()
    block: tuple[int, int] = (256, 256)
    """Rows and columns of a block."""
    may_have_gaps: bool = False
    """Whether pixels may be invalid."""


class DescribedDataset(OpenComposite):
    """An open raster of known facts, whose pixels come from elsewhere.

    Args:
        name: Its name.
        facts: Its facts.
        files: Files that are read.
    """

    driver = "composite"
    subdatasets: tuple[str, ...] = ()
    rpcs = None
    gcps: tuple[Any, CRS | None] = ([], None)

    def __init__(self, name: str, facts: RasterFacts, files: Sequence[str]) -> None:
        self.name, self.facts, self.files = name, facts, list(files)
        self.grid = facts.grid

    @property
    def short_name(self) -> str:
        """Its name without folders, for messages and tags."""
        return ",".join(name.rpartition("/")[2] for name in self.name.split(","))

    @property
    def count(self) -> int:
        """Number of bands, without alpha."""
        return len(self.facts.band_names)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The dtype, for every band."""
        return (self.facts.dtype,) * self.count

    @property
    def descriptions(self) -> tuple[str | None, ...]:
        """Names of the bands."""
        return tuple(name or None for name in self.facts.band_names)

    @property
    def nodatavals(self) -> tuple[float | None, ...]:
        """The nodata value that all rasters share, for every band."""
        return (self.facts.nodata,) * self.count

    @property
    def colorinterp(self) -> tuple[ColorInterp, ...]:
        """Color interpretations of the bands."""
        if self.facts.colormap is not None:
            return (ColorInterp.palette,)
        colors = self.facts.band_facts.colors or ("undefined",) * self.count
        return tuple(ColorInterp[name] for name in colors)

    @property
    def scales(self) -> tuple[float, ...]:
        """Scales of the bands."""
        return self.facts.band_facts.scales or (1.0,) * self.count

    @property
    def offsets(self) -> tuple[float, ...]:
        """Offsets of the bands."""
        return self.facts.band_facts.offsets or (0.0,) * self.count

    @property
    def units(self) -> tuple[str | None, ...]:
        """Units of the bands."""
        return self.facts.band_facts.units or (None,) * self.count

    @property
    def mask_flag_enums(self) -> tuple[list[MaskFlags], ...]:
        """Whether pixels may be invalid, for every band."""
        flag = MaskFlags.nodata if self.facts.may_have_gaps else MaskFlags.all_valid
        return ([flag],) * self.count

    @property
    def block_shapes(self) -> tuple[tuple[int, int], ...]:
        """Rows and columns of the blocks of the first raster, for every band."""
        return (self.facts.block,) * self.count

    def colormap(self, band: int) -> dict[int, tuple[int, int, int, int]]:
        """Return the color table.

        Raises:
            ValueError: There is none.
        """
        if self.facts.colormap is None:
            raise ValueError("NULL color table")
        return dict(self.facts.colormap)

    def tags(self, ns: str | None = None) -> dict[str, str]:
        """Return the tags of the first raster; none of other domains."""
        return dict(self.facts.tags) if ns is None else {}


class MosaicDataset(DescribedDataset):
    """An open mosaic on its own grid.

    Args:
        name: Its name.
        facts: Its facts.
        pieces: Its rasters; where several are valid, the first one counts.
        closing: Exit stack that closes them.
    """

    def __init__(
        self, name: str, facts: RasterFacts, pieces: Sequence[Piece], closing: ExitStack
    ) -> None:
        super().__init__(name, facts, [piece.path for piece in pieces])
        self._pieces = pieces
        self._open: dict[Piece, RasterReader] = {}
        closing.callback(self._close)

    def _close(self) -> None:
        for raster in self._open.values():
            raster.close()
        self._open.clear()

    def pixels(
        self, indexes: Sequence[int], window: Window, dtype: str | None
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Read a window, see `OpenComposite.pixels`; only rasters under it are opened."""
        left, top, width, height = map(int, window.flatten())
        data = np.zeros((len(indexes), height, width), dtype or self.facts.dtype)
        seen = np.zeros((height, width), bool)
        for piece in self._pieces:
            first_row, first_col = max(top, piece.row), max(left, piece.col)
            rows = min(top + height, piece.row + piece.height) - first_row
            cols = min(left + width, piece.col + piece.width) - first_col
            if min(rows, cols) <= 0:
                continue
            down, across = first_row - top, first_col - left
            here = np.s_[..., down : down + rows, across : across + cols]
            if seen[here].all():
                continue
            part = Window(first_col - piece.col, first_row - piece.row, cols, rows)
            found, valid = self._reader(piece, indexes).read(part, data.dtype.name)
            new = valid & ~seen[here]
            np.copyto(data[here], found, where=new)
            seen[here] |= new
        return data, seen

    def _reader(self, piece: Piece, indexes: Sequence[int]) -> RasterReader:
        """Return a reader of some bands of a raster, which stays open for a while."""
        if piece not in self._open:
            if len(self._open) == MOST_OPEN:
                self._open.pop(next(iter(self._open))).close()
            # A raster that has an environment of its own ends that of the thread that closes it,
            # which may be another one than this, and may have none.
            with env_ctx_if_needed():
                self._open[piece] = RasterReader(piece.path)
        raster = self._open[piece]
        if len(indexes) == raster.bands:
            return raster
        return RasterReader(raster.dataset, [raster.indexes[index - 1] for index in indexes])

    @contextmanager
    def on(self, grid: Grid, resampling: Resampling | None = None) -> Iterator[OpenComposite]:
        """Return the mosaic on another grid, onto which its pixels are warped together."""
        yield WarpedMosaic(self, grid, resampling)


class WarpedMosaic(DescribedDataset):
    """An open mosaic on another grid.

    Pixels are warped from those of the mosaic, so that pixels at the edge of one raster are mixed
    with those of the next one. They are warped in fixed cells: what GDAL interpolates depends on
    the window that is warped at once, but the pixels of the mosaic do not depend on the windows
    that are read.

    Args:
        source: The mosaic on its own grid, which stays open.
        grid: The other grid.
        resampling: Resampling method, see `warp`.
    """

    def __init__(self, source: MosaicDataset, grid: Grid, resampling: Resampling | None) -> None:
        facts = replace(source.facts, grid=grid, may_have_gaps=True)
        super().__init__(source.name, facts, source.files)
        self._source = source
        usual = Resampling.bilinear if self.facts.colormap is None else Resampling.nearest
        self._resampling = usual if resampling is None else resampling
        self._cells: OrderedDict[tuple[Any, ...], Pixels] = OrderedDict()

    def pixels(
        self, indexes: Sequence[int], window: Window, dtype: str | None
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Read a window, see `OpenComposite.pixels`."""
        left, top, width, height = map(int, window.flatten())
        data = np.empty((len(indexes), height, width), dtype or self.facts.dtype)
        valid = np.empty((height, width), bool)
        for row in range(top // CELL, (top + height - 1) // CELL + 1):
            for col in range(left // CELL, (left + width - 1) // CELL + 1):
                rows, from_rows = _shared(top, height, row)
                cols, from_cols = _shared(left, width, col)
                values, known = self._cell(tuple(indexes), data.dtype.name, row, col)
                data[:, rows, cols] = values[:, from_rows, from_cols]
                valid[rows, cols] = known[from_rows, from_cols]
        return data, valid

    def _cell(self, indexes: tuple[int, ...], dtype: str, row: int, col: int) -> Pixels:
        """Return the pixels of a cell, which are kept for a while."""
        key = (indexes, dtype, row, col)
        found = self._cells.get(key)
        if found is None:
            height = min(CELL, self.grid.height - row * CELL)
            width = min(CELL, self.grid.width - col * CELL)
            window = Window(col * CELL, row * CELL, width, height)
            found = self._warped(indexes, window, dtype)
            self._cells[key] = found
            if sum(values.nbytes for values, _ in self._cells.values()) > MOST_BYTES:
                self._cells.popitem(last=False)
        self._cells.move_to_end(key)
        return found

    def _warped(self, indexes: Sequence[int], window: Window, dtype: str) -> Pixels:
        grid = self.grid.crop(window)
        under = self._under(grid)
        if under is None:
            shape = (len(indexes), grid.height, grid.width)
            return np.zeros(shape, dtype), np.zeros(shape[1:], bool)
        data, valid = self._source.pixels(indexes, under, None)
        place = self._source.grid.crop(under)
        profile = {"driver": "GTiff", "count": len(data), "dtype": data.dtype, "alpha": "NO"}
        with quiet_about_georeference(), rasterio.MemoryFile() as memory:
            with memory.open(
                height=place.height,
                width=place.width,
                crs=place.crs,
                transform=place.transform,
                photometric="MINISBLACK",
                **profile,
            ) as written:
                written.write(data)
                if not valid.all():
                    written.write_mask(valid)
            with memory.open() as dataset, warp(dataset, grid, self._resampling) as warped:
                return RasterReader(warped, range(1, len(data) + 1)).read(dtype=dtype)

    @contextmanager
    def on(self, grid: Grid, resampling: Resampling | None = None) -> Iterator[OpenComposite]:
        """Return the mosaic on a third grid."""
        yield WarpedMosaic(self._source, grid, resampling)

    def _under(self, grid: Grid) -> Window | None:
        """Return the window of the mosaic's own grid under a grid; None if there is none."""
        own = beside(self._source.grid, grid)
        places: Any = np.mgrid[0:1:LATTICE, 0:1:LATTICE].reshape(2, -1)
        x, y = grid.transform @ (places[0] * grid.width, places[1] * grid.height)
        try:
            if own.crs != grid.crs:
                x, y = map(np.asarray, transform(grid.crs, own.crs, x, y))
        except (CPLE_BaseError, CRSError, RasterioError):
            return None
        cols, rows = ~own.transform @ (x, y)
        known = np.isfinite(cols) & np.isfinite(rows)
        if not known.any():
            return None
        low_row, high_row = _reach(rows[known], grid.height, own.height)
        low_col, high_col = _reach(cols[known], grid.width, own.width)
        if low_row >= high_row or low_col >= high_col:
            return None
        return Window(low_col, low_row, high_col - low_col, high_row - low_row)


def _shared(first: int, size: int, cell: int) -> tuple[slice, slice]:
    """Return the pixels that a window shares with a cell, counted in the window and in the cell."""
    start, stop = max(first, cell * CELL), min(first + size, (cell + 1) * CELL)
    return slice(start - first, stop - first), slice(start - cell * CELL, stop - cell * CELL)


def _reach(places: NDArray[np.float64], count: int, size: int) -> tuple[int, int]:
    """Return first and last pixel of an axis that a window depends on."""
    low, high = float(places.min()), float(places.max())
    # Ground bends between the points, and a kernel of the coarser grid extends beyond the window.
    margin = (high - low) / 32 + KERNEL * max(1.0, (high - low) / count) + 2
    return max(0, math.floor(low - margin)), min(size, math.ceil(high + margin))
