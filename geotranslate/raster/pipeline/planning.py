"""Plan of a translation: its tiles and parts, the profile of its output, and its use of memory."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import psutil

from geotranslate.errors import InvalidInputError, warn
from geotranslate.raster.dtypes import DTYPES
from geotranslate.raster.gcps import gcps_and_rpcs
from geotranslate.raster.pipeline.translate_options import ReadOptions
from geotranslate.raster.reader import RasterReader
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


def tiling_of(
    reader: RasterReader, apply: object, options: TilingOptions, outputs: OutputOptions
) -> Tiling:
    """Choose the tiles for a function, and warn where sizes had to be rounded.

    Raises:
        InvalidInputError: There is no memory for a tile, or the options contradict each other.
    """
    _check_memory(reader, apply, options, outputs.bands)
    longest = max(reader.grid.height, reader.grid.width)
    # A single tile meets no other.
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
    """Lay the tiles over a scene, and cut the region that is written into parts.

    Raises:
        InvalidInputError: The area is not on the raster, or tiles cannot be scaled by the factor.
    """
    region = region_of(reader.grid, reading.aoi, reading.bbox, factor)
    # Where pixels become fewer, tiles may only begin at whole output pixels.
    step = math.lcm(tiling.step, factor.denominator)
    # A function of any shape gets nothing beyond the raster but the rest of a stride.
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
