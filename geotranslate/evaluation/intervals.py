"""Bootstrap intervals of measures over blocks of ground."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from geotranslate.evaluation.quantities import Found
from geotranslate.evaluation.similarity import Array

RESAMPLES = 1000
LEVEL = 95
"""Percent of the resampled measures within an interval."""
LEAST_BLOCKS = 5
"""With fewer blocks, there is no interval."""

Interval = tuple[float, float]
NONE: Interval = (math.nan, math.nan)
WITHOUT = ("count", "left_out", "psnr_range")
"""Measures that are no estimates."""


def intervals(blocks: Array, measures: Callable[[Array], Found], seed: int) -> dict[str, Interval]:
    """Return the percentile interval of every measure of all bands.

    Neighboring pixels are alike, so blocks of ground are drawn with replacement, not pixels (Efron
    and Tibshirani 1993). Intervals are too narrow where errors are alike over distances larger than
    a block.

    Args:
        blocks: Sums of the blocks with a valid pixel, `(blocks, size)`.
        measures: Returns the measures of sums `(..., size)`.
        seed: Seed of the draws.
    """
    count = len(blocks)
    names = [name for name in measures(blocks.sum(0)) if name not in WITHOUT]
    if count < LEAST_BLOCKS:
        return dict.fromkeys(names, NONE)
    chance = np.random.default_rng(seed)
    draws = chance.multinomial(count, np.full(count, 1 / count), RESAMPLES)
    found = measures(draws @ blocks)
    return {name: _interval(found[name][0]) for name in names}


def _interval(values: Array) -> Interval:
    known = values[np.isfinite(values)]
    # An interval of the draws in which a measure happens to be defined would be too narrow.
    if 2 * len(known) < len(values):
        return NONE
    rest = (100 - LEVEL) / 2
    low, high = np.percentile(known, (rest, 100 - rest)).tolist()
    return low, high
