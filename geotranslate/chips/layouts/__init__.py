"""Layouts of chip folders: their recognition, and the listing of their chips."""

from geotranslate.chips.layouts.base import (
    TEST,
    VALIDATION,
    ChipFile,
    ChipPlace,
    ListedSide,
    Listing,
    RasterWindow,
    with_parts,
)
from geotranslate.chips.layouts.directory import CHIP_SUFFIXES, MAP_FILE, counted, read_map
from geotranslate.chips.layouts.paired_folders import SOURCE_FOLDER, TARGET_FOLDER
from geotranslate.chips.layouts.rasters import TwoRasters
from geotranslate.chips.layouts.recognition import list_chips

__all__ = [
    "CHIP_SUFFIXES",
    "MAP_FILE",
    "SOURCE_FOLDER",
    "TARGET_FOLDER",
    "TEST",
    "VALIDATION",
    "ChipFile",
    "ChipPlace",
    "ListedSide",
    "Listing",
    "RasterWindow",
    "TwoRasters",
    "counted",
    "list_chips",
    "read_map",
    "with_parts",
]
