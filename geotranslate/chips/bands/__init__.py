"""What the bands of chips hold: classes or quantities, statistics, scaling and the data card."""

from geotranslate.chips.bands.bandstatistics import Statistics
from geotranslate.chips.bands.classvalues import (
    COLOURS_TAG,
    TAG,
    Classes,
    ClassFacts,
    Codes,
    classes_of,
    colours_of,
    resampling_for,
)
from geotranslate.chips.bands.datacard import (
    SOURCE_PREFIX,
    TARGET_PREFIX,
    DataCard,
    Direction,
    Side,
    parsed_crs,
)
from geotranslate.chips.bands.scaling import Scaling, ScalingKind, make_scaling

__all__ = [
    "COLOURS_TAG",
    "SOURCE_PREFIX",
    "TAG",
    "TARGET_PREFIX",
    "ClassFacts",
    "Classes",
    "Codes",
    "DataCard",
    "Direction",
    "Scaling",
    "ScalingKind",
    "Side",
    "Statistics",
    "classes_of",
    "colours_of",
    "make_scaling",
    "parsed_crs",
    "resampling_for",
]
