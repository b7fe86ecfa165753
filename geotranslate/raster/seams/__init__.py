"""Measures of visible tiles in a translated raster."""

from __future__ import annotations

from geotranslate.raster.seams.measurement import Seams, measure_seams

__all__ = [
    "Seams",
    "measure_seams",
]
