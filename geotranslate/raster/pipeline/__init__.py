"""Translation of rasters of any size, tile by tile and in parts."""

from __future__ import annotations

from geotranslate.raster.pipeline.parts import assemble_parts
from geotranslate.raster.pipeline.prescan import SceneTiles, Tile
from geotranslate.raster.pipeline.rasteritem import (
    EXTENSIONS,
    MODEL_ITEM,
    PREFIX,
    band_entry,
    moment,
    moment_in,
    refuse_item,
    write_item,
)
from geotranslate.raster.pipeline.result import Drift, Seconds, TranslatedRaster, thumbnail
from geotranslate.raster.pipeline.sceneblocks import SceneBlocks
from geotranslate.raster.pipeline.translate import translate, translate_raster
from geotranslate.raster.pipeline.translate_options import (
    ReadOptions,
    RunOptions,
    TranslateOptions,
    check_executor,
)

__all__ = [
    "EXTENSIONS",
    "MODEL_ITEM",
    "PREFIX",
    "Drift",
    "ReadOptions",
    "RunOptions",
    "SceneBlocks",
    "SceneTiles",
    "Seconds",
    "Tile",
    "TranslateOptions",
    "TranslatedRaster",
    "assemble_parts",
    "band_entry",
    "check_executor",
    "moment",
    "moment_in",
    "refuse_item",
    "thumbnail",
    "translate",
    "translate_raster",
    "write_item",
]
