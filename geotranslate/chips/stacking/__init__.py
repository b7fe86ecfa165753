"""Stacks: of rasters, of texts, and of tables and STAC Items."""

from geotranslate.chips.stacking.layerjoin import layer_names, stack
from geotranslate.chips.stacking.rastertext import as_raster
from geotranslate.chips.stacking.scenetable import stack_dates, stacks

__all__ = ["as_raster", "layer_names", "stack", "stack_dates", "stacks"]
