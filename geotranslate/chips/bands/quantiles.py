"""Quantiles of bands: a sketch of their values, by which scenes are compared and matched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from geotranslate.errors import InvalidInputError
from geotranslate.raster.reader import RasterReader
from geotranslate.schema import Fields, Json, real, record, several, whole

LEVELS = (np.arange(65) + 0.5) / 65
"""Shares of the pixels below each quantile; the extremes, which are often faulty, are not kept."""
WINDOWS, WINDOW = 6, 64
"""Windows along each axis, and their side in px, by which a scene is sampled."""
MOST_PIXELS = 2**62
STEEPEST = 4.0
"""Largest slope of a `QuantileMap` beyond the quantiles; the smallest one is its inverse."""


@dataclass(frozen=True, slots=True)
class Quantiles:
    """The quantiles of every band at `LEVELS`, in the raster's units.

    Raises:
        InvalidInputError: A band does not have one increasing quantile for each level.
    """

    values: tuple[tuple[float, ...], ...]
    """Quantiles `(bands, levels)`."""
    count: int
    """Number of sampled pixels."""

    def __post_init__(self) -> None:
        for band, values in enumerate(self.values, 1):
            if len(values) != len(LEVELS) or (np.diff(values) < 0).any():
                raise InvalidInputError(
                    f"The quantiles of band {band} are not {len(LEVELS)} numbers in increasing "
                    "order; give those that a model was saved with."
                )

    @classmethod
    def of(cls, sample: NDArray[Any]) -> Quantiles | None:
        """Return the quantiles of sampled pixels `(bands, pixels)`; None without a pixel."""
        if not sample.shape[1]:
            return None
        found = np.quantile(sample.astype(np.float64), LEVELS, axis=1).T
        # Seven digits, as in float32, keep their order and take half the space in a card.
        rows = ([float(f"{value:.7g}") for value in band] for band in found.tolist())
        return cls(tuple(map(tuple, rows)), sample.shape[1])

    @property
    def array(self) -> NDArray[np.float64]:
        """The quantiles as an array `(bands, levels)`."""
        return np.array(self.values)

    def distances(self, other: Quantiles) -> tuple[float, ...]:
        """Return the distance of other quantiles from these for each band.

        It is the mean absolute difference of equal quantiles (the Wasserstein distance), in
        standard deviations of these quantiles: a distance of 1 is a band that is brighter by one
        standard deviation, or that has values so different in another way.
        """
        mine, theirs = self.array, other.array
        apart = np.abs(mine - theirs).mean(axis=1)
        size = np.abs(mine).max(axis=1)
        # A constant band has no deviation: any other value is far away.
        deviation = np.maximum(mine.std(axis=1), 1e-6 * size + 1e-12)
        return tuple((apart / deviation).tolist())

    def to_json(self) -> Json:
        """Return plain values for a JSON file."""
        return {"values": [list(band) for band in self.values], "count": self.count}

    @classmethod
    def from_json(cls, values: Json, name: str = "quantiles") -> Quantiles:
        """Rebuild quantiles from `to_json`.

        Args:
            values: The plain values.
            name: What sentences call them.

        Raises:
            InvalidInputError: The values are not quantiles of bands.
        """
        return cls(**record(QUANTILES)(name, values))


QUANTILES: Fields = {
    "values": several(several(real(), len(LEVELS), len(LEVELS)), 1),
    "count": whole(1, MOST_PIXELS),
}
"""Fields of quantiles in JSON."""


@dataclass(frozen=True)
class QuantileMap:
    """An increasing map of every band, under which the quantiles of one raster become another's.

    It is linear between quantiles. Beyond them, its slope is the ratio of the two ranges, between
    1/4 and 4.
    """

    knots: tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]
    """Different values, and what they are mapped to, for each band."""

    @classmethod
    def of(cls, values: NDArray[np.float64], targets: NDArray[np.float64]) -> QuantileMap:
        """Return the map from quantiles `(bands, levels)` to others at the same levels."""
        return cls(tuple(_unique(*band) for band in zip(values, targets, strict=True)))

    def __call__(self, data: NDArray[Any]) -> NDArray[np.float32]:
        """Map `(..., bands, rows, cols)`; NaN stays NaN."""
        mapped = np.empty(data.shape, np.float32)
        for band, knots in enumerate(self.knots):
            mapped[..., band, :, :] = _interpolated(data[..., band, :, :], *knots)
        return mapped

    def inverse(self, values: Sequence[float]) -> tuple[float, ...]:
        """Return a value of each band that is mapped to a given one, or near it in a step."""
        pairs = zip(values, self.knots, strict=True)
        turned = ((value, *_unique(ys, xs)) for value, (xs, ys) in pairs)
        return tuple(float(_interpolated(np.array(one), xs, ys)) for one, xs, ys in turned)


def _unique(
    values: NDArray[np.float64], targets: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return different values in increasing order, with the mean of the targets of equal ones."""
    found, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return found, np.bincount(places, targets) / counts


def _interpolated(
    data: NDArray[Any], xs: NDArray[np.float64], ys: NDArray[np.float64]
) -> NDArray[np.float64]:
    values = data.astype(np.float64)
    width, height = xs[-1] - xs[0], ys[-1] - ys[0]
    slope = np.clip(height / width, 1 / STEEPEST, STEEPEST) if width > 0 else 1.0
    inside = np.clip(values, xs[0], xs[-1])
    return np.interp(inside, xs, ys) + (values - inside) * slope


def sample_scene(source: RasterReader) -> NDArray[np.float32]:
    """Return the valid values `(bands, pixels)` of windows spread evenly over a raster.

    The same raster always gives the same sample.

    Raises:
        RasterFileError: The raster cannot be read.
    """
    height, width = source.grid.height, source.grid.width
    rows, cols = (_starts(length) for length in (height, width))
    found = []
    for row in rows:
        for col in cols:
            window = Window(col, row, min(WINDOW, width), min(WINDOW, height))
            data, valid = source.read(window)
            found.append(data[:, valid])
    return np.concatenate(found, axis=1)


def _starts(length: int) -> list[int]:
    """Return the first rows or columns of the windows, which overlap in small rasters only."""
    count = min(WINDOWS, max(-(-length // WINDOW), 1))
    room = max(length - WINDOW, 0)
    return sorted({room * step // max(count - 1, 1) for step in range(count)})
