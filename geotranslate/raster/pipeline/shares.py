"""Run of a translation: a share of the parts, or all of them and the output."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

from tqdm.auto import tqdm

from geotranslate.errors import warn
from geotranslate.raster.opening import limited_cache
from geotranslate.raster.pipeline.executors import compute_everywhere
from geotranslate.raster.pipeline.job import Job, compute
from geotranslate.raster.pipeline.parts import PartsFolder
from geotranslate.raster.pipeline.prescan import SceneTiles
from geotranslate.raster.pipeline.result import OutputSummary, Seconds, TranslatedRaster
from geotranslate.raster.pipeline.translate_options import RunOptions


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
