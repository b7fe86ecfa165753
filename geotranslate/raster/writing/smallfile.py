"""Write a GeoTIFF that fits into memory."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rasterio
from rasterio.io import DatasetWriter

from geotranslate.raster.opening import quiet_about_georeference
from geotranslate.raster.writing.geotiff import is_complete


@contextmanager
def small_geotiff(path: Path, **profile: Any) -> Iterator[DatasetWriter]:
    """Yield a GeoTIFF in memory, which is written to its path when the block ends.

    GDAL does not say what it fails to write as it closes a file; Python does.

    Args:
        path: Where it shall be.
        profile: What rasterio needs to create it. A mask goes inside the file.

    Raises:
        OSError: It cannot be written.
        RasterioError: GDAL cannot make it.
    """
    with (
        quiet_about_georeference(),
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.MemoryFile() as memory,
    ):
        with memory.open(driver="GTiff", **profile) as dataset:
            yield dataset
        path.write_bytes(memory.getbuffer())
    # Memory may have been full as well.
    if not is_complete(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
