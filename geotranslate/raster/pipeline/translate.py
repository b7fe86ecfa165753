"""`translate_raster`: translation of a raster of any size, tile by tile."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from shapely.geometry.base import BaseGeometry

from geotranslate.checks import shown
from geotranslate.errors import InvalidInputError
from geotranslate.migration import checks_arguments
from geotranslate.raster.composite import Composite
from geotranslate.raster.opening import RasterLike, files_of
from geotranslate.raster.pipeline.executors import result_of, run
from geotranslate.raster.pipeline.job import Job
from geotranslate.raster.pipeline.parts import PartsFolder
from geotranslate.raster.pipeline.planning import (
    is_newer,
    plan_of,
    profile_of,
    recipe_of,
    rows_of_parts,
    state_of,
    stripes_of,
    tiling_of,
)
from geotranslate.raster.pipeline.prescan import AnyApply, NeedsPrescan
from geotranslate.raster.pipeline.result import Seconds, TranslatedRaster
from geotranslate.raster.pipeline.translate_options import (
    Executor,
    ReadOptions,
    RunOptions,
    TranslateOptions,
)
from geotranslate.raster.reader import RasterReader
from geotranslate.raster.tiling import Blend, TilingOptions
from geotranslate.raster.writing import Color, Driver, OutputOptions, check_output


@checks_arguments
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

    The raster is read once, a strip of tiles at a time, by a prefetching thread; another thread
    merges and writes. Memory does not grow with the raster's height. The output is computed in
    parts of whole block rows, which are kept in `<output>.parts` until they are assembled; `resume`
    continues an interrupted run. If the output of `apply` does not depend on batching, the written
    pixels do not depend on `batch_size`, `max_memory`, `executor`, `part` or interruptions. Pixels
    are processed as float32, so an identity reproduces float32 values and integers up to 2**24
    exactly. Ground control points and RPCs are copied to the output. An existing output survives
    any failure.

    Args:
        source: Raster to read: path, URL, GDAL name, `MemoryFile` or open dataset.
        output: GeoTIFF to write (.tif or .tiff), in an existing folder.
        apply: Function from a batch of tiles `(tiles, bands, rows, cols)` to the same number of
            translated tiles, `scale` times as large. It may declare its needs by attributes.
            `radius`: distance of the farthest source pixel that an output pixel depends on, None
            for the whole tile. `stride`: shifting the input by a multiple of it shifts the output
            by the same amount. Tiles can be cropped exactly only if both are given. `any_shape =
            True`: tiles may be smaller than `tile_size` and are then no larger than the raster,
            rounded up to its `stride`. `needs_places = True`: a second argument lists the tiles of
            the batch as `[(tile row, tile column), ...]`. A method `prescan` scans the scene
            first, see `NeedsPrescan`.
        bands_out: Number of bands that `apply` returns.
        bands: Source bands passed to `apply`, by number from 1 or by name; all by default.
        aoi: Area to translate, in the source's CRS. Pixels with their center outside are invalid,
            and the output is cut to whole pixels around it. Pixels inside do not depend on it.
        bbox: Left, bottom, right and top to cut the output to, in the source's CRS.
        tile_size: Side of the tiles, px.
        overlap: Pixels that neighboring tiles share, at most half a tile and the padding.
        padding: Pixels that are discarded at every edge of a tile.
        blend: `hann` blends overlapping tiles by Hann ramps. `crop` cuts them without a ramp, at
            half the overlap. `auto` crops classes, and also where the `stride` and `radius` of
            `apply` make cropping exact; it blends otherwise.
        scale: Output pixels per source pixel along an axis, such as 2, 1/2 or 3/2, from 1/64 to 64.
            Regions start where source and output pixels coincide: at 3/2, at every second source
            pixel.
        batch_size: Tiles per call of `apply`; a last call may get fewer.
        dtype: Output dtype, the source's by default; integers are rounded half to even and
            clipped.
        nodata: Output nodata value. Without one, invalid pixels are NaN in a float output and
            marked by an internal mask in an integer output.
        band_names: Descriptions of the output's bands, one per band; none by default.
        colors: Color interpretations of the bands, by rasterio's names, one per band.
        scales: Factors from stored values to measured values, one per band.
        offsets: Measured values of a stored zero, one per band.
        units: Units of the bands, one per band.
        colormap: Colors of an output of classes, as red, green, blue and alpha by value.
        categorical: Whether the output holds classes, which are never blended.
        tags: Further metadata of the output, written as text.
        fill: Value passed to `apply` for invalid pixels, in source units; one value, or one per
            band.
        driver: `COG` for a cloud optimized GeoTIFF, `GTiff` for a tiled one, both with overviews.
        overwrite: Whether an existing output may be replaced.
        resume: Whether to continue with the parts of an interrupted run.
        executor: `concurrent.futures` executor or `dask.distributed.Client` that computes the
            parts. Its workers must be able to read the source by its path and to write to the
            output's folder.
        part: "i/n" computes only the i-th of n shares of the parts, for example one on each of n
            machines, and leaves them for `assemble_parts`.
        part_rows: Rows of a part, by default about 4 million pixels and at least 4 tiles.
        max_memory: Bytes for strips and row buffers, a quarter of the free memory by default;
            scenes too wide for it are computed in stripes.
        progress: Whether to show a progress bar.
        identity: Text that identifies this `apply` for `resume`, or texts by name, so that an error
            can name what changed.

    Raises:
        RasterFileError: A raster cannot be read or written, parts are missing, or another run
            writes the output.
        OutputExistsError: The output exists and `overwrite` is false.
        InvalidInputError: An argument is invalid, the output is the source or a file that the
            source reads, the parts in the folder belong to another output, or `apply` returns an
            array of the wrong shape.
        TranslationError: `apply` failed; the message names the tile.
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
    return translate(source, output, apply, TranslateOptions(reading, tiling, writing, running))


def translate(
    source: RasterLike,
    output: str | os.PathLike[str],
    apply: AnyApply | NeedsPrescan,
    options: TranslateOptions,
) -> TranslatedRaster:
    """Run `apply` over a raster as `translate_raster` does.

    Raises:
        GeotranslateError: As `translate_raster`.
    """
    running = options.running
    _check_apply(apply)
    path = check_output(output, overwrite=running.overwrite or running.resume)
    with RasterReader(source, options.reading.bands) as reader:
        _refuse_same_file(reader, path)
        written = _translate(reader, source, path, apply, options)
        # The name of a stack or mosaic is not the path of a raster.
        return replace(written, source=None if isinstance(source, Composite) else reader.name)


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
            f"apply is {shown(apply)}; give a function from a batch of tiles to as many "
            "translated ones."
        )


def _for_workers(raster: RasterLike) -> RasterLike:
    """Return the raster as workers can open it from any working directory."""
    if isinstance(raster, Composite):
        return raster.absolute()
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
