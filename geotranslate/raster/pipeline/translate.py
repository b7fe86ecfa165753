"""Translate a raster too large for memory: plan, compute parts, assemble."""

from __future__ import annotations

import math
import os
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import psutil
from shapely.geometry.base import BaseGeometry

from geotranslate.checks import finite_numbers, flag, whole_number
from geotranslate.errors import InvalidInputError
from geotranslate.raster.dtypes import DTYPES
from geotranslate.raster.gcps import gcps_and_rpcs
from geotranslate.raster.grid import Grid
from geotranslate.raster.opening import RasterLike, files_of
from geotranslate.raster.pipeline.executors import Executor
from geotranslate.raster.pipeline.fingerprint import is_newer, recipe_of, state_of
from geotranslate.raster.pipeline.job import AnyApply, Job
from geotranslate.raster.pipeline.parts import PartsFolder
from geotranslate.raster.pipeline.prescan import NeedsPrescan
from geotranslate.raster.pipeline.result import Seconds, TranslatedRaster
from geotranslate.raster.pipeline.shares import remove_left_parts, result_of, run
from geotranslate.raster.reader import RasterReader
from geotranslate.raster.tiling import (
    BLOCK,
    TILING_TAG,
    Axis,
    Blend,
    Plan,
    ReceptiveField,
    Region,
    Tiling,
    choose_tiling,
    part_height,
    receptive_field_of,
    region_of,
    sample_of,
    tiling_text,
)
from geotranslate.raster.writing import (
    Color,
    Driver,
    OutputProfile,
    check_output,
    checked_tags,
    driver_named,
)

MOST_BANDS = 65_535
"""Bands that a TIFF can have."""

LARGEST_TILE = 65_536
"""Side of the largest tiles, px."""

MOST_SCALE = 64
"""Most output pixels per source pixel along an axis, and most source pixels per output pixel."""


def translate_raster(
    source: RasterLike,
    output: str | os.PathLike[str],
    apply: AnyApply | NeedsPrescan,
    *,
    bands_out: int,
    bands: Sequence[int | str] | None = None,
    aoi: BaseGeometry | None = None,
    bbox: Sequence[float] | None = None,
    tile_size: int = 256,
    overlap: int | None = None,
    padding: int | None = None,
    blend: Blend = "auto",
    scale: float | Fraction = 1,
    batch_size: int = 4,
    dtype: str | None = None,
    nodata: float | None = None,
    band_names: Sequence[str] = (),
    colors: Sequence[str] = (),
    scales: Sequence[float] = (),
    offsets: Sequence[float] = (),
    units: Sequence[str] = (),
    colormap: Mapping[int, Color] | None = None,
    categorical: bool = False,
    tags: Mapping[str, Any] | None = None,
    fill: float | Sequence[float] = 0.0,
    driver: Driver = "COG",
    overwrite: bool = False,
    resume: bool = False,
    executor: Executor | None = None,
    part: str | tuple[int, int] | None = None,
    part_rows: int | None = None,
    max_memory: int | None = None,
    progress: bool = True,
    identity: str | Mapping[str, str] | None = None,
) -> TranslatedRaster:
    """Run `apply` over a raster tile by tile and write the merged result on the same grid.

    The raster is read once, a strip of tiles at a time, by a thread that works ahead; another one
    merges and writes behind. Memory does not grow with the raster's height. The output is computed
    in parts, bands of whole block rows, which are kept in `<output>.parts` until they are put
    together; a run that was killed goes on with `resume`. The written pixels depend neither on
    `batch_size`, `max_memory`, `executor` and `part`, nor on an interruption, as far as those of
    `apply` do not. Pixels pass as float32: values that it holds (integers up to 2**24, float32)
    come back from an identity to the last bit. Ground control points and RPCs are carried over. An
    existing output survives any failure.

    Args:
        source: Raster to read: path, URL, GDAL name, `MemoryFile` or open dataset.
        output: GeoTIFF to write (.tif or .tiff), in an existing folder.
        apply: Function from a batch of tiles to as many translated ones, `scale` times as large.
            One with `any_shape = True` gets tiles no longer than the raster, rounded up to its
            `stride`.
            One with `needs_places = True` gets their `[(tile row, tile column), ...]` as well, and
            one with `prescan` looks at the scene first, see `NeedsPrescan`.
        bands_out: Bands that `apply` returns.
        bands: Bands of the source that it gets, by number from 1 or by name; all by default.
        aoi: Area to translate, in the source's CRS: pixels with their centre outside are invalid,
            and the output is cut to whole pixels around it. Pixels inside are what they would be
            without.
        bbox: Left, bottom, right and top to cut the output to, in the source's CRS.
        tile_size: Side of the tiles, px.
        overlap: Pixels that neighbouring tiles share, at most half a tile and the padding.
        padding: Pixels of every tile's edge that are thrown away.
        blend: `hann` blends overlapping tiles by Hann ramps, `crop` cuts them without a ramp, at
            half the overlap; `auto` crops where that is exact by what `apply` declares (`stride`,
            `radius`) or shows when probed, and classes, and blends otherwise.
        scale: Output pixels per source pixel along an axis: 2, 1/2, 3/2 and the like, 1/64 to 64.
            What is cut begins where pixels of both do, at 3/2 at every second one of the source.
        batch_size: Tiles per call of `apply`; the last call gets what is left.
        dtype: Output dtype, the source's by default; integers are rounded half to even and
            clipped.
        nodata: Output nodata value. Without one, invalid pixels are NaN in a float output and
            marked by a mask inside the file in an integer one.
        band_names: Descriptions of the output's bands, one a band; none by default.
        colors: Colour interpretations of the bands, by rasterio's names.
        scales: Factors from stored values to measured ones, one a band.
        offsets: Measured values of stored zeros, one a band.
        units: Units of the bands.
        colormap: Colours of an output of classes, red, green, blue and alpha by value.
        categorical: Whether the output is classes, which are never mixed.
        tags: Further metadata of the output, written as text.
        fill: What `apply` sees where the source is invalid, in source units, one or one a band.
        driver: `COG` for a cloud optimised GeoTIFF, `GTiff` for a tiled one, both with overviews
            and of the same names.
        overwrite: Whether an existing output may be replaced.
        resume: Whether to go on with the parts that an interrupted run left.
        executor: `concurrent.futures` executor or `dask.distributed.Client` that computes the
            parts; the source has to be a path that its workers can read, and the output's folder
            one that they can write.
        part: "i/n" computes the i-th of n shares of the parts and leaves them for
            `assemble_parts`, also on another machine.
        part_rows: Rows of a part, by default about 4 million pixels and at least 4 tiles.
        max_memory: Bytes that strips and bands may take, a quarter of the free memory by default;
            wider scenes are computed in stripes.
        progress: Whether to show a progress bar.
        identity: What tells this `apply` from others, for `resume`; by name where it has parts that
            a refusal shall name.

    Raises:
        RasterFileError: A raster cannot be read or written, parts are missing, or another run
            writes the output.
        OutputExistsError: The output exists and `overwrite` is false.
        InvalidInputError: An argument is impossible, the source is or reads the output, the parts
            that are there are those of another output, or `apply` returns something else than it
            has to.
        TranslationError: `apply` failed; the sentence names the tile.
    """
    factor, driver = _factor(scale), driver_named(driver)
    batch_size = whole_number("batch_size", batch_size, 1)
    bands_out = whole_number("bands_out", bands_out, 1, MOST_BANDS)
    overwrite, resume = flag("overwrite", overwrite), flag("resume", resume)
    categorical, progress = flag("categorical", categorical), flag("progress", progress)
    _check_apply(apply, identity)
    path = check_output(output, overwrite=overwrite or resume)
    said: list[str] = []
    with RasterReader(source, bands) as opened:
        _refuse_same_file(opened, path)
        region = region_of(opened.grid, aoi, bbox, factor)
        fill = finite_numbers("fill", fill, opened.bands)
        tile_size = _tile_side(opened, apply, tile_size, bands_out, factor)
        tiling = _tiling(
            opened, apply, tile_size, overlap, padding, blend, factor, fill, categorical, said
        )
        plan = _plan(opened, apply, tiling, factor, region, part_rows)
        gcps, rpcs = gcps_and_rpcs(opened.dataset, plan.window, float(factor))
        written = OutputProfile(
            grid=_grid_of(opened, plan, placed=gcps is not None or bool(rpcs)),
            bands=bands_out,
            dtype=_own_dtype(opened) if dtype is None else dtype,
            nodata=nodata,
            masked=opened.may_have_gaps or aoi is not None,
            categorical=categorical,
            band_names=band_names,
            colors=colors,
            scales=scales,
            offsets=offsets,
            units=units,
            colormap=colormap,
            gcps=gcps,
            rpcs=rpcs,
            tags={**checked_tags({} if tags is None else tags), TILING_TAG: tiling_text(plan)},
        )
        recipe = recipe_of(opened, plan, written, aoi, fill, identity or "")
        recipe["driver"] = driver
        files = files_of(opened.dataset)
        parts = PartsFolder(path, written, _from_top(plan), driver, recipe, state_of(files))
        if resume and is_newer(path, files) and (summary := parts.assembled()):
            remove_left_parts(parts, part)
            return result_of(parts, summary, Seconds()).with_warnings(said)
        job = Job(
            raster=opened.dataset if executor is None else _for_workers(source),
            mark=parts.mark,
            bands=opened.indexes,
            apply=apply,
            plan=plan,
            output=written,
            folder=parts.path.absolute(),
            fill=fill,
            aoi=aoi,
            batch_size=batch_size,
            stripes=_stripes(opened, plan, bands_out, max_memory),
        )
        with parts.alone(shared=part is not None):
            check_output(output, overwrite=overwrite)
            return run(job, parts, executor, part, progress, resume).with_warnings(said)


def _factor(scale: float | Fraction) -> Fraction:
    try:
        factor = Fraction(scale).limit_denominator(MOST_SCALE)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        factor = Fraction(0)
    if not 0 < factor <= MOST_SCALE:
        raise InvalidInputError(
            f"scale is {reprlib.repr(scale)}; give output pixels per source pixel, such as 2 or "
            f"0.5, from 1/{MOST_SCALE} to {MOST_SCALE}."
        )
    return factor


def _check_apply(apply: object, identity: object) -> None:
    if not callable(apply) and not hasattr(apply, "prescan"):
        raise InvalidInputError(
            f"apply is {reprlib.repr(apply)}; give a function from a batch of tiles to as many "
            "translated ones."
        )
    named = identity if isinstance(identity, Mapping) else {"": identity}
    texts = all(isinstance(text, str) for pair in named.items() for text in pair)
    if identity is not None and not texts:
        raise InvalidInputError(
            f"identity is {reprlib.repr(identity)}; give a text, or a dict from names to texts."
        )


def _tile_side(
    source: RasterReader, apply: object, tile_size: int, bands_out: int, factor: Fraction
) -> int:
    """Return the side of the tiles after checking that there is memory for one."""
    tile = whole_number("tile_size", tile_size, 1, LARGEST_TILE)
    longest = max(source.grid.height, source.grid.width)
    side = min(tile, longest) if getattr(apply, "any_shape", False) else tile
    size = int(4 * side**2 * (source.bands + bands_out * factor**2))
    free = psutil.virtual_memory().available
    if size > free:
        raise InvalidInputError(
            f"tile_size is {tile}, but with {source.bands} bands translated to {bands_out} at a "
            f"scale of {factor} a tile takes {size / 1e9:.1f} GB of memory, of which "
            f"{free / 1e9:.1f} GB are free; give a smaller one."
        )
    return tile


def _own_dtype(source: RasterReader) -> str:
    if source.dtype not in DTYPES:
        raise InvalidInputError(
            f"{source.name} holds {source.dtype}, which is not written; give a dtype for the "
            f"output, one of {', '.join(DTYPES)}."
        )
    return source.dtype


def _tiling(
    source: RasterReader,
    apply: Any,
    tile_size: int,
    overlap: int | None,
    padding: int | None,
    blend: Blend,
    factor: Fraction,
    fill: float | Sequence[float],
    categorical: bool,
    said: list[str],
) -> Tiling:
    tile = tile_size
    overlap = None if overlap is None else whole_number("overlap", overlap, 0, LARGEST_TILE)
    padding = None if padding is None else whole_number("padding", padding, 0, LARGEST_TILE)

    def reach() -> ReceptiveField | None:
        if max(source.grid.height, source.grid.width) <= tile:
            return None  # a single tile meets no other
        return receptive_field_of(apply, lambda: sample_of(source, tile, fill), factor)

    return choose_tiling(tile, overlap, padding, blend, reach, categorical=categorical, said=said)


def _plan(
    source: RasterReader,
    apply: Any,
    tiling: Tiling,
    factor: Fraction,
    region: Region,
    part_rows: int | None,
) -> Plan:
    # Where pixels become fewer, tiles may only begin at whole output pixels.
    step = math.lcm(tiling.step, factor.denominator)
    # What takes any shape is not given what lies beyond the raster.
    whole = math.lcm(step, apply.stride) if getattr(apply, "any_shape", False) else 0
    rows, cols = (
        Axis(size, -(-size // whole) * whole, 0, 0, step)
        if whole and size <= tiling.tile
        else Axis(size, tiling.tile, tiling.overlap, tiling.padding, step)
        for size in (source.grid.height, source.grid.width)
    )
    if part_rows is None:
        part_rows = part_height(region.width, int(rows.tile * factor))
    elif whole_number("part_rows", part_rows, 1) % BLOCK:
        raise InvalidInputError(f"part_rows is {part_rows}; give a multiple of {BLOCK}.")
    plan = Plan(rows, cols, factor, region, part_rows)
    _ = plan.out_rows, plan.out_cols  # refuses what cannot be scaled
    return plan


def _grid_of(source: RasterReader, plan: Plan, *, placed: bool) -> Grid:
    """Return the grid of the output; points and RPCs place a raster without a transform."""
    grid = source.grid.crop(plan.window).scaled(float(plan.factor))
    if placed and source.grid.transform.is_identity:
        return replace(grid, transform=source.grid.transform)
    return grid


def _from_top(plan: Plan) -> tuple[range, ...]:
    top = plan.region.top
    return tuple(range(rows.start - top, rows.stop - top) for rows in plan.parts)


def _stripes(source: RasterReader, plan: Plan, bands_out: int, max_memory: int | None) -> int:
    """Return into how many stripes a part is cut so that strips and bands fit into memory."""
    if max_memory is None:
        max_memory = psutil.virtual_memory().available // 4
    whole_number("max_memory", max_memory, 1)
    tile_in, tile_out = plan.rows.tile, plan.out_rows.tile
    # A strip is held twice while the next one is read, and finished rows while they are converted.
    column = 4 * (source.bands * 2 * tile_in / plan.factor + bands_out * (4 * tile_out + 2 * BLOCK))
    return max(1, math.ceil(plan.region.width * column / max_memory))


def _for_workers(raster: RasterLike) -> str:
    """Return the name by which workers can open a raster, whatever folder they work in."""
    if isinstance(raster, str | os.PathLike):
        name = os.fspath(raster)
        return os.path.abspath(name) if os.path.exists(name) else name
    raise InvalidInputError(
        f"The raster is an open {type(raster).__name__}, which an executor cannot hand to its "
        "workers; give its path or URL."
    )


def _refuse_same_file(source: RasterReader, output: Path) -> None:
    if not output.exists():
        return
    if Path(source.name).exists() and output.samefile(source.name):
        raise InvalidInputError(
            f"The output {output} is the source itself, which must survive; give another name."
        )
    if any(output.samefile(file) for file in files_of(source.dataset)):
        raise InvalidInputError(
            f"The output {output} is a file that the source {source.name} reads, which must "
            "survive; give another name."
        )
