"""Computation of parts by an executor, in other processes or on other machines."""

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
"""Seconds after which a worker checks whether its part is still wanted."""

GO_ON = "go on with resume=True (--resume)"


def compute_everywhere(
    job: Job, parts: list[int], executor: Executor, told: Callable[[int], None]
) -> Seconds:
    """Submit every part as a call of its own; any failure cancels the calls that have not begun.

    Args:
        job: The job. Workers need to reach its raster and the folder of the parts by the same
            names.
        parts: Numbers of the parts.
        executor: The executor.
        told: Called with the number of tiles finished since the last call.
    """
    done: queue.Queue[Future] = queue.Queue()
    futures: list[Future] = []
    seconds = Seconds()
    # A unique name, as Dask merges equal calls, and remembers failed ones.
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
    """Cancel calls that have not begun; wait for others, which would disturb a later run."""
    # Dask returns None from `cancel`, and its running calls cannot be waited for.
    running = [future for future in futures if future.cancel() is False]
    for future in running:
        with suppress(Exception):
            future.result()


def _compute_one(job: Job, part: int, asked: Path) -> tuple[int, Seconds]:
    """Compute one part while a file exists; return its number of tiles and its times."""
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
