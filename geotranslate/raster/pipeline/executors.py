"""Computation of a translation by executors and in shares."""

from __future__ import annotations

import itertools
import math
import multiprocessing
import queue
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import rasterio
from tqdm.auto import tqdm

from geotranslate.errors import GeotranslateError, TranslationError, said, warn
from geotranslate.raster.opening import limited_cache
from geotranslate.raster.pipeline.job import Job, compute
from geotranslate.raster.pipeline.parts import PartsFolder
from geotranslate.raster.pipeline.prescan import SceneTiles
from geotranslate.raster.pipeline.result import OutputSummary, Seconds, TranslatedRaster
from geotranslate.raster.pipeline.translate_options import Executor, Future, RunOptions
from geotranslate.raster.writing import unwritten

LOOK = 1.0
"""Seconds after which a worker checks whether its part is still wanted."""

GO_ON = "go on with resume=True (--resume)"


def compute_everywhere(
    job: Job, parts: list[int], executor: Executor, told: Callable[[int], None]
) -> Seconds:
    """Submit one call for every part; a failure cancels the calls that have not begun.

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
    with _one_thread_of_gdal():
        seconds = compute(job, range(part, part + 1), count)
    return tiles, seconds


def _one_thread_of_gdal() -> AbstractContextManager[Any]:
    """Keep GDAL from threads of its own in a process that another one has started.

    A forked process has none of the threads that GDAL started before, and would wait for them.
    """
    if multiprocessing.parent_process() is None:
        return nullcontext()
    return rasterio.Env(GDAL_NUM_THREADS="1")


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


def run(job: Job, parts: PartsFolder, options: RunOptions) -> TranslatedRaster:
    """Compute the parts that are missing; assemble the output, unless this is a share of it."""
    shared = options.part is not None
    share = _numbers_of(options.share, len(parts.rows))
    parts.start(resume=options.resume or shared)
    parts.remove_others(share)
    with parts.kept(shared=shared):
        seconds = _compute_missing(job, parts, share, options)
        if shared:
            idle = "" if share else _idle_sentence(parts, options.share)
            return result_of(parts, parts.total(share).summary(), seconds, idle)
        began = time.perf_counter()
        summary = parts.assemble()
        seconds.assemble = time.perf_counter() - began
        seconds.total += seconds.assemble
    return result_of(parts, summary, seconds)


def _compute_missing(job: Job, parts: PartsFolder, share: range, options: RunOptions) -> Seconds:
    missing = [number for number in parts.missing if number in share]
    known = parts.total(set(share) - set(missing)).tiles
    seconds = Seconds()
    if missing:
        began = time.perf_counter()
        job = _prescanned(job, parts, options.progress)
        seconds.apply = seconds.total = time.perf_counter() - began
    total = sum(map(job.plan.tiles_of, share))
    with tqdm(total=total, initial=known, unit="tile", disable=not options.progress) as bar:
        if options.executor is not None:
            seconds.add(compute_everywhere(job, missing, options.executor, bar.update))
        else:
            for numbers in _consecutive(missing):
                seconds.add(compute(job, numbers, bar.update))
    return seconds


def _prescanned(job: Job, parts: PartsFolder, progress: bool) -> Job:
    """Return the job with an `apply` that has scanned the scene, if it needs to."""
    if not hasattr(job.apply, "prescan"):
        return job
    with (
        job.open_source() as source,
        limited_cache(job.plan.region.width, source.depth),
    ):
        scene = SceneTiles(source, job.plan, job.reading.fill, parts.once, job.stripes, progress)
        return replace(job, apply=job.apply.prescan(scene))


def _idle_sentence(parts: PartsFolder, share: tuple[int, int]) -> str:
    """Return the warning for a share that has nothing to compute."""
    return (
        f"Share {share[0]}/{share[1]} of {parts.target} has nothing to compute, as the output has "
        f"{len(parts.rows)} part{'s' if len(parts.rows) > 1 else ''}; more shares than parts make "
        "nothing faster."
    )


def result_of(
    parts: PartsFolder, summary: OutputSummary, seconds: Seconds, idle: str = ""
) -> TranslatedRaster:
    """Return the result of an output or a share of it; warn of lost pixels and idle shares."""
    said = [idle] if idle else []
    if lost := summary.lost:
        said.append(
            f"{lost} valid pixels of {parts.target} were translated to NaN or infinity and are "
            "invalid in the output. Look at the source there, and at the model: did its losses "
            "stay finite?"
        )
    for sentence in said:
        warn(sentence)
    return TranslatedRaster(
        parts.target, parts.output.grid, seconds=seconds, warnings=tuple(said), **asdict(summary)
    )


def _consecutive(parts: Sequence[int]) -> Iterator[range]:
    """Yield ascending numbers as ranges without gaps."""
    for _, group in itertools.groupby(enumerate(parts), lambda pair: pair[1] - pair[0]):
        numbers = [number for _, number in group]
        yield range(numbers[0], numbers[-1] + 1)


def _numbers_of(share: tuple[int, int], count: int) -> range:
    """Return the numbers of the parts, of `count`, that belong to a share."""
    index, shares = share
    return range(count * (index - 1) // shares, count * index // shares)
