"""Output files: their profile and path, their parts, and the GeoTIFF assembled from parts."""

from __future__ import annotations

from geotranslate.raster.writing.cog import assemble
from geotranslate.raster.writing.destination import (
    check_output,
    default_output,
    remove_temporaries,
    sole_holder,
    unwritten,
)
from geotranslate.raster.writing.geotiff import small_geotiff
from geotranslate.raster.writing.partfile import PartFile, part_path, read_tags, stored
from geotranslate.raster.writing.profile import (
    DRIVERS,
    Color,
    Driver,
    OutputOptions,
    OutputProfile,
    checked_nodata,
    driver_named,
)

__all__ = [
    "DRIVERS",
    "Color",
    "Driver",
    "OutputOptions",
    "OutputProfile",
    "PartFile",
    "assemble",
    "check_output",
    "checked_nodata",
    "default_output",
    "driver_named",
    "part_path",
    "read_tags",
    "remove_temporaries",
    "small_geotiff",
    "sole_holder",
    "stored",
    "unwritten",
]
