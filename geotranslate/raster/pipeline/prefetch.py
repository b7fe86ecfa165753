"""Threads that read ahead of the caller and write behind it."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")
WorkerT = TypeVar("WorkerT", bound="_Worker[Any]")
DEPTH = 2
"""Items that may wait between two threads."""
PATIENCE = 0.05
"""Seconds after which a waiting thread checks whether it should stop."""


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
