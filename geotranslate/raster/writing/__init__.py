"""Files of outputs: their profile and place, the parts, and the GeoTIFF assembled from them."""

from __future__ import annotations

from geotranslate.raster.writing.cog import Driver, assemble, driver_named
from geotranslate.raster.writing.destination import (
    check_output,
    default_output,
    remove_temporaries,
    unwritten,
)
from geotranslate.raster.writing.locks import sole_holder
from geotranslate.raster.writing.partfile import PartFile, read_tags
from geotranslate.raster.writing.profile import OutputProfile
from geotranslate.raster.writing.profile_checks import Color, checked_nodata, checked_tags
from geotranslate.raster.writing.smallfile import small_geotiff

__all__ = [
    "Color",
    "Driver",
    "OutputProfile",
    "PartFile",
    "assemble",
    "check_output",
    "checked_nodata",
    "checked_tags",
    "default_output",
    "driver_named",
    "read_tags",
    "remove_temporaries",
    "small_geotiff",
    "sole_holder",
    "unwritten",
]
