"""The bands of chips: classes or quantities, statistics, scaling and the data card."""

from geotranslate.chips.bands.classes import (
    COLORS_TAG,
    TAG,
    Classes,
    ClassFacts,
    Codes,
    classes_of,
    colors_of,
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
from geotranslate.chips.bands.layerclasses import (
    BandClasses,
    ClassesLike,
    band_classes,
    check_band_classes,
)
from geotranslate.chips.bands.layerscaling import ScalingLike, check_scaling, scaling_of
from geotranslate.chips.bands.quantiles import QuantileMap, Quantiles, sample_scene
from geotranslate.chips.bands.scaling import Scaling, ScalingKind, make_scaling
from geotranslate.chips.bands.statistics import Statistics

__all__ = [
    "COLORS_TAG",
    "SOURCE_PREFIX",
    "TAG",
    "TARGET_PREFIX",
    "BandClasses",
    "ClassFacts",
    "Classes",
    "ClassesLike",
    "Codes",
    "DataCard",
    "Direction",
    "QuantileMap",
    "Quantiles",
    "Scaling",
    "ScalingKind",
    "ScalingLike",
    "Side",
    "Statistics",
    "band_classes",
    "check_band_classes",
    "check_scaling",
    "classes_of",
    "colors_of",
    "make_scaling",
    "parsed_crs",
    "resampling_for",
    "sample_scene",
    "scaling_of",
]
