"""Measures of seams: how far a translated raster shows the tiles it was made of."""

from __future__ import annotations

from geotranslate.raster.seams.measurement import Seams, measure_seams

__all__ = [
    "Seams",
    "measure_seams",
]
