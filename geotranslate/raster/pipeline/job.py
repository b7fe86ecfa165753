"""Computation of parts: tiles are prefetched, translated, merged and written."""

from __future__ import annotations

import json
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geotranslate.errors import GeotranslateError, InvalidInputError, TranslationError, said
from geotranslate.memory import reused_memory
from geotranslate.raster.opening import RasterLike, limited_cache
from geotranslate.raster.pipeline.prefetch import (
    Prefetch,
    TileBatch,
    TileRow,
    WriteBehind,
    read_tiles,
)
from geotranslate.raster.pipeline.prescan import Batch
from geotranslate.raster.pipeline.result import PartReport, Seconds
from geotranslate.raster.pipeline.translate_options import ReadOptions
from geotranslate.raster.reader import RasterReader
from geotranslate.raster.tiling import (
    RECIPE_TAG,
    REPORT_TAG,
    Mismatch,
    Plan,
    Region,
    RowBuffer,
)
from geotranslate.raster.writing import OutputProfile, PartFile, part_path


@dataclass(frozen=True)
class Job:
    """Everything needed to compute parts of an output, on this machine or another."""

    raster: RasterLike
    reading: ReadOptions
    """Bands, area and fill value, checked against the raster."""
    apply: Any
    """An `AnyApply`; a `NeedsPrescan` until `executors.run` has let it scan the scene."""
    plan: Plan
    output: OutputProfile
    folder: Path
    """Folder of the parts."""
    batch_size: int = 4
    stripes: int = 1
    """Stripes that a part is cut into, so that a wide scene fits into memory."""
    mark: str = ""
    """Identifies the output that the parts belong to; it is written into their files."""

    def open_source(self) -> RasterReader:
        """Open the raster with the bands to translate."""
        return RasterReader(self.raster, self.reading.bands)

    def regions(self, parts: range) -> Iterator[Region]:
        """Yield the regions to compute in order: all parts at once if one stripe is enough."""
        plan = self.plan
        wanted = [plan.parts[part] for part in parts]
        left, right = plan.region.left, plan.region.right
        if self.stripes == 1:
            yield Region(wanted[0].start, wanted[-1].stop, left, right)
            return
        for rows in wanted:
            yield from plan.stripes(Region(rows.start, rows.stop, left, right), self.stripes)


def compute(job: Job, parts: range, told: Callable[[int], None] = lambda tiles: None) -> Seconds:
    """Compute consecutive parts; each appears in the job's folder when it is complete.

    Args:
        job: The job.
        parts: Numbers of the parts, without gaps.
        told: Called with the number of tiles finished since the last call.

    Raises:
        RasterFileError: The raster cannot be read, or a part cannot be written.
        TranslationError: `apply` failed; the message names the tile.
        InvalidInputError: `apply` returned an array of a wrong shape.
    """
    seconds = Seconds()
    began = time.perf_counter()
    files = _PartFiles(job, parts)
    with (
        reused_memory(),
        job.open_source() as source,
        limited_cache(job.plan.region.width, source.depth + job.output.depth),
    ):
        try:
            for region in job.regions(parts):
                _compute_region(job, source, region, files, told, seconds)
        finally:
            files.discard()
    seconds.total = time.perf_counter() - began
    return seconds


def _compute_region(
    job: Job,
    source: RasterReader,
    region: Region,
    files: _PartFiles,
    told: Callable[[int], None],
    seconds: Seconds,
) -> None:
    merger = _Merger(job, region, files, told)
    tiles = read_tiles(source, job.plan, region, job.reading, job.batch_size)
    with WriteBehind(merger.take) as behind, Prefetch(tiles) as ahead:
        for item in ahead:
            if isinstance(item, TileRow):
                behind.put(item)
                continue
            began = time.perf_counter()
            translated = translate_tiles(job, item)
            seconds.apply += time.perf_counter() - began
            behind.put(TileBatch(item.places, translated))
    seconds.read += ahead.busy
    seconds.write += behind.busy
    seconds.waited += ahead.waited + behind.waited


def translate_tiles(job: Job, batch: TileBatch) -> Batch:
    """Return the translations of tiles.

    Raises:
        TranslationError: `apply` failed; the message names the tile.
        InvalidInputError: `apply` returned an array of a wrong shape.
    """
    try:
        placed = getattr(job.apply, "needs_places", False)
        given = job.apply(batch.values, *([batch.places] if placed else []))
        # Results wait to be written while `apply` may reuse their memory.
        returned = given if given is batch.values else np.array(given, np.float32)
    except GeotranslateError:
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {said(error)}"
        raise TranslationError(f"Translating {_named(batch)} failed: {why}.") from error
    sides = job.plan.out_rows.tile, job.plan.out_cols.tile
    expected = (len(batch.places), job.output.bands, *sides)
    if returned.shape != expected:
        raise InvalidInputError(
            f"apply returned {returned.shape} for {batch.values.shape}, {_named(batch)}; it has "
            f"to return {expected}."
        )
    return returned


def _named(batch: TileBatch) -> str:
    """Return the words for the tiles of a batch in a sentence."""
    row, col = batch.places[0]
    tile = f"the tile in tile row {row}, tile column {col}"
    if len(batch.places) > 1:
        tile += f" or one of the {len(batch.places) - 1} after it"
    return tile


class _Merger:
    """Merges rows and batches of translated tiles in order; writes finished rows."""

    def __init__(
        self, job: Job, region: Region, files: _PartFiles, told: Callable[[int], None]
    ) -> None:
        plan = job.plan
        self.buffer = RowBuffer(
            job.output.bands, plan.out_rows, plan.out_cols, region, plan.part_of
        )
        self.plan, self.region, self.files, self.told = plan, region, files, told
        self._rows: deque[TileRow] = deque()
        self._missing = 0
        self._own_rows, self._own_cols = plan.owned(region)

    def take(self, item: TileRow | TileBatch) -> None:
        # A network may return NaN or infinity, which are counted as they are written.
        with np.errstate(invalid="ignore", over="ignore"):
            if isinstance(item, TileRow):
                self._rows.append(item)
                if len(self._rows) == 1:
                    self._begin()
                return
            for (row, col), tile in zip(item.places, item.values, strict=True):
                self.buffer.add(row, col, tile)
                self.told(row in self._own_rows and col in self._own_cols)
                self._missing -= 1
                if not self._missing:
                    self._finish()
                    self._begin()

    def _begin(self) -> None:
        """Begin the next row of tiles; finish rows that have no tiles to translate."""
        while self._rows:
            row = self._rows[0]
            self.buffer.begin(row.valid)
            self._missing = len(row.wanted)
            self._count(row)
            if self._missing:
                return
            self._finish()

    def _finish(self) -> None:
        for top, data, valid in self.buffer.finish(self._rows.popleft().row):
            self.files.write(top, self.region.left, data, valid, self.buffer.mismatches)

    def _count(self, row: TileRow) -> None:
        if row.row not in self._own_rows:
            return
        first = max(self.plan.out_rows.extents[row.row][0], self.plan.region.top)
        report = self.files.reports[self.plan.part_of(first)]
        own = len(self._own_cols)
        skipped = own - sum(col in self._own_cols for col in row.wanted)
        report.tiles += own
        report.skipped += skipped
        self.told(skipped)


class _PartFiles:
    """The files of the parts that are being computed."""

    def __init__(self, job: Job, parts: range) -> None:
        self._job = job
        # Reports are large: only incomplete parts have one.
        self.reports: defaultdict[int, PartReport] = defaultdict(PartReport)
        width = job.plan.region.width
        self._left = {part: len(job.plan.parts[part]) * width for part in parts}
        self._open: dict[int, PartFile] = {}

    def write(
        self,
        top: int,
        left: int,
        data: NDArray[np.float32],
        valid: NDArray[np.bool_],
        mismatches: dict[int, Mismatch],
    ) -> None:
        """Write finished rows to their parts, from a row and column of the scene on."""
        plan = self._job.plan
        finite = np.asarray(np.isfinite(data).all(axis=0))
        bottom = top + len(valid)
        for part in range(plan.part_of(top), plan.part_of(bottom - 1) + 1):
            rows = plan.parts[part]
            first, last = max(rows.start, top), min(rows.stop, bottom)
            at = slice(first - top, last - top)
            report = self.reports[part]
            report.lost += int((valid[at] & ~finite[at]).sum())
            report.mismatch.merge(mismatches.pop(part, Mismatch()))
            if part not in self._open:
                rows_in_output = range(rows.start - plan.region.top, rows.stop - plan.region.top)
                file = PartFile(part_path(self._job.folder, part), self._job.output, rows_in_output)
                file.open()
                self._open[part] = file
            self._open[part].write(
                first - plan.region.top,
                left - plan.region.left,
                data[:, at],
                valid[at] & finite[at],
            )
            self._left[part] -= (last - first) * valid.shape[1]
            if not self._left[part]:
                self._complete(part)

    def _complete(self, part: int) -> None:
        file = self._open.pop(part)
        report = json.dumps(self.reports.pop(part).to_json())
        file.describe({REPORT_TAG: report, RECIPE_TAG: self._job.mark})
        file.close()

    def discard(self) -> None:
        """Remove the files of incomplete parts."""
        for file in self._open.values():
            file.discard()
