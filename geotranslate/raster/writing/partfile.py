"""Files of parts: whole block rows of an output."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.windows import Window

from geotranslate.errors import RasterFileError
from geotranslate.files import put_in_place
from geotranslate.raster.bandfacts import avoid_value, to_dtype
from geotranslate.raster.opening import reason
from geotranslate.raster.tiling import BLOCK
from geotranslate.raster.writing.destination import cut_off, temporary_for, unwritten
from geotranslate.raster.writing.geotiff import is_complete
from geotranslate.raster.writing.profile import OutputProfile


class PartFile:
    """Writer of a part, whose file appears under its name when it is closed.

    A `with` block opens it, and closes it at its end or discards it on an error. Parts are not
    compressed, as that takes several times as long as writing and reading them.

    Args:
        path: File of the part, in an existing folder.
        output: Profile of the output.
        rows: Rows of the output in the part.
    """

    def __init__(self, path: Path, output: OutputProfile, rows: range) -> None:
        self.path, self.output, self.rows = path, output, rows
        self._temporary = temporary_for(path)
        self._dataset: Any = None
        self._masked = False

    def open(self) -> None:
        """Begin the file.

        Raises:
            RasterFileError: It cannot be written.
        """
        try:
            self._dataset = rasterio.open(
                self._temporary,
                "w",
                driver="GTiff",
                # Any transform keeps rasterio from warning; the assembled output has its own.
                transform=Affine.scale(2),
                height=len(self.rows),
                width=self.output.grid.width,
                count=self.output.bands,
                dtype=self.output.dtype,
                tiled=True,
                blockxsize=BLOCK,
                blockysize=BLOCK,
                interleave="band",
                bigtiff="if_safer",
                alpha="NO",
            )
        except (RasterioError, OSError) as error:
            self._temporary.unlink(missing_ok=True)
            raise unwritten(self.path, "written", error, self._temporary) from error

    def write(
        self, row: int, col: int, data: NDArray[np.float32], valid: NDArray[np.bool_]
    ) -> None:
        """Write values `(bands, rows, cols)` and their validity `(rows, cols)`.

        Args:
            row: First row in the output, on a block's edge.
            col: First column, on a block's edge. The last ones lie at a block's edge too, or at
                the end of the part or output.
            data: Values in the output's units, finite where valid.
            valid: Validity of the pixels; invalid ones all get the same value.
        """
        window = Window(col, row - self.rows.start, data.shape[2], data.shape[1])
        typed = stored(self.output, data, valid)
        try:
            self._dataset.write(typed, window=window)
            self._write_mask(valid, window)
        except (RasterioError, OSError) as error:
            what = f"written at row {row}"
            raise unwritten(self.path, what, error, self._temporary) from error

    def _write_mask(self, valid: NDArray[np.bool_], window: Window) -> None:
        """Write validity as a mask if no value marks it, from the first invalid pixel on."""
        if self.output.marker is not None or (valid.all() and not self._masked):
            return
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
            if not self._masked:
                self._dataset.write_mask(True)
                self._masked = True
            self._dataset.write_mask(valid, window=window)

    def describe(self, values: dict[str, str]) -> None:
        """Write tags into the part, for `read_tags`."""
        self._dataset.update_tags(**values)

    def close(self) -> None:
        """Complete the file under its name.

        Raises:
            RasterFileError: It cannot be completed.
        """
        try:
            self._dataset.close()
            if not is_complete(self._temporary, masked=self._masked):
                raise cut_off(self.path)
            put_in_place(self._temporary, self.path)
        except RasterFileError:
            raise
        except (RasterioError, OSError) as error:
            raise unwritten(self.path, "completed", error, self._temporary) from error
        finally:
            self._temporary.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove the incomplete file."""
        with suppress(RasterioError, OSError):
            if self._dataset is not None:
                self._dataset.close()
        self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> PartFile:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


def stored(
    output: OutputProfile, data: NDArray[np.float32], valid: NDArray[np.bool_]
) -> NDArray[Any]:
    """Return values `(bands, rows, cols)` as they are stored in an output.

    Args:
        output: Profile of the output.
        data: Values in the output's units, finite where valid.
        valid: Validity `(rows, cols)`; invalid pixels all get the same value.
    """
    dtype, marker = output.dtype, output.marker
    # Converted NaNs of invalid pixels are overwritten.
    with np.errstate(invalid="ignore"):
        typed = np.stack([to_dtype(band, dtype) for band in data])
    if marker is not None:
        typed = avoid_value(typed, marker)
    else:
        marker = np.nan if np.issubdtype(dtype, np.floating) else 0
    if not valid.all():
        np.copyto(typed, typed.dtype.type(marker), where=~valid)
    return typed


def part_path(folder: Path, part: int) -> Path:
    """Return the file of a part, by its number from 0."""
    return folder / f"part_{part:06d}.tif"


def read_tags(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the tags that `PartFile.describe` wrote into a part."""
    try:
        with rasterio.open(path) as dataset:
            tags: dict[str, str] = dataset.tags()
    except (RasterioError, OSError) as error:
        raise RasterFileError(
            f"The part {path} cannot be read: {reason(error, path)}. Remove it and start again."
        ) from error
    tags.pop("AREA_OR_POINT", None)
    return tags
