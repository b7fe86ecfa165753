"""Vector data on the ground of rasters: layers, areas of interest and footprints of chips."""

from geotranslate.chips.vectors.area import (
    Area,
    AreaLike,
    Ground,
    area_on,
    covered,
    footprints,
    where,
)
from geotranslate.chips.vectors.burning import BurnedLayer, Burner, layer_name, layer_of
from geotranslate.chips.vectors.shapes import in_crs, is_layer, read_layer, shapes_of, spread_over

__all__ = [
    "Area",
    "AreaLike",
    "BurnedLayer",
    "Burner",
    "Ground",
    "area_on",
    "covered",
    "footprints",
    "in_crs",
    "is_layer",
    "layer_name",
    "layer_of",
    "read_layer",
    "shapes_of",
    "spread_over",
    "where",
]
