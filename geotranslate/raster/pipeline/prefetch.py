"""Stages that overlap: one thread works ahead of the caller, one behind it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")
StageT = TypeVar("StageT", bound="_Stage[Any]")
DEPTH = 2
"""Items that may wait between two threads."""
PATIENCE = 0.05
"""Seconds after which a waiting thread looks whether it should stop."""


class _Stage(Generic[T]):
    """A thread and a queue of bounded length; whatever fails in it is raised in the caller."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Any] = queue.Queue(DEPTH)
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._guarded, daemon=True)
        self.busy = 0.0
        """Seconds that its thread worked."""
        self.waited = 0.0
        """Seconds that the caller waited for it."""

    def __enter__(self: StageT) -> StageT:
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
        """Put an item into the queue; return False where it is not wanted any more."""
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=PATIENCE)
                return True
            except queue.Full:
                continue
        return False

    def _get(self) -> Any:
        """Return the next item; None where no more come."""
        while True:
            # Asked before the queue: what a thread puts last may come as it ends.
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


class Prefetch(_Stage[T]):
    """Iterate over items that a thread makes while the caller works on the earlier ones.

    Args:
        items: What to iterate over, in the thread.
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


class WriteBehind(_Stage[T]):
    """Hand items to a thread that works on them in order while the caller makes the next.

    Leaving the `with` block without an error waits until all are worked on.

    Args:
        work: What to do with an item, in the thread.
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
        """Hand over an item; wait while too many wait already."""
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
