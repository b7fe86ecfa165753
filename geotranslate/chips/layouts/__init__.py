"""Layouts of chip folders: their recognition, and the listing of their chips."""

from geotranslate.chips.layouts.base import (
    TEST,
    VALIDATION,
    ChipFile,
    ChipPlace,
    ListedSide,
    Listing,
    RasterWindow,
    known_label,
    with_parts,
)
from geotranslate.chips.layouts.directory import CHIP_SUFFIXES, MAP_FILE, Folder, counted, read_map
from geotranslate.chips.layouts.layered import list_layers
from geotranslate.chips.layouts.paired_folders import (
    LABELS_FOLDER,
    SOURCE_FOLDER,
    TARGET_FOLDER,
)
from geotranslate.chips.layouts.pairing import in_pairs, list_on_raster, list_two_folders
from geotranslate.chips.layouts.rasters import TwoRasters
from geotranslate.chips.layouts.recognition import list_chips
from geotranslate.chips.layouts.unpaired_folders import UNPAIRED_FOLDERS

__all__ = [
    "CHIP_SUFFIXES",
    "LABELS_FOLDER",
    "MAP_FILE",
    "SOURCE_FOLDER",
    "TARGET_FOLDER",
    "TEST",
    "UNPAIRED_FOLDERS",
    "VALIDATION",
    "ChipFile",
    "ChipPlace",
    "Folder",
    "ListedSide",
    "Listing",
    "RasterWindow",
    "TwoRasters",
    "counted",
    "in_pairs",
    "known_label",
    "list_chips",
    "list_layers",
    "list_on_raster",
    "list_two_folders",
    "read_map",
    "with_parts",
]
