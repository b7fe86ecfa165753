"""`translate_raster`: translation of a raster of any size by a function of tiles."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from shapely.geometry.base import BaseGeometry

from geotranslate.errors import InvalidInputError
from geotranslate.raster.opening import RasterLike, files_of
from geotranslate.raster.pipeline.apply import AnyApply
from geotranslate.raster.pipeline.fingerprint import is_newer, recipe_of, state_of
from geotranslate.raster.pipeline.job import Job
from geotranslate.raster.pipeline.parts import PartsFolder
from geotranslate.raster.pipeline.planning import (
    plan_of,
    profile_of,
    rows_of_parts,
    stripes_of,
    tiling_of,
)
from geotranslate.raster.pipeline.prescan import NeedsPrescan
from geotranslate.raster.pipeline.result import Seconds, TranslatedRaster
from geotranslate.raster.pipeline.shares import result_of, run
from geotranslate.raster.pipeline.translate_options import (
    Executor,
    ReadOptions,
    RunOptions,
    TranslateOptions,
)
from geotranslate.raster.reader import RasterReader
from geotranslate.raster.tiling import Blend, TilingOptions
from geotranslate.raster.writing import Color, Driver, OutputOptions, check_output


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

    The raster is read once, a strip of tiles at a time, by a thread that works ahead; another
    thread merges and writes. Memory does not grow with the raster's height. The output is computed
    in parts of whole block rows, which are kept in `<output>.parts` until they are assembled; an
    interrupted run goes on with `resume`. The written pixels depend neither on `batch_size`,
    `max_memory`, `executor` and `part` nor on an interruption, as far as the pixels that `apply`
    returns do not. Pixels pass as float32: values that it holds (integers up to 2**24, float32)
    come back from an identity to the last bit. Ground control points and RPCs are carried over. An
    existing output survives any failure.

    Args:
        source: Raster to read: path, URL, GDAL name, `MemoryFile` or open dataset.
        output: GeoTIFF to write (.tif or .tiff), in an existing folder.
        apply: Function from a batch of tiles to as many translated ones, `scale` times as large.
            Its attributes, all optional, declare what it needs. `radius`: distance of the farthest
            source pixel that an output pixel depends on, None for the whole tile; `stride`: shifts
            by multiples of it shift the output alike. Only with both can tiles be cropped exactly.
            `any_shape = True`: tiles are no longer than the raster, rounded up to its `stride`.
            `needs_places = True`: it also gets `[(tile row, tile column), ...]`. A method
            `prescan` scans the scene first, see `NeedsPrescan`.
        bands_out: Bands that `apply` returns.
        bands: Bands of the source that it gets, by number from 1 or by name; all by default.
        aoi: Area to translate, in the source's CRS. Pixels with their center outside are invalid,
            and the output is cut to whole pixels around it. Pixels inside do not depend on it.
        bbox: Left, bottom, right and top to cut the output to, in the source's CRS.
        tile_size: Side of the tiles, px.
        overlap: Pixels that neighboring tiles share, at most half a tile and the padding.
        padding: Pixels of every tile's edge that are thrown away.
        blend: `hann` blends overlapping tiles by Hann ramps. `crop` cuts them without a ramp, at
            half the overlap. `auto` crops classes, and where cropping is exact by the `stride` and
            `radius` of `apply`; it blends otherwise.
        scale: Output pixels per source pixel along an axis: 2, 1/2, 3/2 and the like, 1/64 to 64.
            A region begins where pixels of both begin, at 3/2 at every second one of the source.
        batch_size: Tiles per call of `apply`; the last call gets the rest.
        dtype: Output dtype, the source's by default; integers are rounded half to even and
            clipped.
        nodata: Output nodata value. Without one, invalid pixels are NaN in a float output and
            marked by a mask inside the file in an integer one.
        band_names: Descriptions of the output's bands, one a band; none by default.
        colors: Color interpretations of the bands, by rasterio's names.
        scales: Factors from stored values to measured ones, one a band.
        offsets: Measured values of stored zeros, one a band.
        units: Units of the bands.
        colormap: Colors of an output of classes, red, green, blue and alpha by value.
        categorical: Whether the output is classes, which are never mixed.
        tags: Further metadata of the output, written as text.
        fill: Value that `apply` gets where the source is invalid, in source units, one or one a
            band.
        driver: `COG` for a cloud optimized GeoTIFF, `GTiff` for a tiled one, both with overviews.
        overwrite: Whether an existing output may be replaced.
        resume: Whether to go on with the parts of an interrupted run.
        executor: `concurrent.futures` executor or `dask.distributed.Client` that computes the
            parts. Its workers need to read the source by its path and write to the output's folder.
        part: "i/n" computes the i-th of n shares of the parts and leaves them for
            `assemble_parts`, also on another machine.
        part_rows: Rows of a part, by default about 4 million pixels and at least 4 tiles.
        max_memory: Bytes for strips and row buffers, a quarter of the free memory by default;
            wider scenes are computed in stripes.
        progress: Whether to show a progress bar.
        identity: Text that identifies this `apply`, for `resume`; or texts by name, of which a
            refusal names those that changed.

    Raises:
        RasterFileError: A raster cannot be read or written, parts are missing, or another run
            writes the output.
        OutputExistsError: The output exists and `overwrite` is false.
        InvalidInputError: An argument is impossible, the output is the source or a file that it
            reads, the parts in the folder belong to another output, or `apply` returns a wrong
            shape.
        TranslationError: `apply` failed; the sentence names the tile.
    """
    reading = ReadOptions(bands, aoi, bbox, fill)
    tiling = TilingOptions(tile_size, overlap, padding, blend, scale)
    writing = OutputOptions(
        bands_out,
        dtype,
        nodata,
        band_names,
        colors,
        scales,
        offsets,
        units,
        colormap,
        categorical,
        tags,
        driver,
    )
    running = RunOptions(
        batch_size,
        overwrite,
        resume,
        executor,
        part,
        part_rows,
        max_memory,
        progress,
        identity,
    )
    options = TranslateOptions(reading, tiling, writing, running)
    _check_apply(apply)
    path = check_output(output, overwrite=running.overwrite or running.resume)
    with RasterReader(source, bands) as reader:
        _refuse_same_file(reader, path)
        return _translate(reader, source, path, apply, options)


def _translate(
    reader: RasterReader,
    source: RasterLike,
    path: Path,
    apply: AnyApply | NeedsPrescan,
    options: TranslateOptions,
) -> TranslatedRaster:
    tiling, writing, running = options.tiling, options.writing, options.running
    reading = options.reading.on(reader)
    tiles = tiling_of(reader, apply, tiling, writing)
    plan = plan_of(reader, apply, tiles, tiling.factor, reading, running.part_rows)
    output = profile_of(reader, plan, reading, writing)
    recipe = recipe_of(reader, plan, output, reading, running.identity or "")
    recipe["driver"] = writing.driver
    files = files_of(reader.dataset)
    parts = PartsFolder(path, output, rows_of_parts(plan), writing.driver, recipe, state_of(files))
    said = [] if tiles.warning is None else [tiles.warning]
    if running.resume and is_newer(path, files) and (summary := parts.assembled()):
        if running.part is None:
            parts.remove_leftovers()
        return result_of(parts, summary, Seconds()).with_warnings(said)
    job = Job(
        raster=reader.dataset if running.executor is None else _for_workers(source),
        reading=reading,
        apply=apply,
        plan=plan,
        output=output,
        folder=parts.path.absolute(),
        batch_size=running.batch_size,
        stripes=stripes_of(reader, plan, output.bands, running.max_memory),
        mark=parts.mark,
    )
    with parts.alone(shared=running.part is not None):
        check_output(path, overwrite=running.overwrite)
        return run(job, parts, running).with_warnings(said)


def _check_apply(apply: object) -> None:
    if not callable(apply) and not hasattr(apply, "prescan"):
        raise InvalidInputError(
            f"apply is {reprlib.repr(apply)}; give a function from a batch of tiles to as many "
            "translated ones."
        )


def _for_workers(raster: RasterLike) -> str:
    """Return the name by which workers can open a raster from any working directory."""
    if isinstance(raster, str | os.PathLike):
        name = os.fspath(raster)
        return os.path.abspath(name) if os.path.exists(name) else name
    raise InvalidInputError(
        f"The raster is an open {type(raster).__name__}, which an executor cannot hand to its "
        "workers; give its path or URL."
    )


def _refuse_same_file(reader: RasterReader, output: Path) -> None:
    if not output.exists():
        return
    if Path(reader.name).exists() and output.samefile(reader.name):
        raise InvalidInputError(
            f"The output {output} is the source itself, which must survive; give another name."
        )
    if any(output.samefile(file) for file in files_of(reader.dataset)):
        raise InvalidInputError(
            f"The output {output} is a file that the source {reader.name} reads, which must "
            "survive; give another name."
        )
