"""Assembly of parts into one GeoTIFF, cloud optimized or tiled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from rasterio._err import CPLE_BaseError  # what copying raises is not public
from rasterio.enums import MaskFlags, Resampling
from rasterio.errors import RasterioError

from geotranslate.errors import InvalidInputError, RasterFileError
from geotranslate.files import put_in_place
from geotranslate.raster.opening import limited_cache, quiet_about_georeference
from geotranslate.raster.writing.destination import (
    cut_off,
    remove_sidecars,
    temporary_for,
    unwritten,
)
from geotranslate.raster.writing.geotiff import is_complete
from geotranslate.raster.writing.profile import Driver, OutputProfile, driver_named
from geotranslate.raster.writing.vrt import vrt_of

SIDE = 512
"""Side of the blocks of outputs, px; larger outputs have overviews down to it."""

LEVEL, CLASSES_LEVEL = 1, 6
"""Levels of deflate. For imagery, higher levels take a multiple of the time and save a hundredth;
for classes, which compress fast in any case, they save a third."""


def assemble(
    path: Path,
    output: OutputProfile,
    parts: Sequence[tuple[Path, range]],
    driver: Driver = "COG",
    folder: Path | None = None,
) -> None:
    """Write the parts of an output as one GeoTIFF with overviews.

    It is compressed with deflate, and a BigTIFF if the size may need it. A former file and its
    sidecars stay until the new file is complete. The parts stay.

    Args:
        path: File to write, in an existing folder.
        output: Its profile.
        parts: Files that `PartFile` wrote, and the rows of the output in each, top down.
        driver: "COG" for a Cloud Optimized GeoTIFF, "GTiff" for a tiled one.
        folder: Folder of the temporary file, on the same disk; the path's by default.

    Raises:
        InvalidInputError: The parts are not the rows of the output, or there is no such driver.
        RasterFileError: A part is missing or damaged, or the file cannot be written.
    """
    driver = driver_named(driver)
    _check_rows(output, parts)
    for part, rows in parts:
        _check_part(part, output, rows)
    temporary = temporary_for(path, folder)
    try:
        _write(temporary, output, vrt_of(output, parts), driver)
        if not is_complete(temporary, masked=output.has_mask):
            raise cut_off(path)
        put_in_place(temporary, path)
        remove_sidecars(path)
    except RasterFileError:
        raise
    except (RasterioError, CPLE_BaseError, OSError) as error:
        raise unwritten(path, "completed", error, temporary) from error
    finally:
        # GDAL removes its own temporary file, but not when it is interrupted.
        for ending in ("", ".ovr.tmp", ".msk.ovr.tmp"):
            Path(f"{temporary}{ending}").unlink(missing_ok=True)


def _check_rows(output: OutputProfile, parts: Sequence[tuple[Path, range]]) -> None:
    bottom = 0
    for _, rows in parts:
        if rows.start != bottom:
            break
        bottom = rows.stop
    if bottom != output.grid.height:
        raise InvalidInputError(
            f"The parts hold rows 0 to {bottom} of {output.grid.height} without a gap; "
            "give all parts, top down."
        )


def _check_part(part: Path, output: OutputProfile, rows: range) -> None:
    if not part.exists():
        raise RasterFileError(f"The part {part} is missing; start again to have it made anew.")
    expected = (output.bands, len(rows), output.grid.width, {output.dtype})
    try:
        with rasterio.open(part) as dataset:
            found = (dataset.count, dataset.height, dataset.width, set(dataset.dtypes))
            # Only parts with an invalid pixel have a mask.
            masked = MaskFlags.per_dataset in dataset.mask_flag_enums[0]
    except (RasterioError, OSError):
        found, masked = None, False
    if found != expected or not is_complete(part, masked=masked):
        raise RasterFileError(
            f"The part {part} is damaged or not of this output; remove it and start again to have "
            "it made anew."
        )


def _write(path: Path, output: OutputProfile, vrt: bytes, driver: Driver) -> None:
    categorical = output.categorical or output.colormap is not None
    level = CLASSES_LEVEL if categorical else LEVEL
    options: dict[str, object] = {
        "COMPRESS": "DEFLATE",
        "NUM_THREADS": "ALL_CPUS",
        "BIGTIFF": "IF_SAFER",
    }
    if driver == "COG":
        options |= {
            "BLOCKSIZE": SIDE,
            "LEVEL": level,
            "PREDICTOR": "NO" if categorical else "YES",
            "OVERVIEWS": "IGNORE_EXISTING",
            "OVERVIEW_RESAMPLING": "NEAREST" if categorical else "AVERAGE",
        }
    else:
        floating = np.issubdtype(output.dtype, np.floating)
        options |= {
            "TILED": "YES",
            "BLOCKXSIZE": SIDE,
            "BLOCKYSIZE": SIDE,
            "ZLEVEL": level,
            "PREDICTOR": 1 if categorical else 3 if floating else 2,
        }
    with (
        limited_cache(output.grid.width, 2 * output.depth),
        rasterio.Env(
            GDAL_TIFF_INTERNAL_MASK=True,
            GDAL_PAM_ENABLED=False,  # no sidecar file
            COG_TMP_COMPRESSION="NONE",  # compressing temporary overviews would take longest
            GDAL_NUM_THREADS="ALL_CPUS",
            ZLEVEL_OVERVIEW=level,
            GDAL_TIFF_OVR_BLOCKSIZE=SIDE,
        ),
    ):
        with rasterio.MemoryFile(vrt, ext=".vrt") as file:
            rasterio.shutil.copy(file.name, path, driver=driver, **options)
        if driver == "GTiff":
            _add_overviews(path, Resampling.nearest if categorical else Resampling.average)


def _add_overviews(path: Path, resampling: Resampling) -> None:
    with quiet_about_georeference(), rasterio.open(path, "r+") as dataset:
        factors = [2]
        while max(dataset.shape) > SIDE * factors[-1]:
            factors.append(2 * factors[-1])
        if max(dataset.shape) > SIDE:
            dataset.build_overviews(factors, resampling)
