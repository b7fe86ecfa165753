"""Tile mismatch: absolute differences of overlapping tiles."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHIFT = 17
"""Bits of a float32 that a bin of the histogram leaves out: 64 bins for each power of two."""

BINS = 0x7F800000 >> SHIFT

MANTISSA = 23
"""Bits of a float32 after its exponent."""

EXPONENTS = 0x7F800000 >> MANTISSA

EVERY = 8
"""One in so many of the rows where tiles overlap is compared, which takes little time."""


@dataclass
class Mismatch:
    """Absolute differences |p - q| of tiles where they overlap, over valid pixels of all bands.

    All sums are whole numbers, so that parts, stripes and batches give the same tag. Float64 sums
    of the same differences depended on their grouping in 1 of 2000 random cases.
    """

    sums: NDArray[np.int64] = field(default_factory=lambda: np.zeros(EXPONENTS, np.int64))
    """Sum of the mantissas of all differences, by exponent."""
    bins: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))

    def add(
        self, one: NDArray[np.float32], other: NDArray[np.float32], valid: NDArray[np.bool_]
    ) -> None:
        """Count the differences of two arrays `(bands, rows, cols)`."""
        apart = np.abs(one - other)[:, valid]
        apart = np.ascontiguousarray(apart[np.isfinite(apart)], np.float32)
        bits = apart.view(np.uint32)
        # The bits of positive floats ascend with them: the leading bits are a logarithmic bin.
        found = np.bincount(bits >> SHIFT)
        self.bins[: len(found)] += found
        exponents = bits >> MANTISSA
        mantissas = (bits & ((1 << MANTISSA) - 1)) | ((exponents > 0) << MANTISSA)
        # Sums of whole numbers are exact in float64 up to 2**53, which no two tiles exceed.
        sums = np.bincount(exponents, mantissas).astype(np.int64)
        self.sums[: len(sums)] += sums

    def merge(self, other: Mismatch) -> None:
        """Add the counts of another mismatch."""
        self.sums += other.sums
        self.bins += other.bins

    @property
    def count(self) -> int:
        """Number of differences."""
        return int(self.bins.sum())

    @property
    def mean(self) -> float | None:
        """Mean difference; None where no tiles overlap."""
        if not self.count:
            return None
        # The smallest exponents, 0 and 1, stand for the same power of two.
        total = sum(int(self.sums[e]) << max(int(e) - 1, 0) for e in np.flatnonzero(self.sums))
        return float(Fraction(total, self.count << 149))

    def percentile(self, share: float) -> float | None:
        """Return the quantile `share` (0 to 1) of the differences, to 1.6 percent."""
        if not self.count:
            return None
        bin = int(np.searchsorted(np.cumsum(self.bins), share * self.count))
        edges = np.array([bin << SHIFT, (bin + 1) << SHIFT], np.uint32).view(np.float32)
        return 0.0 if bin == 0 else float(edges.mean())

    def to_json(self) -> dict[str, Any]:
        """Return the sums and counts that are not 0, as JSON values."""
        return {name: _sparse(values) for name, values in vars(self).items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Mismatch:
        """Return the mismatch that `to_json` was called on."""
        found = cls()
        for name, (used, numbers) in values.items():
            getattr(found, name)[used] = numbers
        return found


def _sparse(values: NDArray[np.int64]) -> list[list[int]]:
    used = np.flatnonzero(values)
    return [used.tolist(), values[used].tolist()]
