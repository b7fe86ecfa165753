"""Functions that translate tiles, and the prescan that some of them need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window
from tqdm.auto import tqdm

from geotranslate.raster.pipeline.prefetch import Prefetch, read_strips
from geotranslate.raster.reader import RasterReader, fill_gaps
from geotranslate.raster.tiling import Place, Plan

Batch: TypeAlias = NDArray[np.float32]
Apply: TypeAlias = Callable[[Batch], Batch]
"""Maps float32 `(n, bands, rows, cols)` to float32 `(n, bands_out, rows, cols)`."""

AnyApply: TypeAlias = "Apply | PlacedApply"
Tile = tuple[NDArray[np.float32], NDArray[np.bool_]]
"""Values `(bands, tile, tile)`, filled where invalid, and validity `(tile, tile)`."""


class PlacedApply(Protocol):
    """An `apply` that gets the places of its tiles, as it declares by `needs_places`."""

    needs_places: bool

    def __call__(self, batch: Batch, places: Sequence[Place]) -> Batch:
        """Translate tiles, given their tile rows and tile columns in the scene."""


class NeedsPrescan(Protocol):
    """An `apply` that scans the scene before it translates tiles."""

    @property
    def stride(self) -> int:
        """Shift of the input, px, whose multiples shift the output by the same amount."""

    @property
    def radius(self) -> int | None:
        """Radius of the receptive field, px; None for the whole tile."""

    def prescan(self, scene: SceneTiles) -> AnyApply:
        """Scan the scene, and return the function that translates its tiles."""


@dataclass(frozen=True)
class SceneTiles:
    """The tiles of a whole scene, regardless of the translated area."""

    source: RasterReader
    plan: Plan
    fill: float | Sequence[float]
    once: Callable[[str, Callable[[Path], None]], Path]
    """Makes a file beside the parts that all workers read; see `PartsFolder.once`."""
    stripes: int = 1
    """Stripes that the columns are cut into, so that a wide scene fits into memory."""
    progress: bool = False

    def tile(self, place: Place) -> Tile:
        """Read one tile.

        Raises:
            RasterFileError: The raster cannot be read.
        """
        data, valid = self.source.read(self.window(place))
        return fill_gaps(data, valid, self.fill), valid

    def window(self, place: Place) -> Window:
        """Return the pixels of one tile, which may extend beyond the scene."""
        rows, cols = self.plan.rows, self.plan.cols
        return Window(cols.starts[place[1]], rows.starts[place[0]], cols.tile, rows.tile)

    def around(self, margin: tuple[int, int]) -> tuple[range, range]:
        """Return the tile rows and columns of the written region, and a margin of tiles."""
        touched = self.plan.tiles_in(self.plan.region)
        lengths = len(self.plan.rows), len(self.plan.cols)
        rows, cols = (
            range(max(numbers.start - more, 0), min(numbers.stop + more, length))
            for numbers, more, length in zip(touched, margin, lengths, strict=True)
        )
        return rows, cols

    def tiles(self, tile_rows: range, tile_cols: range) -> Iterator[tuple[Place, Tile]]:
        """Yield the tiles with a valid pixel row by row; a thread reads ahead.

        Raises:
            RasterFileError: The raster cannot be read.
        """
        with (
            tqdm(
                total=len(tile_rows) * len(tile_cols),
                desc="statistics",
                unit="tile",
                disable=not self.progress,
            ) as bar,
            Prefetch(self._tiles(tile_rows, tile_cols)) as ahead,
        ):
            for place, tile in ahead:
                if tile is not None:
                    yield place, tile
                bar.update()

    def _tiles(self, tile_rows: range, tile_cols: range) -> Iterator[tuple[Place, Tile | None]]:
        side, starts = self.plan.cols.tile, self.plan.cols.starts
        width = -(-len(tile_cols) // self.stripes)
        for first in range(0, len(tile_cols), width):
            numbers = tile_cols[first : first + width]
            strips = read_strips(self.source, self.plan, tile_rows, numbers, self.fill, None)
            for row, data, valid in strips:
                for col in numbers:
                    at = slice(
                        starts[col] - starts[numbers[0]], starts[col] - starts[numbers[0]] + side
                    )
                    tile = data[:, :, at].copy(), valid[:, at].copy()
                    yield (row, col), tile if tile[1].any() else None
