"""Georeferenced grids: read, tile, merge and write rasters (numpy and rasterio, never torch)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geotranslate.raster.parts import assemble_parts
    from geotranslate.raster.pipeline import translate_raster
    from geotranslate.raster.report import TranslatedRaster

__all__ = ["TranslatedRaster", "assemble_parts", "translate_raster"]

_HOMES = {
    "TranslatedRaster": "report",
    "assemble_parts": "parts",
    "translate_raster": "pipeline",
}


def __getattr__(name: str) -> Any:
    # The modules of this room import each other: its public names come when they are used.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"geotranslate.raster.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
