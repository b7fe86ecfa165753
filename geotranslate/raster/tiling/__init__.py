"""Arithmetic of tiles: positions, overlaps and merging."""

from __future__ import annotations

from geotranslate.raster.tiling.axis import Axis, InterpolationGrid, tile_windows
from geotranslate.raster.tiling.merge import Mismatch, RowBuffer
from geotranslate.raster.tiling.overlap import (
    Blend,
    ReceptiveField,
    Tiling,
    TilingOptions,
    choose_tiling,
)
from geotranslate.raster.tiling.region import Region, corners, region_of
from geotranslate.raster.tiling.tile_plan import (
    BLOCK,
    RECIPE_TAG,
    REPORT_TAG,
    TILING_TAG,
    Place,
    Plan,
    WrittenAxis,
    part_height,
    tiling_text,
    written_axes,
)

__all__ = [
    "BLOCK",
    "RECIPE_TAG",
    "REPORT_TAG",
    "TILING_TAG",
    "Axis",
    "Blend",
    "InterpolationGrid",
    "Mismatch",
    "Place",
    "Plan",
    "ReceptiveField",
    "Region",
    "RowBuffer",
    "Tiling",
    "TilingOptions",
    "WrittenAxis",
    "choose_tiling",
    "corners",
    "part_height",
    "region_of",
    "tile_windows",
    "tiling_text",
    "written_axes",
]
