"""Translation of rasters of any size, tile by tile and in parts."""

from __future__ import annotations

from geotranslate.raster.pipeline.parts import assemble_parts
from geotranslate.raster.pipeline.prescan import SceneTiles, Tile
from geotranslate.raster.pipeline.result import Drift, Seconds, TranslatedRaster
from geotranslate.raster.pipeline.translate import translate_raster
from geotranslate.raster.pipeline.translate_options import check_executor

__all__ = [
    "Drift",
    "SceneTiles",
    "Seconds",
    "Tile",
    "TranslatedRaster",
    "assemble_parts",
    "check_executor",
    "translate_raster",
]
