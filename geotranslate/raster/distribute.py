"""Compute the parts of an output on whatever executes functions."""

from __future__ import annotations

import queue
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from geotranslate.errors import GeotranslateError, InvalidInputError, TranslationError
from geotranslate.raster.job import Job, compute
from geotranslate.raster.report import Seconds

GO_ON = "go on with resume=True (--resume)"


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
    futures: list[Future] = []
    seconds = Seconds()
    # Dask takes equal calls for one, and a failed one for failed for ever.
    call = uuid.uuid4().hex
    try:
        for part in parts:
            futures.append(_submit(executor, job, part, call))
            futures[-1].add_done_callback(done.put)
        for _ in futures:
            tiles, taken = _result(done.get())
            seconds.add(taken)
            told(tiles)
    except BaseException:
        _stop(futures)
        raise
    return seconds


def _submit(executor: Executor, job: Job, part: int, call: str) -> Future:
    try:
        return executor.submit(_compute_one, job, part, call)
    except Exception as error:
        raise TranslationError(
            f"The executor takes no work: {type(error).__name__}: {error}. Give one that is "
            f"running; {GO_ON}."
        ) from error


def _stop(futures: Sequence[Future]) -> None:
    """Cancel what has not begun and wait for the rest, which would write into a later run."""
    # Dask says nothing as it cancels, and lets nobody wait for what still runs.
    running = [future for future in futures if future.cancel() is False]
    for future in running:
        with suppress(Exception):
            future.result()


def _compute_one(job: Job, part: int, call: str) -> tuple[int, Seconds]:
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
            f"are finished stay: {GO_ON}."
        ) from error
