"""Write a GeoTIFF row by row under a temporary name and put it in place when it is complete."""

from __future__ import annotations

import os
import reprlib
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import DatasetWriter
from rasterio.windows import Window

from geotranslate.errors import GeotranslateError, InvalidInputError, RasterFileError
from geotranslate.raster.completeness import is_complete
from geotranslate.raster.destination import SIDECARS
from geotranslate.raster.destination import check_output as check_output
from geotranslate.raster.dtypes import DTYPES, avoid_value, fits, to_dtype
from geotranslate.raster.grid import Grid
from geotranslate.raster.opening import Dataset, quiet_about_georeference, reason
from geotranslate.raster.partfile import BLOCK as BLOCK

if TYPE_CHECKING:
    from typing_extensions import Self


class Sink:
    """A GeoTIFF in the making; the final name appears when the `with` block ends without error.

    Tiled in blocks of 256, compressed with deflate, BigTIFF where the size may need it. Invalid
    pixels get the nodata value; where there is none, a mask inside the file (or NaN, for floats)
    says which they are.

    Args:
        path: Where the file shall be, in an existing folder.
        grid: Its grid.
        bands: Its number of bands.
        dtype: numpy name of its dtype; values are rounded and clipped to it.
        nodata: Its nodata value, which has to fit the dtype.
        masked: Whether invalid pixels may come.
        like: Open dataset whose GCPs and RPCs it takes over; it has to lie on the same grid.
        band_names: Descriptions of its bands, one a band; none by default.
    """

    def __init__(
        self,
        path: Path,
        grid: Grid,
        bands: int,
        dtype: str,
        *,
        nodata: float | None = None,
        masked: bool = False,
        like: Dataset | None = None,
        band_names: Sequence[str] = (),
    ) -> None:
        if dtype not in DTYPES:
            raise InvalidInputError(f"dtype is {dtype!r}; give one of {', '.join(DTYPES)}.")
        if nodata is None and masked and np.issubdtype(dtype, np.floating):
            nodata = float("nan")
        if nodata is not None and not fits(nodata, dtype):
            raise InvalidInputError(
                f"nodata is {nodata:g}, which {dtype} cannot hold; give another nodata or dtype."
            )
        if isinstance(band_names, str) or len(band_names) not in (0, bands):
            raise InvalidInputError(
                f"band_names is {reprlib.repr(band_names)}; give one name for each of the "
                f"{bands} bands of the output, or none."
            )
        self.path, self.grid, self.bands, self.dtype = path, grid, bands, dtype
        self.nodata, self.masked, self.like = nodata, masked, like
        self.band_names = tuple(band_names)
        self._temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.partial.tif")

    def __enter__(self) -> Self:
        self._env = rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True)
        self._env.__enter__()
        try:
            with quiet_about_georeference():
                self._dataset = self._create()
            # What is said before the first block is written stands before it in the file.
            if self.band_names:
                self._dataset.descriptions = self.band_names
            self._carry_over_points()
        except (RasterioError, OSError) as error:
            self._discard()
            raise RasterFileError(
                f"{self.path} cannot be written: {reason(error, self._temporary)}."
            ) from error
        return self

    def _create(self) -> DatasetWriter:
        floating = np.issubdtype(self.dtype, np.floating)
        return rasterio.open(
            self._temporary,
            "w",
            driver="GTiff",
            crs=self.grid.crs,
            transform=self.grid.transform,
            height=self.grid.height,
            width=self.grid.width,
            count=self.bands,
            dtype=self.dtype,
            nodata=self.nodata,
            tiled=True,
            blockxsize=BLOCK,
            blockysize=BLOCK,
            interleave="pixel",
            compress="deflate",
            predictor=3 if floating else 2,
            bigtiff="if_safer",
            alpha="NO",  # GDAL takes the fourth of four bytes for alpha otherwise
        )

    def _carry_over_points(self) -> None:
        if self.like is None:
            return
        points, crs = self.like.gcps
        if points:
            self._dataset.gcps = (points, crs)
        # As they are: rasterio's own RPC class loses an error estimate of 0.
        if coefficients := self.like.tags(ns="RPC"):
            self._dataset.update_tags(ns="RPC", **coefficients)

    @property
    def _has_mask(self) -> bool:
        return self.masked and self.nodata is None

    def write(self, row: int, data: NDArray[np.float32], valid: NDArray[np.bool_]) -> None:
        """Write full-width rows from `row` on: `(bands, rows, cols)` and their validity."""
        typed = to_dtype(data, self.dtype)
        if self.nodata is not None:
            typed = np.where(valid, avoid_value(typed, self.nodata), typed.dtype.type(self.nodata))
        window = Window(0, row, typed.shape[2], typed.shape[1])
        try:
            self._dataset.write(typed, window=window)
            if self._has_mask:
                self._dataset.write_mask(valid, window=window)
        except (RasterioError, OSError) as error:
            raise RasterFileError(
                f"{self.path} cannot be written at row {row}: {reason(error, self._temporary)}."
            ) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._dataset.close()
            if error is None:
                self._put_in_place()
        except GeotranslateError:
            raise
        except (RasterioError, OSError) as problem:
            if error is None:
                raise RasterFileError(
                    f"{self.path} cannot be completed: {reason(problem, self._temporary)}."
                ) from problem
        finally:
            self._discard()

    def _put_in_place(self) -> None:
        if not is_complete(self._temporary, masked=self._has_mask):
            raise RasterFileError(
                f"{self.path} cannot be completed: the disk is full or a limit on file sizes is "
                "reached. Make room and start again."
            )
        os.replace(self._temporary, self.path)
        # Overviews, masks and statistics of a former output would be taken for those of this one.
        for ending in SIDECARS:
            Path(f"{self.path}{ending}").unlink(missing_ok=True)

    def _discard(self) -> None:
        self._env.__exit__(None, None, None)
        self._temporary.unlink(missing_ok=True)
