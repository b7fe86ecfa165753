"""Targets, and pairs of translations and targets, of any kind."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from geotranslate.chips.bands.classes import Classes
from geotranslate.chips.bands.datacard import Side
from geotranslate.chips.bands.scaling import Scaling


def side(
    bands: int = 3,
    dtype: str = "uint8",
    classes: tuple[int, ...] | None = None,
    scaling: Scaling | None = None,
    names: tuple[str, ...] | None = None,
) -> Side:
    if scaling is None:
        high = {"uint8": 255.0, "uint16": 4000.0}.get(dtype, 70.0)
        scaling = Scaling.linear(np.zeros(bands), np.full(bands, high))
    return Side(
        bands=bands,
        dtype=dtype,
        nodata=None,
        band_names=names or ("",) * bands,
        indexes=tuple(range(1, bands + 1)),
        file_bands=bands,
        classes=None if classes is None else Classes(classes, None),
        mean=tuple(np.divide(np.add(scaling.low, scaling.high), 2)),
        scaling=scaling,
    )


def pair(
    shape: tuple[int, ...], seed: int = 0, noise: float = 0.1, gaps: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Return a translation and a target `(n, bands, rows, cols)` in -1..1, NaN in the gaps."""
    chance = np.random.default_rng(seed)
    rows, cols = np.indices(shape[-2:]) / 7
    waves = np.sin(rows + chance.uniform(0, 6, (*shape[:2], 1, 1))) * np.cos(cols)
    target = (0.8 * waves + noise * chance.normal(size=shape)).clip(-1, 1)
    prediction = (target + noise * chance.normal(size=shape)).clip(-1, 1)
    invalid = chance.random((shape[0], 1, *shape[2:])) < gaps
    target = np.where(invalid, np.nan, target)
    return torch.from_numpy(prediction).float(), torch.from_numpy(target).float()


def in_units(known: Side, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return both as a raster of the side holds them, float64."""
    ours, theirs = (
        known.scaling.unscale(each.numpy()).astype(float) for each in (prediction, target)
    )
    if np.issubdtype(known.dtype, np.integer):
        limits = np.iinfo(known.dtype)
        ours = np.rint(ours).clip(limits.min, limits.max)
    return torch.from_numpy(ours), torch.from_numpy(theirs)
