"""Georeferenced grids: read, tile, merge and write rasters (numpy and rasterio, never torch)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geotranslate.raster.pipeline import TranslatedRaster, translate_raster

__all__ = ["TranslatedRaster", "translate_raster"]


def __getattr__(name: str) -> Any:
    # The modules of this room import each other: its public names come when they are used.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("geotranslate.raster.pipeline"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
