"""fastai DataLoaders of scaled, augmented tensors from chips on disk."""

import warnings

with warnings.catch_warnings():
    # fastai calls functions that torch has deprecated, which users cannot change.
    warnings.simplefilter("ignore", FutureWarning)
    import fastai.layers  # noqa: F401

from geotranslate.data.datasets import PairDataset
from geotranslate.data.loaders import (
    RANKS,
    TrainDL,
    data_card,
    everywhere,
    is_main_process,
    launched,
    own_device,
    paired_card,
    told,
    validates_pairs,
)
from geotranslate.data.plotting import RgbBands, draw_table
from geotranslate.data.preparation import prepare_data

__all__ = [
    "RANKS",
    "PairDataset",
    "RgbBands",
    "TrainDL",
    "data_card",
    "draw_table",
    "everywhere",
    "is_main_process",
    "launched",
    "own_device",
    "paired_card",
    "prepare_data",
    "told",
    "validates_pairs",
]
