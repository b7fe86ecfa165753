"""Errors of values: MAE, RMSE, bias, R2 and PSNR."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CONSTANT = 1e-12
"""Share of the squares below which the variance is rounding error."""


class Errors:
    """MAE, RMSE, bias, R2 and PSNR, from sums over the valid pixels of every band.

    `bias` is the mean of prediction minus target. `r2` is `1 - sum(error^2) / sum((target -
    mean(target))^2)`, NaN for a constant target. `psnr` is `20 log10(psnr_range / rmse)` in dB,
    infinite without error. `count` is the number of values compared. Of several bands together,
    `mae`, `rmse` and `bias` are those of all values alike, `psnr_range` the largest of the bands'
    and `r2` the mean of the bands'.

    Args:
        ranges: For each band the peak of its PSNR, in the target's units.
        near: For each band a value that is typical of the target: sums about it lose no digits.
    """

    names = ("mae", "rmse", "bias", "r2", "psnr", "psnr_range", "count")

    def __init__(self, ranges: Sequence[float], near: Sequence[float] | None = None) -> None:
        self.ranges = ranges
        self.near = [0.0] * len(ranges) if near is None else near
        self._sums: Tensor | float = 0.0

    def add(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        """Add float64 `(n, bands, rows, cols)` in target units, `valid` `(n, 1, rows, cols)`."""
        near = target.new_tensor(self.near)[:, None, None]
        error = torch.where(valid, prediction - target, 0)
        value = torch.where(valid, target - near, 0)
        terms = (valid.expand_as(error), error, error.abs(), error**2, value, value**2)
        self._sums = self._sums + torch.stack([term.sum((0, 2, 3)).double() for term in terms])

    def per_band(self) -> list[dict[str, float]]:
        """Return the measures of every band."""
        rows = self._table()
        return [_measures(row, peak) for row, peak in zip(rows, self.ranges, strict=True)]

    def overall(self) -> dict[str, float]:
        """Return the measures of all bands together."""
        found = _measures(np.sum(self._table(), axis=0).tolist(), max(self.ranges))
        known = [band["r2"] for band in self.per_band() if not math.isnan(band["r2"])]
        return found | {"r2": sum(known) / len(known) if known else math.nan}

    def _table(self) -> list[list[float]]:
        if isinstance(self._sums, Tensor):
            return self._sums.T.tolist()
        return [[0.0] * 6 for _ in self.ranges]


def errors_between(
    prediction: NDArray[Any], target: NDArray[Any], data_range: float
) -> dict[str, float]:
    """Compare two arrays in the same units.

    Args:
        prediction: `(bands, rows, cols)`.
        target: The same; NaN is not counted.
        data_range: Peak of the PSNR, in those units.

    Returns:
        The measures of all bands together, see `Errors`.
    """
    truth = torch.from_numpy(target.astype(np.float64))[None]
    found = torch.from_numpy(prediction.astype(np.float64))[None]
    seen = target[np.isfinite(target)]
    near = float(seen.mean()) if seen.size else 0.0
    errors = Errors([data_range] * len(target), [near] * len(target))
    errors.add(found, truth, torch.isfinite(truth).all(1, keepdim=True))
    return errors.overall()


def _measures(sums: Sequence[float], peak: float) -> dict[str, float]:
    count, error, absolute, squared, value, squared_value = sums
    if not count:
        nothing = dict.fromkeys(("mae", "rmse", "bias", "r2", "psnr"), math.nan)
        return nothing | {"psnr_range": peak, "count": 0}
    rmse = math.sqrt(squared / count)
    spread = squared_value - value**2 / count
    return {
        "mae": absolute / count,
        "rmse": rmse,
        "bias": error / count,
        "r2": 1 - squared / spread if spread > CONSTANT * squared_value else math.nan,
        "psnr": _psnr(rmse, peak),
        "psnr_range": peak,
        "count": int(count),
    }


def _psnr(rmse: float, peak: float) -> float:
    if not rmse:
        return math.inf
    return 20 * math.log10(peak / rmse) if peak > 0 else math.nan
