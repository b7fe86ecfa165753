"""Fingerprints of everything that the pixels of an output depend on."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.windows import Window

from geotranslate.raster.pipeline.translate_options import ReadOptions
from geotranslate.raster.reader import RasterReader, fill_gaps
from geotranslate.raster.tiling import Plan
from geotranslate.raster.writing import OutputProfile

LOOKS, LOOK = 4, 64
"""Number of windows along each axis that identify a raster, and their side in px."""


def recipe_of(
    source: RasterReader,
    plan: Plan,
    output: OutputProfile,
    reading: ReadOptions,
    identity: str | Mapping[str, str],
) -> dict[str, str]:
    """Return digests of everything the written pixels depend on, by names that users know."""
    named = {"model": identity} if isinstance(identity, str) else identity
    facts = {name: fact for name, fact in output.to_json().items() if name != "tags"}
    grid = source.grid
    scene = [grid.crs and grid.crs.to_wkt(), grid.transform[:6], grid.height, grid.width]
    return {
        "scene": digest([*scene, source.indexes, source.dtype]),
        "raster": fingerprint(source, plan.window),
        **{name: digest(value) for name, value in named.items()},
        "tiling": digest([asdict(plan.rows), asdict(plan.cols), plan.factor, plan.part_rows]),
        "area": digest([asdict(plan.region), None if reading.aoi is None else reading.aoi.wkb_hex]),
        "kind of output": digest([facts, np.atleast_1d(reading.fill).tolist()]),
    }


def fingerprint(source: RasterReader, window: Window) -> str:
    """Return a digest of a raster's name and of some pixels of a window.

    It is the same on every machine and for every format, and needs no file.
    """
    seen = hashlib.sha256(_plain_name(source.name).encode())
    tops, lefts = (
        np.unique(np.linspace(0, max(size - LOOK, 0), LOOKS).astype(int)).tolist()
        for size in (int(window.height), int(window.width))
    )
    height, width = (min(int(size), LOOK) for size in (window.height, window.width))
    for top in tops:
        for left in lefts:
            place = Window(window.col_off + left, window.row_off + top, width, height)
            data, valid = source.read(place)
            # Values of invalid pixels do not belong to the raster.
            seen.update(fill_gaps(data, valid, 0).astype("<f4").tobytes())
            seen.update(valid.tobytes())
    return seen.hexdigest()


def _plain_name(name: str) -> str:
    """Return a raster's name without its folder, its driver and the query of a URL."""
    if name.startswith("/vsimem/"):
        return ""  # random for every raster in memory
    last = re.split(r"[/\\]", name.split("?")[0])[-1]
    return re.sub(r'^[A-Za-z]\w+:"?', "", last)


def state_of(files: Iterable[Path]) -> str:
    """Return a digest of the names, sizes and times of files."""
    states = {(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files}
    return digest(sorted(states))


def is_newer(path: Path, files: Iterable[Path]) -> bool:
    """Tell whether a file exists and none of the others was changed after it."""
    if not path.exists():
        return False
    made = path.stat().st_mtime_ns
    return all(file.stat().st_mtime_ns <= made for file in files)


def digest(values: Any) -> str:
    """Return a digest of JSON values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()
