"""Per-band statistics over valid pixels, and the scaling that they give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """Count of valid pixels and, per band, minimum, maximum, mean and squared deviations (M2).

    Sums are float64 about the mean, so they merge exactly enough for any number of pixels
    (Chan, Golub and LeVeque 1979).
    """

    count: int
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    mean: NDArray[np.float64]
    m2: NDArray[np.float64]

    @classmethod
    def empty(cls, bands: int) -> Statistics:
        """Return the statistics of no pixel, which added to others change nothing."""
        nothing = np.zeros(bands)
        return cls(0, nothing + np.inf, nothing - np.inf, nothing, nothing)

    @classmethod
    def of(cls, data: NDArray[Any], valid: NDArray[np.bool_]) -> Statistics:
        """Measure the valid pixels of `(bands, rows, cols)` values."""
        values = data[:, valid].astype(np.float64)
        if not values.size:
            return cls.empty(len(data))
        mean = values.mean(axis=1)
        m2 = ((values - mean[:, None]) ** 2).sum(axis=1)
        return cls(values.shape[1], values.min(axis=1), values.max(axis=1), mean, m2)

    def __add__(self, other: Statistics) -> Statistics:
        count = self.count + other.count
        weight = other.count / count if count else 0.0
        apart = other.mean - self.mean
        return Statistics(
            count,
            np.minimum(self.minimum, other.minimum),
            np.maximum(self.maximum, other.maximum),
            self.mean + apart * weight,
            self.m2 + other.m2 + apart**2 * (self.count * weight),
        )

    @property
    def std(self) -> NDArray[np.float64]:
        """Population standard deviation of every band."""
        return np.sqrt(self.m2 / max(self.count, 1))


@dataclass(frozen=True, slots=True)
class Scaling:
    """The invertible map of every band from `low`..`high` in its units to -1..1.

    Values beyond the range are mapped beyond -1..1, not clipped.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def for_side(cls, statistics: Statistics, dtype: str) -> Scaling:
        """Choose the range: the whole of uint8, else each band's minimum and maximum."""
        if dtype == "uint8":
            bands = len(statistics.mean)
            return cls((0.0,) * bands, (255.0,) * bands)
        return cls(
            tuple(map(float, statistics.minimum)),
            tuple(map(float, statistics.maximum)),
        )

    def scale(self, data: NDArray[Any]) -> NDArray[np.float32]:
        """Map `(..., bands, rows, cols)` from the raster's units to -1..1; NaN stays NaN."""
        middle, half = self._middle_and_half()
        return ((data - middle) / half).astype(np.float32)

    def unscale(self, scaled: NDArray[Any]) -> NDArray[np.float32]:
        """Map `(..., bands, rows, cols)` from -1..1 back to the raster's units."""
        middle, half = self._middle_and_half()
        return (scaled * half + middle).astype(np.float32)

    def _middle_and_half(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        low, high = np.array(self.low), np.array(self.high)
        # A constant band has no range; any positive number keeps its map invertible.
        half = np.where(high > low, (high - low) / 2, 1.0)
        return ((low + high) / 2)[:, None, None], half[:, None, None]
