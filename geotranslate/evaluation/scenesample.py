"""A first pass over two rasters: ranges, means, different values, and a sample of their pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from rasterio.windows import Window

from geotranslate.errors import InvalidInputError
from geotranslate.evaluation.classcounts import MOST_CLASSES
from geotranslate.evaluation.similarity import Array, Mask
from geotranslate.evaluation.windows import AlignedReader, Core

MOST_PIXELS = 200_000
"""Pixels of the sample from which medians are taken and linear maps fitted."""
SIDE = 512
"""Side of the windows in which samples are read, px."""


def sampling_step(height: int, width: int) -> int:
    """Return the distance of the sampled rows and columns of a scene."""
    return max(1, math.ceil(math.sqrt(height * width / MOST_PIXELS)))


def sampled(window: Window, step: int, values: Array, valid: Mask) -> Array:
    """Return the valid values `(bands, pixels)` of every `step`-th row and column of a scene."""
    rows, cols = (
        slice((step // 2 - int(first)) % step, None, step)
        for first in (window.row_off, window.col_off)
    )
    return values[:, rows, cols][:, valid[rows, cols]]


@dataclass(frozen=True)
class SceneSample:
    """Facts of the pixels that are valid in prediction and reference."""

    low: Array
    """Smallest value `(2, bands)` of prediction and reference."""
    high: Array
    mean: Array
    """Mean of the reference, by band."""
    reference: Array
    """Sampled pixels of the reference `(bands, pixels)`."""
    source: Array
    """The same pixels of the source, where it is valid too; empty without a source."""
    paired: Array
    """The pixels of the reference of which `source` holds the source."""

    @property
    def median(self) -> Array | None:
        """Median of the sampled pixels of the reference, by band; None if there are none."""
        return np.median(self.reference, axis=1) if self.reference.size else None


def sample_scene_pair(
    cores: Iterable[Core],
    step: int,
    prediction: AlignedReader,
    reference: AlignedReader,
    source: AlignedReader | None,
) -> SceneSample:
    """Read two rasters of quantities once.

    Raises:
        InvalidInputError: They have no valid pixel in common.
    """
    bands = reference.bands
    low, high = np.full((2, bands), np.inf), np.full((2, bands), -np.inf)
    total, count = np.zeros(bands), 0
    pixels: list[Array] = []
    pairs: list[Array] = []
    for core in cores:
        window = core.inside
        (ours, known), (theirs, valid) = prediction.read(window), reference.read(window)
        valid = valid & known
        if not valid.any():
            continue
        sides = np.stack([ours[:, valid], theirs[:, valid]])
        low, high = np.minimum(low, sides.min(2)), np.maximum(high, sides.max(2))
        total, count = total + sides[1].sum(1), count + sides.shape[2]
        pixels.append(sampled(window, step, theirs, valid))
        if source is not None:
            values, seen = source.read(window)
            pairs.append(sampled(window, step, np.concatenate([values, theirs]), seen & valid))
    if not count:
        raise nothing_common(prediction, reference)
    extra = 0 if source is None else source.bands
    joined = np.concatenate(pairs, axis=1) if pairs else np.empty((extra + bands, 0))
    found = np.concatenate(pixels, axis=1)
    return SceneSample(low, high, total / count, found, joined[:extra], joined[extra:])


def class_numbers(
    cores: Iterable[Core], prediction: AlignedReader, reference: AlignedReader
) -> list[int]:
    """Return the different values of two rasters of classes where both are valid, sorted.

    Raises:
        InvalidInputError: They have no valid pixel in common, values that are no whole numbers, or
            too many different ones.
    """
    seen: set[float] = set()
    for core in cores:
        (ours, known), (theirs, valid) = prediction.read(core.inside), reference.read(core.inside)
        both = valid & known
        for values in (ours, theirs):
            seen.update(np.unique(values[0, both]).tolist())
        if len(seen) > MOST_CLASSES or any(value != int(value) for value in seen):
            raise InvalidInputError(
                f"{prediction.original.name} and {reference.original.name} hold more than "
                f"{MOST_CLASSES} different values or fractions, so they are no classes; pass "
                "classes=False (--classes false) for quantities, or give the class numbers."
            )
    if not seen:
        raise nothing_common(prediction, reference)
    return sorted(map(int, seen))


def nothing_common(prediction: AlignedReader, reference: AlignedReader) -> InvalidInputError:
    """Return the error for two rasters without a valid pixel in common."""
    return InvalidInputError(
        f"{prediction.original.name} and {reference.original.name} have no valid pixel in common; "
        "check their nodata values and masks, and that the reference covers this place."
    )
