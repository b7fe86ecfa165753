"""Store of the blocks of a translation, which one thread computes when they are asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from geotranslate.memory import reused_memory

Pixels: TypeAlias = "np.ma.MaskedArray[tuple[int, ...], np.dtype[np.generic]]"
"""Values `(bands, rows, cols)` with the mask of invalid pixels."""

Key: TypeAlias = tuple[int, int]
"""Numbers of a block down and across the output."""

REDUCED = 8
"""Pixels of a block along an axis that become one pixel of its reduced copy."""

SHARE = 16
"""The reduced copies of blocks may take one of so many parts of the memory."""


@dataclass
class _Wanted:
    """A block that is asked for, and the number of those who wait for it."""

    people: int = 0
    future: Future[Pixels] = field(default_factory=Future)


class Recent:
    """Blocks that were used last, up to a number of bytes.

    Args:
        most: Bytes of all blocks together; the last one is kept even if it is larger.
    """

    def __init__(self, most: int) -> None:
        self.most, self.bytes = most, 0
        self._blocks: OrderedDict[Key, Pixels] = OrderedDict()

    def put(self, key: Key, pixels: Pixels) -> None:
        """Keep a block, and drop those that were not used for longest."""
        if key in self._blocks:
            return
        self._blocks[key] = pixels
        self.bytes += _size(pixels)
        while self.bytes > self.most and len(self._blocks) > 1:
            self.bytes -= _size(self._blocks.popitem(last=False)[1])

    def get(self, key: Key) -> Pixels | None:
        """Return a block if it is there, which is then the one used last."""
        if key in self._blocks:
            self._blocks.move_to_end(key)
        return self._blocks.get(key)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._blocks)

    def __len__(self) -> int:
        return len(self._blocks)


class BlockStore:
    """Blocks of a translation: those used last are kept, others are computed by one thread.

    The thread takes the block that was asked for last, so that what somebody looks at now comes
    first. Blocks for which nobody waits any more are not computed. Any thread may use the store.

    Args:
        compute: Function from the numbers of a block to its values and validity, see
            `SceneBlocks.block`. Only the thread of the store calls it.
        reduce: Function that returns a smaller copy of a block, `REDUCED` pixels in one.
        max_memory: Bytes for the blocks that are kept.
    """

    def __init__(
        self,
        compute: Callable[[int, int], tuple[NDArray[np.generic], NDArray[np.bool_]]],
        reduce: Callable[[Pixels, int], Pixels],
        max_memory: int,
    ) -> None:
        self._compute, self._reduce = compute, reduce
        self.blocks = Recent(max_memory - max_memory // SHARE)
        """Blocks that are kept."""
        self.reduced = Recent(max_memory // SHARE)
        """Smaller copies of blocks that are kept, or were kept before."""
        self._wanted: OrderedDict[Key, _Wanted] = OrderedDict()
        self._changed = threading.Condition()
        self._closed = False
        self.computed = 0
        """Number of blocks that were computed."""
        self._thread = threading.Thread(target=self._work, name="geotranslate.livemap", daemon=True)
        self._thread.start()

    def get(self, keys: Iterable[Key]) -> dict[Key, Pixels]:
        """Return blocks; compute those that are missing.

        Raises:
            GeotranslateError: A block cannot be computed.
        """
        with self.wanted(keys) as futures:
            return {key: future.result() for key, future in futures.items()}

    @contextmanager
    def wanted(self, keys: Iterable[Key]) -> Iterator[Mapping[Key, Future[Pixels]]]:
        """Yield futures of blocks, which are computed as long as the `with` block lasts."""
        found = {key: self._ask(key) for key in keys}
        try:
            yield {key: wanted.future for key, wanted in found.items()}
        finally:
            with self._changed:
                for key, wanted in found.items():
                    wanted.people -= 1
                    if not wanted.people and self._wanted.get(key) is wanted:
                        del self._wanted[key]

    @property
    def waiting(self) -> int:
        """Number of blocks that are asked for and not computed yet."""
        with self._changed:
            return len(self._wanted)

    def finished(self, rows: range, cols: range) -> dict[Key, Pixels]:
        """Return the blocks in some rows and columns that are kept at full size."""
        return self._kept(self.blocks, rows, cols)

    def finished_reduced(self, rows: range, cols: range) -> dict[Key, Pixels]:
        """Return the smaller copies of blocks in some rows and columns that are kept."""
        return self._kept(self.reduced, rows, cols)

    def _kept(self, kept: Recent, rows: range, cols: range) -> dict[Key, Pixels]:
        with self._changed:
            found = {key: kept.get(key) for key in list(kept) if key[0] in rows and key[1] in cols}
        return {key: pixels for key, pixels in found.items() if pixels is not None}

    def _ask(self, key: Key) -> _Wanted:
        with self._changed:
            wanted = self._wanted.pop(key, None) or _Wanted()
            wanted.people += 1
            kept = self.blocks.get(key)
            if kept is not None:
                wanted.future.set_result(kept)
                return wanted
            self._wanted[key] = wanted  # the last one is computed first
            self._changed.notify()
            return wanted

    def _work(self) -> None:
        with reused_memory():
            while (taken := self._next()) is not None:
                self._answer(*taken)

    def _next(self) -> tuple[Key, _Wanted] | None:
        """Return the block that was asked for last; None after the store was closed."""
        with self._changed:
            while not self._closed:
                if self._wanted:
                    key = next(reversed(self._wanted))
                    return key, self._wanted[key]
                self._changed.wait()
            return None

    def _answer(self, key: Key, wanted: _Wanted) -> None:
        error: BaseException | None = None
        try:
            values, valid = self._compute(*key)
            pixels = np.ma.MaskedArray(values, np.broadcast_to(~valid, values.shape))
            reduced = self._reduce(pixels, REDUCED)
        except BaseException as caught:
            error = caught
        with self._changed:
            if error is None:
                self.computed += 1
                self.blocks.put(key, pixels)
                self.reduced.put(key, reduced)
            # Somebody may have asked anew after the first ones had gone.
            others = self._wanted.pop(key, wanted)
        for each in {id(wanted): wanted, id(others): others}.values():
            if error is None:
                each.future.set_result(pixels)
            else:
                each.future.set_exception(error)

    def close(self) -> None:
        """Stop the thread after the block that it computes; those who wait get an error."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        with self._changed:
            for wanted in self._wanted.values():
                wanted.future.set_exception(RuntimeError("The map has been closed."))
            self._wanted.clear()


def _size(pixels: Pixels) -> int:
    # The mask of all bands is one array, repeated without memory of its own.
    return pixels.nbytes + pixels[0].size
