"""How far overlapping tiles are apart: the number that tells whether a scene shows its tiles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHIFT = 17
"""Bits of a float32 that a bin of the histogram leaves out: 64 bins for each power of two."""

BINS = 0x7F800000 >> SHIFT

EVERY = 8
"""Of the rows where tiles overlap, one in so many is looked at, which costs next to nothing."""


@dataclass
class Mismatch:
    """Absolute differences |p - q| of tiles where they overlap, over valid pixels of all bands."""

    total: float = 0.0
    bins: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))

    def add(
        self, one: NDArray[np.float32], other: NDArray[np.float32], valid: NDArray[np.bool_]
    ) -> None:
        """Count the differences of two pieces `(bands, rows, cols)` that should be equal."""
        apart = np.abs(one - other)[:, valid]
        apart = np.ascontiguousarray(apart[np.isfinite(apart)], np.float32)
        self.total += float(apart.sum(dtype=np.float64))
        # The bits of positive floats rise with them: the leading ones are a logarithmic bin.
        found = np.bincount(apart.view(np.uint32) >> SHIFT)
        self.bins[: len(found)] += found

    def merge(self, other: Mismatch) -> None:
        """Take over what another one counted."""
        self.total += other.total
        self.bins += other.bins

    @property
    def count(self) -> int:
        """Number of differences."""
        return int(self.bins.sum())

    @property
    def mean(self) -> float | None:
        """Mean difference; None where no tiles overlap."""
        return self.total / self.count if self.count else None

    def percentile(self, share: float) -> float | None:
        """Return the difference that `share` (0 to 1) of all stay below, to 1.6 percent."""
        if not self.count:
            return None
        bin = int(np.searchsorted(np.cumsum(self.bins), share * self.count))
        edges = np.array([bin << SHIFT, (bin + 1) << SHIFT], np.uint32).view(np.float32)
        return 0.0 if bin == 0 else float(edges.mean())

    def to_json(self) -> dict[str, Any]:
        """Return plain values, the bins that hold something alone."""
        used = np.flatnonzero(self.bins)
        return {"total": self.total, "bins": [used.tolist(), self.bins[used].tolist()]}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Mismatch:
        """Rebuild it from `to_json`."""
        found = cls(float(values["total"]))
        used, counts = values["bins"]
        found.bins[used] = counts
        return found
