"""Compute the parts of an output on whatever executes functions."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any, Protocol

from geotranslate.errors import GeotranslateError, InvalidInputError, TranslationError
from geotranslate.raster.job import Job, compute
from geotranslate.raster.report import Seconds


class Future(Protocol):
    """What a submitted function becomes, in the standard library and in Dask."""

    def result(self) -> Any:
        """Return what the function returned, or raise what it raised."""

    def cancel(self) -> Any:
        """Try not to run the function any more."""

    def add_done_callback(self, callback: Callable[[Any], None], /) -> Any:
        """Have a function called with the future when it is done."""


class Executor(Protocol):
    """A `concurrent.futures.Executor` or a `dask.distributed.Client`."""

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Future:
        """Have a function called somewhere, some time."""


def compute_everywhere(
    job: Job, parts: list[int], executor: Executor, told: Callable[[int], None]
) -> Seconds:
    """Compute every part by a call of its own; any failure stops what has not begun.

    Args:
        job: What to compute. Its raster, and the folder of the parts, have to be reachable by the
            same names wherever the executor works.
        parts: Numbers of the parts.
        executor: What calls functions.
        told: Called with the number of tiles that are done.
    """
    if not callable(getattr(executor, "submit", None)):
        raise InvalidInputError(
            f"executor is {type(executor).__name__}, which has no submit(); give a "
            "concurrent.futures executor or a dask.distributed.Client."
        )
    done: queue.Queue[Future] = queue.Queue()
    futures = []
    for part in parts:
        future = executor.submit(_compute_one, job, part)
        future.add_done_callback(done.put)
        futures.append(future)
    seconds = Seconds()
    try:
        for _ in futures:
            tiles, taken = _result(done.get())
            seconds.add(taken)
            told(tiles)
    except BaseException:
        for future in futures:
            future.cancel()
        raise
    return seconds


def _compute_one(job: Job, part: int) -> tuple[int, Seconds]:
    """Compute one part; return its number of tiles and the time it took."""
    tiles = 0

    def count(more: int) -> None:
        nonlocal tiles
        tiles += more

    seconds = compute(job, range(part, part + 1), count)
    return tiles, seconds


def _result(future: Future) -> tuple[int, Seconds]:
    try:
        found: tuple[int, Seconds] = future.result()
        return found
    except GeotranslateError:
        raise
    except Exception as error:
        raise TranslationError(
            f"A worker of the executor failed: {type(error).__name__}: {error}. The parts that "
            "are finished stay: go on with resume=True."
        ) from error
