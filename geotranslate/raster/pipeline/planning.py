"""Parts of a translation, and the fingerprint that identifies them."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rasterio.windows import Window

from geotranslate.errors import InvalidInputError, warn
from geotranslate.raster.bandfacts import DTYPES
from geotranslate.raster.composite import OpenComposite
from geotranslate.raster.opening import gcps_and_rpcs
from geotranslate.raster.pipeline.translate_options import ReadOptions
from geotranslate.raster.reader import RasterReader, fill_gaps
from geotranslate.raster.tiling import (
    BLOCK,
    TILING_TAG,
    Axis,
    Plan,
    ReceptiveField,
    Tiling,
    TilingOptions,
    choose_tiling,
    part_height,
    region_of,
    tiling_text,
)
from geotranslate.raster.writing import OutputOptions, OutputProfile

LOOKS, LOOK = 4, 64
"""Number of windows along each axis that identify a raster, and their side in px."""


def tiling_of(
    reader: RasterReader, apply: object, options: TilingOptions, outputs: OutputOptions
) -> Tiling:
    """Choose the tiles for a function, and warn where sizes had to be rounded.

    Raises:
        InvalidInputError: There is no memory for a tile, or the options contradict each other.
    """
    _check_memory(reader, apply, options, outputs.bands)
    longest = max(reader.grid.height, reader.grid.width)
    # A single tile has no neighbors.
    field = None if longest <= options.tile_size else ReceptiveField.of(apply)
    tiling = choose_tiling(options, field, categorical=outputs.categorical)
    if tiling.warning is not None:
        warn(tiling.warning)
    return tiling


def _check_memory(
    reader: RasterReader, apply: object, options: TilingOptions, bands_out: int
) -> None:
    tile, factor = options.tile_size, options.factor
    longest = max(reader.grid.height, reader.grid.width)
    side = min(tile, longest) if getattr(apply, "any_shape", False) else tile
    size = int(4 * side**2 * (reader.bands + bands_out * factor**2))
    free = psutil.virtual_memory().available
    if size > free:
        raise InvalidInputError(
            f"tile_size is {tile}, but with {reader.bands} bands translated to {bands_out} at a "
            f"scale of {factor} a tile takes {size / 1e9:.1f} GB of memory, of which "
            f"{free / 1e9:.1f} GB are free; give a smaller one."
        )


def plan_of(
    reader: RasterReader,
    apply: Any,
    tiling: Tiling,
    factor: Fraction,
    reading: ReadOptions,
    part_rows: int | None,
) -> Plan:
    """Plan the tiles of a scene and the parts of its written region.

    Raises:
        InvalidInputError: The area is not on the raster, or tiles cannot be scaled by the factor.
    """
    region = region_of(reader.grid, reading.aoi, reading.bbox, factor)
    # Where pixels become fewer, tiles may only begin at whole output pixels.
    step = math.lcm(tiling.step, factor.denominator)
    # With `any_shape`, tiles extend beyond the raster only to a multiple of the stride.
    whole = math.lcm(step, apply.stride) if getattr(apply, "any_shape", False) else 0
    rows, cols = (
        Axis(size, -(-size // whole) * whole, 0, 0, step)
        if whole and size <= tiling.tile
        else Axis(size, tiling.tile, tiling.overlap, tiling.padding, step)
        for size in (reader.grid.height, reader.grid.width)
    )
    if part_rows is None:
        part_rows = part_height(region.width, int(rows.tile * factor))
    plan = Plan(rows, cols, factor, region, part_rows)
    _ = plan.out_rows, plan.out_cols  # refuses what cannot be scaled
    return plan


def profile_of(
    reader: RasterReader, plan: Plan, reading: ReadOptions, options: OutputOptions
) -> OutputProfile:
    """Return the profile of the output of a plan.

    Raises:
        InvalidInputError: The options do not fit the dtype or the number of bands.
    """
    gcps, rpcs = gcps_and_rpcs(reader.dataset, plan.window, float(plan.factor))
    grid = reader.grid.crop(plan.window).scaled(float(plan.factor))
    if reader.grid.transform.is_identity and (gcps is not None or rpcs):
        # Points and RPCs place a raster without a transform.
        grid = replace(grid, transform=reader.grid.transform)
    return OutputProfile(
        grid=grid,
        bands=options.bands,
        dtype=_dtype_of(reader) if options.dtype is None else options.dtype,
        nodata=options.nodata,
        masked=reader.may_have_gaps or reading.aoi is not None,
        categorical=options.categorical,
        band_names=options.band_names,
        colors=options.colors,
        scales=options.scales,
        offsets=options.offsets,
        units=options.units,
        colormap=options.colormap,
        gcps=gcps,
        rpcs=rpcs,
        tags={**(options.tags or {}), TILING_TAG: tiling_text(plan)},
    )


def _dtype_of(reader: RasterReader) -> str:
    if reader.dtype not in DTYPES:
        raise InvalidInputError(
            f"{reader.name} holds {reader.dtype}, which cannot be written; give a dtype for the "
            f"output, one of {', '.join(DTYPES)}."
        )
    return reader.dtype


def rows_of_parts(plan: Plan) -> tuple[range, ...]:
    """Return the rows of every part, counted from the top of the output."""
    top = plan.region.top
    return tuple(range(rows.start - top, rows.stop - top) for rows in plan.parts)


def stripes_of(reader: RasterReader, plan: Plan, bands_out: int, max_memory: int | None) -> int:
    """Return the number of stripes that a part is cut into to fit into memory."""
    if max_memory is None:
        max_memory = psutil.virtual_memory().available // 4
    tile_in, tile_out = plan.rows.tile, plan.out_rows.tile
    # A strip is held twice while the next one is read, and finished rows while they are converted.
    column = 4 * (reader.bands * 2 * tile_in / plan.factor + bands_out * (4 * tile_out + 2 * BLOCK))
    return max(1, math.ceil(plan.region.width * column / max_memory))


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
    if isinstance(source.dataset, OpenComposite) and source.dataset.rules:
        # Few pixels may depend on them, so that those below miss them.
        seen.update(digest(source.dataset.rules).encode())
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
