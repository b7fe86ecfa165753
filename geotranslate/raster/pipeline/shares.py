"""Compute a share of an output's parts, or all, and put the output together."""

from __future__ import annotations

import itertools
import reprlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from tqdm.auto import tqdm

from geotranslate.errors import InvalidInputError, warn
from geotranslate.raster.opening import limited_cache
from geotranslate.raster.pipeline.executors import Executor, compute_everywhere
from geotranslate.raster.pipeline.job import Job, compute
from geotranslate.raster.pipeline.parts import PartsFolder
from geotranslate.raster.pipeline.prescan import SceneTiles
from geotranslate.raster.pipeline.result import Seconds, TranslatedRaster
from geotranslate.raster.reader import RasterReader


def run(
    job: Job,
    parts: PartsFolder,
    executor: Executor | None,
    part: str | tuple[int, int] | None,
    progress: bool,
    resume: bool,
) -> TranslatedRaster:
    """Compute the parts that are missing and put the output together."""
    share = _share(part, len(parts.rows))
    parts.start(resume=resume or part is not None)
    parts.remove_others(share)
    with parts.kept(shared=part is not None):
        missing = [number for number in parts.missing if number in share]
        known = parts.total(set(share) - set(missing)).tiles
        began = time.perf_counter()
        if missing:
            job = _prescanned(job, parts, progress)
        looked = time.perf_counter() - began
        with tqdm(
            total=sum(map(job.plan.tiles_of, share)),
            initial=known,
            unit="tile",
            disable=not progress,
        ) as bar:
            if executor is not None:
                seconds = compute_everywhere(job, missing, executor, bar.update)
            else:
                seconds = Seconds()
                for numbers in _runs(missing):
                    seconds.add(compute(job, numbers, bar.update))
            seconds.add(Seconds(apply=looked, total=looked))
        if part is not None:
            idle = "" if share else _idle(parts, part)
            return result_of(parts, parts.total(share).summary(), seconds, idle)
        began = time.perf_counter()
        summary = parts.assemble()
        seconds.assemble = time.perf_counter() - began
        seconds.total += seconds.assemble
    return result_of(parts, summary, seconds)


def _prescanned(job: Job, parts: PartsFolder, progress: bool) -> Job:
    """Return the job with an `apply` that has looked at the scene, if it wants to."""
    if not hasattr(job.apply, "prescan"):
        return job
    with (
        RasterReader(job.raster, job.bands) as source,
        limited_cache(job.plan.region.width, source.depth),
    ):
        scene = SceneTiles(source, job.plan, job.fill, parts.once, job.stripes, progress)
        return replace(job, apply=job.apply.prescan(scene))


def remove_left_parts(parts: PartsFolder, part: object) -> None:
    """Remove the parts of an output that was complete when its run was killed."""
    if part is None and parts.path.exists():
        with parts.alone():
            parts.remove()


def _idle(parts: PartsFolder, part: str | tuple[int, int]) -> str:
    """Return the sentence for a share that has nothing to compute."""
    share = part if isinstance(part, str) else "/".join(map(str, part))
    return (
        f"Share {share} of {parts.target} has nothing to compute, as the output has "
        f"{len(parts.rows)} part{'s' if len(parts.rows) > 1 else ''}; more shares than parts make "
        "nothing faster."
    )


def result_of(
    parts: PartsFolder, summary: dict[str, Any], seconds: Seconds, idle: str = ""
) -> TranslatedRaster:
    """Return what is known of an output or a share of it; warn of what is amiss."""
    said = [idle] if idle else []
    if lost := summary["lost"]:
        said.append(
            f"{lost} valid pixels of {parts.target} were translated to NaN or infinity and are "
            "invalid in the output. Look at the source there, and at the model: did its losses "
            "stay finite?"
        )
    for sentence in said:
        warn(sentence)
    return TranslatedRaster(
        parts.target, parts.output.grid, seconds=seconds, warnings=tuple(said), **summary
    )


def _runs(parts: Sequence[int]) -> Iterator[range]:
    """Yield numbers as ranges without gaps."""
    for _, group in itertools.groupby(enumerate(parts), lambda pair: pair[1] - pair[0]):
        numbers = [number for _, number in group]
        yield range(numbers[0], numbers[-1] + 1)


def _share(part: str | tuple[int, int] | None, count: int) -> range:
    """Return which of `count` parts a share is, all where none is asked for."""
    if part is None:
        return range(count)
    try:
        numbers = part.split("/") if isinstance(part, str) else part
        index, shares = (int(number) for number in numbers)
    except (TypeError, ValueError, OverflowError):
        index = shares = 0
    if not 1 <= index <= shares:
        raise InvalidInputError(
            f"part is {reprlib.repr(part)}; give the share to compute and their number, such as "
            "3/16."
        )
    return range(count * (index - 1) // shares, count * index // shares)
