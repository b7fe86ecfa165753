"""Mergeable statistics of the valid pixels of each band: moments, extremes and a sample."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from geotranslate.chips.bands.histogram import Histogram
from geotranslate.chips.bands.sample import Sample, thinned
from geotranslate.errors import InvalidInputError

SAMPLE_SIZE = 509
"""Largest number of pixels kept from one array: small, as they are stored for every chip, and a
prime, because even steps that divide the width of an array would hit only a few columns."""
MOST_SAMPLED = 2**21
"""Largest number of pixels in the sample of many arrays."""
HEADER = struct.Struct("<qi")
"""Number of valid pixels and number of bands."""

Sampled: TypeAlias = "Sample | NDArray[Any]"
"""Values of sampled pixels, `(bands, pixels)`."""


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """Count of valid pixels and, per band, minimum, maximum, mean and squared deviations (M2).

    Sums are float64 about the mean, so they merge exactly enough for any number of pixels (Chan,
    Golub and LeVeque 1979). Percentiles come from a sample of evenly spaced valid pixels of each
    array, the same for all bands.
    """

    count: int
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    mean: NDArray[np.float64]
    m2: NDArray[np.float64]
    least_positive: NDArray[np.float64]
    """Smallest value above 0, infinite if there is none; the floor of decibels."""
    samples: tuple[Sampled, ...] = ()
    """Sample of each array, kept separately, so that adding copies no pixel."""

    @classmethod
    def empty(cls, bands: int) -> Statistics:
        """Return the statistics of no pixels, the neutral element of addition."""
        nothing = np.zeros(bands)
        return cls(0, nothing + np.inf, nothing - np.inf, nothing, nothing, nothing + np.inf)

    @classmethod
    def of(cls, data: NDArray[Any], valid: NDArray[np.bool_]) -> Statistics:
        """Measure the valid pixels of `(bands, rows, cols)` values."""
        pixels = int(np.count_nonzero(valid))
        if not pixels:
            return cls.empty(len(data))
        # One band at a time, as all bands in double precision may take several times the memory
        # of the chip.
        bands = (band.ravel() if pixels == valid.size else band[valid] for band in data)
        low, high, mean, m2, least = np.array([_measured(band) for band in bands], np.float64).T
        return cls(pixels, low, high, mean, m2, least, (_evenly_spaced(data, valid, pixels),))

    @classmethod
    def total(cls, parts: Iterable[Statistics], bands: int) -> Statistics:
        """Add many statistics in linear time, with the same result as repeated `+`."""
        total = cls.empty(bands)
        samples: list[Sampled] = []
        for part in parts:
            total = replace(total + part, samples=())
            samples += part.samples
        if not samples:
            return total
        most = max(1, MOST_SAMPLED // len(samples))
        joined = np.concatenate([thinned(_unpacked(one), most) for one in samples], axis=1)
        return replace(total, samples=(joined,))

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
            np.minimum(self.least_positive, other.least_positive),
            self.samples + other.samples,
        )

    def of_bands(self, bands: Sequence[int]) -> Statistics:
        """Return the statistics of some bands, counted from 0."""
        some = list(bands)
        if some == list(range(len(self.mean))):
            return self
        return replace(
            self,
            minimum=self.minimum[some],
            maximum=self.maximum[some],
            mean=self.mean[some],
            m2=self.m2[some],
            least_positive=self.least_positive[some],
            samples=tuple(_unpacked(part)[some] for part in self.samples),
        )

    @property
    def sampled(self) -> str:
        """Dtype of the sample of one array; empty without one."""
        return self.samples[0].dtype if self.samples and isinstance(self.samples[0], Sample) else ""

    @property
    def std(self) -> NDArray[np.float64]:
        """Population standard deviation of every band."""
        return np.sqrt(self.m2 / max(self.count, 1))

    def sample(self, band: int) -> NDArray[np.float64]:
        """Return the sampled values of a band, counted from 0."""
        return np.concatenate([np.empty(0), *(_unpacked(part)[band] for part in self.samples)])

    def percentiles(self, qs: Sequence[float]) -> NDArray[np.float64]:
        """Return the percentiles `(len(qs), bands)` of the sample, linear between its values.

        The 0th and the 100th are the true minimum and maximum.

        Args:
            qs: Percents, 0 to 100.

        Raises:
            InvalidInputError: There is no valid pixel.
        """
        if not self.count:
            raise InvalidInputError(
                "There is no valid pixel to take percentiles of; give chips with valid pixels."
            )
        bands = range(len(self.mean))
        found = np.stack([np.percentile(self.sample(band), qs) for band in bands], axis=1)
        # The sample is float32, and rounding may move it beyond the extremes.
        found = found.clip(self.minimum, self.maximum)
        at = np.asarray(qs)[:, None]
        return np.where(at <= 0, self.minimum, np.where(at >= 100, self.maximum, found))

    def to_bytes(self) -> bytes:
        """Return the statistics of one array without its sample, to the last bit."""
        table = np.stack([self.minimum, self.maximum, self.mean, self.m2, self.least_positive])
        return HEADER.pack(self.count, len(self.mean)) + table.astype("<f8").tobytes()

    @staticmethod
    def size_of(bands: int) -> int:
        """Return the number of bytes of `to_bytes`."""
        return HEADER.size + 5 * 8 * bands

    @classmethod
    def from_bytes(cls, content: bytes, sample: Sample | None) -> Statistics:
        """Rebuild statistics from `to_bytes` and their sample."""
        count, bands = HEADER.unpack_from(content)
        table = np.frombuffer(content, "<f8", 5 * bands, HEADER.size).reshape(5, bands)
        low, high, mean, m2, least = table
        return cls(count, low, high, mean, m2, least, () if sample is None else (sample,))


def _unpacked(sample: Sampled) -> NDArray[Any]:
    return sample.values if isinstance(sample, Sample) else sample


def _measured(values: NDArray[Any]) -> tuple[float, ...]:
    """Return minimum, maximum, mean, M2 and least positive value of one band's pixels."""
    counted = Histogram.of(values)
    if counted is not None:
        return counted.moments
    low, high = values.min(), values.max()
    least = low if low > 0 else values[values > 0].min() if high > 0 else np.inf
    wide = values.astype(np.float64)
    mean = wide.mean()
    wide -= mean
    m2 = np.square(wide, out=wide).sum()
    return low, high, mean, m2, least


def _evenly_spaced(data: NDArray[Any], valid: NDArray[np.bool_], pixels: int) -> Sample:
    """Return a sample of at most `SAMPLE_SIZE` of the valid pixels."""
    kept = min(pixels, SAMPLE_SIZE)
    at = np.arange(kept) * pixels // kept
    if pixels < valid.size:
        at = np.flatnonzero(valid)[at]
    values = data.reshape(len(data), -1)[:, at]
    if values.dtype.itemsize > 2:
        limits = np.finfo(np.float32)
        values = values.astype(np.float64).clip(limits.min, limits.max).astype(np.float32)
    return Sample.of(values)
