"""Strips of rows read by a prefetching thread, and results written by another."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from rasterio.features import geometry_mask
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from geotranslate.raster.factor import valid_at
from geotranslate.raster.pipeline.translate_options import ReadOptions
from geotranslate.raster.reader import RasterReader, fill_gaps
from geotranslate.raster.tiling import Place, Plan, Region

HIGHEST_BLOCK = 1024
"""Largest rows of a source's blocks for which strips end with a block, to decode it once."""

T = TypeVar("T")
WorkerT = TypeVar("WorkerT", bound="_Worker[Any]")
DEPTH = 2
"""Items that may wait between two threads."""
PATIENCE = 0.05
"""Seconds after which a waiting thread checks whether it should stop."""


@dataclass(frozen=True)
class TileRow:
    """Start of a row of tiles: the validity of its output pixels, and the tiles to translate."""

    row: int
    valid: NDArray[np.bool_]
    """Validity `(tile, columns of all its tiles)` of the pixels that are written."""
    wanted: tuple[int, ...]
    """Columns of the tiles with a valid pixel; the others are skipped."""


@dataclass(frozen=True)
class TileBatch:
    """Tiles to translate: their tile rows and columns, and values `(n, bands, tile, tile)`."""

    places: list[Place]
    values: NDArray[np.float32]


def read_tiles(
    source: RasterReader,
    plan: Plan,
    region: Region,
    reading: ReadOptions,
    batch_size: int,
) -> Iterator[TileRow | TileBatch]:
    """Yield the tiles of a region of the output in batches, from top to bottom and left to right.

    A `TileRow` precedes the first tile of its row. Tiles without a valid pixel to write are
    skipped.

    Args:
        source: The raster.
        plan: Its tiles.
        region: Region to write, in output pixels of the whole scene.
        reading: Value of invalid pixels, and the area outside of which all are invalid.
        batch_size: Tiles in a batch; the last one may have fewer.
    """
    places: list[Place] = []
    values: list[NDArray[np.float32]] = []
    tile_cols = plan.tiles_in(region)[1]
    left, tile = plan.cols.starts[tile_cols[0]], plan.cols.tile
    strips = read_strips(source, plan, *plan.tiles_in(region), reading.fill, reading.aoi)
    for row, data, valid in strips:
        written = _written(plan, region, row, valid)
        at = {col: plan.cols.starts[col] - left for col in tile_cols}
        out = {col: plan.out_cols.starts[col] - plan.out_cols.starts[tile_cols[0]] for col in at}
        across = plan.out_cols.tile
        wanted = [col for col in tile_cols if written[:, out[col] : out[col] + across].any()]
        yield TileRow(row, written, tuple(wanted))
        for col in wanted:
            places.append((row, col))
            values.append(data[:, :, at[col] : at[col] + tile])
            if len(places) == batch_size:
                yield TileBatch(places, np.stack(values))
                places, values = [], []
        # Views of waiting tiles would keep the whole strip in memory.
        values = [value.copy() for value in values]
    if places:
        yield TileBatch(places, np.stack(values))


def read_strips(
    source: RasterReader,
    plan: Plan,
    tile_rows: range,
    tile_cols: range,
    fill: float | Sequence[float],
    aoi: BaseGeometry | None,
) -> Iterator[tuple[int, NDArray[np.float32], NDArray[np.bool_]]]:
    """Yield the number, filled values and validity of each tile row; shared rows are kept.

    The next row overwrites the arrays.
    """
    rows, cols = plan.rows, plan.cols
    left, width = cols.starts[tile_cols[0]], cols.starts[tile_cols[-1]] + cols.tile
    width -= left
    block = source.dataset.block_shapes[0][0]
    block = block if block <= HIGHEST_BLOCK else 1
    # One array for all strips, and small dtypes as they are, halve the memory for reading.
    small = np.dtype(source.dtype).itemsize < 4
    data = np.empty((source.bands, rows.tile + block, width), np.float32)
    valid = np.empty(data.shape[1:], bool)
    top = bottom = rows.starts[tile_rows[0]]
    for row in tile_rows:
        start = rows.starts[row]
        stop = start + rows.tile
        if stop > bottom:
            held, place = slice(start - top, bottom - top), slice(0, bottom - start)
            data[:, place], valid[place] = data[:, held], valid[held]
            end = max(stop, min(-(-stop // block) * block, rows.size))
            window = Window(left, bottom, width, end - bottom)
            place = slice(bottom - start, end - start)
            fresh, fresh_valid = source.read(window, None if small else "float32")
            data[:, place] = fill_gaps(fresh, fresh_valid, fill)
            valid[place] = fresh_valid
            if aoi is not None:
                valid[place] &= inside(aoi, source, window)
            top, bottom = start, end
        yield row, data[:, start - top : stop - top], valid[start - top : stop - top]


def inside(aoi: BaseGeometry, source: RasterReader, window: Window) -> NDArray[np.bool_]:
    """Return the pixels of a window of a raster whose centers lie in an area."""
    grid = source.grid.crop(window)
    return geometry_mask([aoi], (grid.height, grid.width), grid.transform, invert=True)


def _written(plan: Plan, region: Region, row: int, valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the output pixels of a row of tiles that are valid and lie in the written region."""
    valid = valid.copy() if plan.factor == 1 else valid_at(valid, plan.factor)
    top = plan.out_rows.starts[row]
    left = plan.out_cols.starts[plan.tiles_in(region)[1][0]]
    valid[: max(plan.region.top - top, 0)] = False
    valid[max(plan.region.bottom - top, 0) :] = False
    valid[:, : max(plan.region.left - left, 0)] = False
    valid[:, max(plan.region.right - left, 0) :] = False
    return valid


class _Worker(Generic[T]):
    """A thread and a bounded queue; its errors are raised in the caller."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Any] = queue.Queue(DEPTH)
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._guarded, daemon=True)
        self.busy = 0.0
        """Seconds that its thread worked."""
        self.waited = 0.0
        """Seconds that the caller waited for it."""

    def __enter__(self: WorkerT) -> WorkerT:
        self._thread.start()
        return self

    def _guarded(self) -> None:
        try:
            self._run()
        except BaseException as error:
            self._error = error

    def _run(self) -> None:
        raise NotImplementedError

    def _put(self, item: Any) -> bool:
        """Put an item into the queue; return False if the thread has to stop."""
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=PATIENCE)
                return True
            except queue.Full:
                continue
        return False

    def _get(self) -> Any:
        """Return the next item, None after the last one."""
        while True:
            # Checked before the queue, as a thread may put its last item and end in between.
            ended = not self._thread.is_alive()
            try:
                return self._queue.get(timeout=PATIENCE)
            except queue.Empty:
                if ended:
                    return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()


class Prefetch(_Worker[T]):
    """Iterate over items that a thread produces while the caller works on earlier ones.

    Args:
        items: Iterable that the thread iterates over.
    """

    def __init__(self, items: Iterable[T]) -> None:
        super().__init__()
        self._items = items

    def _run(self) -> None:
        began = time.perf_counter()
        for item in self._items:
            self.busy += time.perf_counter() - began
            if not self._put((item,)):
                return
            began = time.perf_counter()
        self._put(None)

    def __iter__(self) -> Iterator[T]:
        while True:
            began = time.perf_counter()
            found = self._get()
            self.waited += time.perf_counter() - began
            if found is None:
                break
            yield found[0]
        if self._error is not None:
            raise self._error


class WriteBehind(_Worker[T]):
    """Hand items to a thread that processes them in order while the caller makes the next.

    The end of the `with` block waits until all items are processed, unless an error was raised.

    Args:
        work: Function that the thread calls with each item.
    """

    def __init__(self, work: Callable[[T], None]) -> None:
        super().__init__()
        self._work = work

    def _run(self) -> None:
        while (found := self._get_next()) is not None:
            began = time.perf_counter()
            self._work(found[0])
            self.busy += time.perf_counter() - began

    def _get_next(self) -> Any:
        while not self._stop.is_set():
            try:
                return self._queue.get(timeout=PATIENCE)
            except queue.Empty:
                continue
        return None

    def put(self, item: T) -> None:
        """Hand over an item; wait while the queue is full."""
        began = time.perf_counter()
        self._offer((item,))
        self.waited += time.perf_counter() - began

    def _offer(self, item: Any) -> None:
        while True:
            if self._error is not None:
                raise self._error
            try:
                self._queue.put(item, timeout=PATIENCE)
                return
            except queue.Full:
                continue

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                began = time.perf_counter()
                self._offer(None)
                self._thread.join()
                self.waited += time.perf_counter() - began
        finally:
            super().__exit__(kind, error, trace)
        if kind is None and self._error is not None:
            raise self._error
