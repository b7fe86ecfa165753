"""Errors in the target's units over valid pixels, summed batch by batch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


class ErrorSums:
    """Sums of the errors of all bands, from which the metrics follow exactly."""

    def __init__(self) -> None:
        self.count, self.total, self.absolute, self.squared = 0, 0.0, 0.0, 0.0

    def add(self, prediction: NDArray[Any], target: NDArray[Any]) -> None:
        """Add the values of arrays of one shape; NaN in the target is not counted."""
        valid = np.isfinite(target)
        error = prediction[valid].astype(np.float64) - target[valid]
        self.count += error.size
        self.total += float(error.sum())
        self.absolute += float(np.abs(error).sum())
        self.squared += float((error**2).sum())

    def metrics(self, data_range: float) -> dict[str, float]:
        """Return the standard measures.

        Args:
            data_range: Peak of the PSNR, in the target's units.

        Returns:
            `mae`, `rmse`, `bias` (prediction minus target), `psnr` in dB
            (`20 log10(data_range / rmse)`, infinite without error), `psnr_range` and `count`,
            the number of values compared.
        """
        if not self.count:
            return dict.fromkeys(("mae", "rmse", "bias", "psnr"), math.nan) | {
                "psnr_range": data_range,
                "count": 0,
            }
        rmse = math.sqrt(self.squared / self.count)
        return {
            "mae": self.absolute / self.count,
            "rmse": rmse,
            "bias": self.total / self.count,
            "psnr": _psnr(rmse, data_range),
            "psnr_range": data_range,
            "count": self.count,
        }


def _psnr(rmse: float, data_range: float) -> float:
    if not rmse:
        return math.inf
    return 20 * math.log10(data_range / rmse) if data_range > 0 else math.nan
