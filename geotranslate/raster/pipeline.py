"""Translate a raster too large for memory: read, apply, merge, write."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window
from tqdm.auto import tqdm

from geotranslate.checks import whole_number
from geotranslate.errors import GeotranslateError, InvalidInputError
from geotranslate.raster.grid import Grid
from geotranslate.raster.merge import RowBand
from geotranslate.raster.opening import files_of
from geotranslate.raster.sink import BLOCK, Sink, check_output
from geotranslate.raster.source import RasterLike, Source, fill_gaps
from geotranslate.raster.tiles import Axis

Batch = NDArray[np.float32]
Apply = Callable[[Batch], Batch]
"""Maps float32 `(n, bands, rows, cols)` to float32 `(n, bands_out, rows, cols)`."""


@dataclass(frozen=True)
class TranslatedRaster(os.PathLike[str]):
    """A written raster: use it as a path, or read how it was made."""

    path: Path
    grid: Grid
    tiles: int
    seconds: float

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)


def translate_raster(
    source: RasterLike,
    output: str | os.PathLike[str],
    apply: Apply,
    *,
    bands_out: int,
    bands: Sequence[int | str] | None = None,
    tile_size: int = 256,
    overlap: int = 64,
    batch_size: int = 4,
    dtype: str | None = None,
    nodata: float | None = None,
    band_names: Sequence[str] = (),
    fill: float | Sequence[float] = 0.0,
    overwrite: bool = False,
    progress: bool = True,
) -> TranslatedRaster:
    """Run `apply` over a raster tile by tile and write the blended result on the same grid.

    Memory grows with the raster's width, not with its height. The written pixels do not depend on
    `batch_size`, as far as those of `apply` do not. Pixels pass as float32: values that it holds
    (integers up to 2**24, float32) come back from an identity to the last bit, larger integers and
    float64 are rounded to it. Ground control points and RPCs are carried over. An existing output
    survives any failure.

    Args:
        source: Raster to read: path, URL, GDAL name or open dataset.
        output: GeoTIFF to write (.tif or .tiff), in an existing folder.
        apply: Function from a batch of tiles to as many translated ones.
        bands_out: Bands that `apply` returns.
        bands: Bands of the source that it gets, by number from 1 or by name; all by default.
        tile_size: Side of the tiles, px.
        overlap: Pixels that neighbouring tiles share, at most half a tile; blended by Hann ramps.
        batch_size: Tiles per call of `apply`; the last call gets what is left.
        dtype: Output dtype, the source's by default; integers are rounded and clipped.
        nodata: Output nodata value. Without one, invalid pixels are NaN in a float output and
            marked by a mask inside the file in an integer one.
        band_names: Descriptions of the output's bands, one a band; none by default.
        fill: What `apply` sees where the source is invalid, in source units, one or one a band.
        overwrite: Whether an existing output may be replaced.
        progress: Whether to show a progress bar.

    Raises:
        RasterFileError: A raster cannot be read or written.
        OutputExistsError: The output exists and `overwrite` is false.
        InvalidInputError: Tiles, overlap, batch size, bands, dtype or nodata are impossible, the
            source is or reads the output, or `apply` returns something else than it has to.
    """
    tile_size = whole_number("tile_size", tile_size, 1)
    overlap = whole_number("overlap", overlap, 0)
    batch_size = whole_number("batch_size", batch_size, 1)
    bands_out = whole_number("bands_out", bands_out, 1)
    path = check_output(output, overwrite=overwrite)
    began = time.perf_counter()
    with Source(source, bands) as opened:
        _refuse_same_file(opened, path)
        rows = Axis(opened.grid.height, tile_size, overlap)
        cols = Axis(opened.grid.width, tile_size, overlap)
        validity: list[NDArray[np.bool_]] = []
        tiles = _tiles(opened, rows, cols, fill, validity)
        merged = RowBand(bands_out, rows, cols, BLOCK)
        with (
            Sink(
                path,
                opened.grid,
                bands_out,
                dtype or opened.dtype,
                nodata=nodata,
                masked=opened.may_have_gaps,
                like=opened.dataset,
                band_names=band_names,
            ) as sink,
            tqdm(total=len(rows) * len(cols), unit="tile", disable=not progress) as bar,
        ):
            for batch in _batches(tiles, batch_size):
                translated = _checked(apply, batch, bands_out)
                for (row, col, _), tile in zip(batch, translated, strict=True):
                    merged.add(row, col, tile)
                    if col == len(cols) - 1:
                        top = merged.top
                        done = merged.finished(row)
                        if done.shape[1]:
                            sink.write(top, done, _take(validity, done.shape[1]))
                bar.update(len(batch))
    seconds = time.perf_counter() - began
    return TranslatedRaster(path, opened.grid, len(rows) * len(cols), seconds)


Tile = tuple[int, int, NDArray[np.float32]]


def _tiles(
    source: Source,
    rows: Axis,
    cols: Axis,
    fill: float | Sequence[float],
    validity: list[NDArray[np.bool_]],
) -> Iterator[Tile]:
    """Yield (tile row, tile column, values); append the validity of every row as it is read."""
    strip = np.empty((source.bands, 0, cols.padded), np.float32)
    bottom = 0
    for row, start in enumerate(rows.starts):
        fresh = Window(0, bottom, cols.padded, start + rows.tile - bottom)
        data, valid = source.read(fresh)
        validity.append(valid[: rows.size - bottom, : cols.size])
        known = strip[:, strip.shape[1] - (bottom - start) :]
        strip = np.concatenate([known, fill_gaps(data, valid, fill)], axis=1)
        bottom = start + rows.tile
        for col, left in enumerate(cols.starts):
            yield row, col, strip[:, :, left : left + cols.tile]


def _batches(tiles: Iterator[Tile], size: int) -> Iterator[list[Tile]]:
    while batch := list(itertools.islice(tiles, size)):
        yield batch


def _take(rows: list[NDArray[np.bool_]], count: int) -> NDArray[np.bool_]:
    """Remove the first `count` rows from a list of row blocks and return them."""
    joined = np.concatenate(rows)
    rows[:] = [joined[count:]]
    return joined[:count]


def _checked(apply: Apply, batch: list[Tile], bands_out: int) -> Batch:
    given = np.stack([tile for _, _, tile in batch])
    returned = np.asarray(apply(given), np.float32)
    expected = (len(batch), bands_out, *given.shape[2:])
    if returned.shape != expected:
        raise InvalidInputError(
            f"apply returned {returned.shape} for {given.shape}; it has to return {expected}."
        )
    finite = np.isfinite(returned).all(axis=(1, 2, 3))
    if not finite.all():
        row, col, _ = batch[int(np.argmin(finite))]
        raise GeotranslateError(
            f"The translation of the tile in tile row {row}, column {col} holds NaN or infinity. "
            "Look at the source there, and at the model: did its losses stay finite?"
        )
    return returned


def _refuse_same_file(source: Source, output: Path) -> None:
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
