"""Compute the parts of an output on whatever executes functions."""

from __future__ import annotations

import math
import queue
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from geotranslate.errors import GeotranslateError, TranslationError, said
from geotranslate.raster.pipeline.job import Job, compute
from geotranslate.raster.pipeline.result import Seconds
from geotranslate.raster.pipeline.translate_options import Executor, Future
from geotranslate.raster.writing import unwritten

LOOK = 1.0
"""Seconds after which a worker looks whether its part is still asked for."""

GO_ON = "go on with resume=True (--resume)"


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
    done: queue.Queue[Future] = queue.Queue()
    futures: list[Future] = []
    seconds = Seconds()
    # A name of its own: Dask takes equal calls for one, and a failed one for failed for ever.
    asked = job.folder / f"{uuid.uuid4().hex}.asked"
    try:
        asked.touch()
    except OSError as error:
        raise unwritten(job.folder, "written", error, asked) from error
    try:
        for part in parts:
            futures.append(_submit(executor, job, part, asked))
            futures[-1].add_done_callback(done.put)
        for _ in futures:
            tiles, taken = _result(done.get())
            seconds.add(taken)
            told(tiles)
    except BaseException:
        asked.unlink(missing_ok=True)
        _stop(futures)
        raise
    asked.unlink(missing_ok=True)
    return seconds


def _submit(executor: Executor, job: Job, part: int, asked: Path) -> Future:
    try:
        return executor.submit(_compute_one, job, part, asked)
    except Exception as error:
        raise TranslationError(
            f"The executor takes no work: {type(error).__name__}: {said(error)}. Give one that is "
            f"running; {GO_ON}."
        ) from error


def _stop(futures: Sequence[Future]) -> None:
    """Cancel what has not begun and wait for the rest, which would write into a later run."""
    # Dask says nothing as it cancels, and lets nobody wait for what still runs.
    running = [future for future in futures if future.cancel() is False]
    for future in running:
        with suppress(Exception):
            future.result()


def _compute_one(job: Job, part: int, asked: Path) -> tuple[int, Seconds]:
    """Compute one part as long as a file is there; return its number of tiles and its time."""
    tiles, looked = 0, -math.inf

    def count(more: int) -> None:
        nonlocal tiles, looked
        tiles += more
        if time.monotonic() - looked > LOOK:
            looked = time.monotonic()
            if not asked.exists():
                raise TranslationError("The run that asked for this part has ended; start it anew.")

    count(0)
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
            f"A worker of the executor failed: {type(error).__name__}: {said(error)}. The parts "
            f"that are finished stay: {GO_ON}."
        ) from error
