"""Division of chips into training and validation on separate ground."""

from geotranslate.chips.split.apart import LEAST_LEFT, GroundShares
from geotranslate.chips.split.division import SplitOptions, divide, ground_of
from geotranslate.chips.split.folds import chosen_fold
from geotranslate.chips.split.footprints import (
    DIGITS,
    FOOTPRINTS_FILE,
    VALID_SHARES,
    Row,
    read_rows,
    refuse_open_footprints,
    write_footprints,
)
from geotranslate.chips.split.methods import Split, SplitMethod

__all__ = [
    "DIGITS",
    "FOOTPRINTS_FILE",
    "LEAST_LEFT",
    "VALID_SHARES",
    "GroundShares",
    "Row",
    "Split",
    "SplitMethod",
    "SplitOptions",
    "chosen_fold",
    "divide",
    "ground_of",
    "read_rows",
    "refuse_open_footprints",
    "write_footprints",
]
