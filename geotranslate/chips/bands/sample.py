"""Samples of the values of bands, kept small, as there is one for each chip."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Sample:
    """Values of some pixels, sorted in each band, as compressed differences of their bytes."""

    bands: int
    dtype: str
    packed: bytes

    @classmethod
    def of(cls, values: NDArray[Any]) -> Sample:
        """Sort and compress values `(bands, pixels)`."""
        ordered = np.sort(np.ascontiguousarray(values), axis=1)
        bands, size = ordered.shape
        planes = ordered.view(np.uint8).reshape(bands, size, -1).transpose(0, 2, 1)
        # Differences of bytes are exact, whatever the dtype.
        apart = np.diff(planes, axis=2, prepend=np.uint8(0))
        return cls(bands, ordered.dtype.str, zlib.compress(apart.tobytes(), 1))

    @property
    def values(self) -> NDArray[Any]:
        """Sorted values `(bands, pixels)`."""
        dtype = np.dtype(self.dtype)
        apart = np.frombuffer(zlib.decompress(self.packed), np.uint8)
        planes = apart.reshape(self.bands, dtype.itemsize, -1).cumsum(axis=2, dtype=np.uint8)
        joined = np.ascontiguousarray(planes.transpose(0, 2, 1))
        return joined.reshape(self.bands, -1).view(dtype)


def thinned(values: NDArray[Any], most: int) -> NDArray[Any]:
    """Return at most so many of sorted values `(bands, pixels)`, at evenly spaced ranks."""
    size = values.shape[1]
    if size <= most:
        return values
    return values[:, (2 * np.arange(most) + 1) * size // (2 * most)]
