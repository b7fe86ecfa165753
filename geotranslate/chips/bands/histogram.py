"""Counts of the values of integers of at most 16 bits, from which exact statistics follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """The different values of pixels, sorted, and the number of pixels that have each."""

    values: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, values: NDArray[Any]) -> Histogram | None:
        """Count values, at least one; None for floats and for integers of more than 16 bits."""
        if values.dtype.kind not in "iu" or values.dtype.itemsize > 2:
            return None
        # One pass, unlike sorting; -1 is counted as the largest number.
        counts = np.bincount(values.ravel().view(f"u{values.dtype.itemsize}"))
        found = np.flatnonzero(counts)
        if values.dtype.kind == "u":
            return cls(found, counts[found])
        size = 1 << 8 * values.dtype.itemsize
        signed = np.where(found < size // 2, found, found - size)
        order = signed.argsort()
        return cls(signed[order], counts[found[order]])

    @property
    def moments(self) -> tuple[float, float, float, float, float]:
        """Minimum, maximum, mean, M2 and least positive value (infinite if there is none).

        Mean and M2 are rounded once, from sums of whole numbers.
        """
        # 64 bits hold the squares of 2**31 pixels; the square of a sum needs Python's integers.
        count = int(self.counts.sum())
        total, squares = (int(self.counts @ powers) for powers in (self.values, self.values**2))
        positive = self.values[self.values > 0]
        return (
            float(self.values[0]),
            float(self.values[-1]),
            total / count,
            (count * squares - total**2) / count,
            float(positive[0]) if positive.size else float("inf"),
        )
