"""Blocks of a translation that are computed when they are asked for."""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geotranslate.raster.factor import valid_at
from geotranslate.raster.grid import Grid
from geotranslate.raster.pipeline.job import Job, translate_tiles
from geotranslate.raster.pipeline.planning import plan_of, profile_of, stripes_of, tiling_of
from geotranslate.raster.pipeline.prefetch import TileBatch, inside
from geotranslate.raster.pipeline.prescan import AnyApply, NeedsPrescan, SceneTiles, Tile
from geotranslate.raster.pipeline.translate_options import TranslateOptions
from geotranslate.raster.reader import RasterReader
from geotranslate.raster.tiling import Axis, Place, Region, RowBuffer, WrittenAxis
from geotranslate.raster.writing import OutputProfile, stored

TILE_BYTES = 2**27
"""Memory for translated tiles that further blocks are made of too."""


class SceneBlocks:
    """The pixels that `translate` would write, in blocks that are computed one at a time.

    The pixels of a block are made of the same tiles: of one where tiles do not overlap or are
    cropped, of two or four where they are blended. On a CPU in float32, blocks are the written
    pixels to the last bit; elsewhere the last bit depends on the number of tiles that a network
    translates at once.

    Only one thread at a time may use it, while its raster is open.

    Args:
        source: Open raster with the bands to translate.
        job: Function of tiles, plan and profile of the output.
    """

    def __init__(self, source: RasterReader, job: Job) -> None:
        self._source, self._job = source, job
        self._tiles: OrderedDict[Place, Tile] = OrderedDict()
        self.row_edges = _edges(job.plan.out_rows, job.plan.region.top, job.plan.region.bottom)
        """First row of every block in the output, and the number of rows."""
        self.col_edges = _edges(job.plan.out_cols, job.plan.region.left, job.plan.region.right)
        """First column of every block in the output, and the number of columns."""

    @classmethod
    def of(
        cls, reader: RasterReader, apply: AnyApply | NeedsPrescan, options: TranslateOptions
    ) -> SceneBlocks:
        """Return the blocks of a raster; scan the scene first if the function needs it.

        Args:
            reader: Open raster with the bands to translate.
            apply: As in `translate_raster`.
            options: Its options; of those for running, only `progress` and `max_memory` count.

        Raises:
            GeotranslateError: As `translate_raster`.
        """
        tiling, writing, running = options.tiling, options.writing, options.running
        reading = options.reading.on(reader)
        tiles = tiling_of(reader, apply, tiling, writing)
        plan = plan_of(reader, apply, tiles, tiling.factor, reading, running.part_rows)
        stripes = stripes_of(reader, plan, writing.bands, running.max_memory)
        output = profile_of(reader, plan, reading, writing)
        job = Job(reader.dataset, reading, apply, plan, output, Path(), stripes=stripes)
        return cls(reader, _prescanned(job, reader, progress=running.progress))

    @property
    def output(self) -> OutputProfile:
        """Profile of the output."""
        return self._job.output

    @property
    def grid(self) -> Grid:
        """Grid of the output."""
        return self._job.output.grid

    def block(self, row: int, col: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Compute a block.

        Args:
            row: Number of the block down the output.
            col: Its number across.

        Returns:
            Values `(bands, rows, cols)` in the output's dtype, and validity `(rows, cols)`.

        Raises:
            RasterFileError: The raster cannot be read.
            TranslationError: The function failed; the message names the tile.
        """
        plan = self._job.plan
        top, left = plan.region.top, plan.region.left
        region = Region(
            *(top + edge for edge in self.row_edges[row : row + 2]),
            *(left + edge for edge in self.col_edges[col : col + 2]),
        )
        # A network may return NaN or infinity.
        with np.errstate(invalid="ignore", over="ignore"):
            data, valid = self._merged(region)
        valid &= np.isfinite(data).all(axis=0)
        return stored(self.output, data, valid), valid

    def _merged(self, region: Region) -> Tile:
        plan = self._job.plan
        buffer = RowBuffer(self.output.bands, plan.out_rows, plan.out_cols, region, compared=False)
        data = np.zeros((self.output.bands, region.height, region.width), np.float32)
        valid = np.zeros(data.shape[1:], bool)
        for row in buffer.tile_rows:
            buffer.begin(np.zeros_like(buffer.valid))
            for col in buffer.tile_cols:
                tile, known = self._tile((row, col))
                buffer.add(row, col, tile)
                at = plan.out_cols.starts[col] - buffer.left
                buffer.valid[:, at : at + plan.out_cols.tile] = known
            for top, values, seen in buffer.finish(row):
                rows = slice(top - region.top, top - region.top + len(seen))
                data[:, rows], valid[rows] = values, seen
        return data, valid

    def _tile(self, place: Place) -> Tile:
        """Return the translation of a tile and its validity; zeros for one without valid pixels."""
        found = self._tiles.pop(place, None) or self._translated(place)
        axes = self._job.plan.out_rows, self._job.plan.out_cols
        if any(axis.ramp for axis in axes):  # cropped tiles belong to one block alone
            self._tiles[place] = found
            while len(self._tiles) > max(TILE_BYTES // found[0].nbytes, 4):
                self._tiles.popitem(last=False)
        return found

    def _translated(self, place: Place) -> Tile:
        job = self._job
        scene = SceneTiles(self._source, job.plan, job.reading.fill, _nothing_once)
        values, valid = scene.tile(place)
        if job.reading.aoi is not None:
            valid = valid & inside(job.reading.aoi, self._source, scene.window(place))
        known = valid if job.plan.factor == 1 else valid_at(valid, job.plan.factor)
        if not known.any():
            sides = job.plan.out_rows.tile, job.plan.out_cols.tile
            return np.zeros((job.output.bands, *sides), np.float32), known
        return translate_tiles(job, TileBatch([place], values[None]))[0], known


def _edges(axis: Axis, first: int, last: int) -> tuple[int, ...]:
    """Return the first pixel of every block and the end, counted from the first written pixel.

    Args:
        axis: Tiles of the output.
        first: First written pixel.
        last: Pixel after the last written one.
    """
    written = WrittenAxis(axis, first, last)
    return (0, *written.edges.tolist(), len(written))


def _prescanned(job: Job, source: RasterReader, *, progress: bool) -> Job:
    """Return the job with an `apply` that has scanned the scene, if it needs to."""
    if not hasattr(job.apply, "prescan"):
        return job
    with tempfile.TemporaryDirectory(prefix="geotranslate.") as folder:

        def once(name: str, make: Callable[[Path], None]) -> Path:
            make(Path(folder, name))
            return Path(folder, name)

        scene = SceneTiles(source, job.plan, job.reading.fill, once, job.stripes, progress)
        return replace(job, apply=job.apply.prescan(scene))


def _nothing_once(name: str, make: Callable[[Path], None]) -> Path:
    raise AssertionError("Tiles alone need no file.")
