"""The layouts of chip folders: recognize one and list its chips."""

from geotranslate.chips.layouts.directory import CHIP_SUFFIXES, counted
from geotranslate.chips.layouts.esri import (
    MAP_FILE,
    METADATA_FILES,
    SOURCE_FOLDER,
    TARGET_FOLDER,
    ExportSide,
    read_map,
    write_metadata,
)
from geotranslate.chips.layouts.recognition import ChipFile, Listing, list_chips

__all__ = [
    "CHIP_SUFFIXES",
    "MAP_FILE",
    "METADATA_FILES",
    "SOURCE_FOLDER",
    "TARGET_FOLDER",
    "ChipFile",
    "ExportSide",
    "Listing",
    "counted",
    "list_chips",
    "read_map",
    "write_metadata",
]
