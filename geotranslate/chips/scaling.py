"""The invertible map of every band between a raster's units and -1..1."""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geotranslate.chips.statistics import Statistics
from geotranslate.errors import InvalidInputError
from geotranslate.schema import Fields, optional, real, record, several

ScalingKind = Literal["auto", "dtype", "minmax", "percentile", "zscore", "db", "none"]

ENDS = (-1.0, 1.0)
ROBUST_LEVELS = (-1.0, -0.9, 0.9, 1.0)
ROBUST_PERCENTILES = (2.0, 98.0)
BLOCK = 2**16
"""Values that are mapped at a time."""
SMALLEST_STEP = 1e-300
"""Least distance of two knots: below it, slopes are no longer finite float64."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """A strictly increasing, piecewise linear map of every band.

    Between two knots it is linear; beyond the first and the last knot the outer pieces go on, so
    nothing is clipped and every value comes back, to the rounding of float32.

    Raises:
        InvalidInputError: The numbers are not one such map for each band.
    """

    knots: tuple[tuple[float, ...], ...]
    """For each band the values that are mapped to `levels`; in decibels where there is a floor."""
    levels: tuple[float, ...] = ENDS
    """The scaled values of the knots, increasing from -1 to 1, the same for all bands."""
    floor: tuple[float, ...] | None = None
    """For bands of linear power, which are mapped in decibels: the value to which lower ones and
    those that have no logarithm are raised; None for bands that are mapped as they are."""

    def __post_init__(self) -> None:
        rows = (self.levels, *self.knots)
        even = all(len(row) == len(self.levels) for row in rows)
        increasing = all(np.isfinite(row).all() and (np.diff(row) > 0).all() for row in rows)
        floor = self.floor or (1.0,) * len(self.knots)
        if not (even and increasing and len(floor) == len(self.knots) and min(floor) > 0):
            raise InvalidInputError(
                f"{reprlib.repr(self)} maps nothing: every band needs as many increasing, finite "
                "knots as there are levels, and a positive floor or none. Make it with "
                "make_scaling."
            )

    @classmethod
    def linear(cls, low: ArrayLike, high: ArrayLike) -> Scaling:
        """Map `low`..`high`, one number per band, to -1..1; where both are equal, that to 0."""
        ends = np.stack(_spread(np.asarray(low), np.asarray(high)), axis=1)
        return cls(tuple(map(tuple, ends.tolist())))

    @property
    def low(self) -> tuple[float, ...]:
        """The value of every band that is mapped to -1, in the raster's units."""
        return tuple(self._in_units(np.array([band[0] for band in self.knots])).tolist())

    @property
    def high(self) -> tuple[float, ...]:
        """The value of every band that is mapped to 1, in the raster's units."""
        return tuple(self._in_units(np.array([band[-1] for band in self.knots])).tolist())

    def scale(self, data: NDArray[Any]) -> NDArray[np.float32]:
        """Map `(..., bands, rows, cols)` from the raster's units to -1..1; NaN stays NaN.

        Values beyond `low`..`high` are mapped beyond -1..1.

        Raises:
            InvalidInputError: The array has another number of bands.
        """
        floors = self.floor or (None,) * len(self.knots)

        def scaled(band: int, values: NDArray[np.float64]) -> NDArray[np.float64]:
            floor = floors[band]
            if floor is not None:
                values = 10 * np.log10(np.maximum(values, floor))
            return _follow(values, self.knots[band], self.levels)

        return self._by_blocks(data, scaled)

    def unscale(self, scaled: NDArray[Any]) -> NDArray[np.float32]:
        """Map `(..., bands, rows, cols)` from -1..1 back to the raster's units.

        Raises:
            InvalidInputError: The array has another number of bands.
        """
        return self._by_blocks(
            scaled,
            lambda band, values: self._in_units(_follow(values, self.levels, self.knots[band])),
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values for a strict JSON file."""
        return {
            "knots": [list(band) for band in self.knots],
            "levels": list(self.levels),
            "floor": None if self.floor is None else list(self.floor),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any], name: str = "scaling") -> Scaling:
        """Rebuild a scaling from `to_json`.

        Args:
            values: The plain values.
            name: What sentences call them.

        Raises:
            InvalidInputError: The numbers are not one such map for each band.
        """
        return cls(**record(SCALING)(name, values))

    def _in_units(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values if self.floor is None else 10 ** (values / 10)

    def _by_blocks(
        self,
        data: NDArray[Any],
        function: Callable[[int, NDArray[np.float64]], NDArray[np.float64]],
    ) -> NDArray[np.float32]:
        """Map every band in double precision, in pieces that stay in a core's cache."""
        if data.ndim < 3 or data.shape[-3] != len(self.knots):
            raise InvalidInputError(
                f"The array has shape {data.shape} but the scaling is for (..., bands, rows, "
                f"cols) with {len(self.knots)} bands; give those it was made from, in their order."
            )
        mapped = np.empty(data.shape, np.float32)
        rows = max(BLOCK // max(data.shape[-1], 1), 1)
        with np.errstate(all="ignore"):
            for index in np.ndindex(data.shape[:-2]):
                for start in range(0, data.shape[-2], rows):
                    at = (*index, slice(start, start + rows))
                    mapped[at] = function(index[-1], data[at].astype(np.float64))
        return mapped


SCALING: Fields = {
    "knots": several(several(real(), 2), 1),
    "levels": several(real(least=-1, most=1), 2),
    "floor": optional(several(real(above=0), 1)),
}
"""What a scaling is in JSON."""


def make_scaling(
    kind: ScalingKind, statistics: Statistics, dtype: str, *, classes: bool = False
) -> Scaling:
    """Choose the scaling of a side from the statistics of its training chips.

    Constant bands are mapped to 0 by every kind that looks at the values.

    Args:
        kind: What is mapped to -1..1, for every band by itself:

            - `auto`: `minmax` for classes, `dtype` for other uint8, else `percentile`.
            - `dtype`: the whole range of an integer dtype.
            - `minmax`: minimum..maximum.
            - `percentile`: minimum..maximum, of which the 2nd..98th percentile take -0.9..0.9, so
              that a few extreme values do not squeeze all others. A tail too short to fill its
              share is mapped at the slope of the middle: data without tails, and bands that are
              mostly one value, as by `minmax`.
            - `zscore`: mean - 3 std..mean + 3 std. Values further from the mean lie beyond -1..1,
              which a tanh generator cannot reach: on a target side it clips them.
            - `db`: as `percentile`, in decibels (`10 log10(x)`), for linear power such as radar
              backscatter. Zero and less become the smallest positive value, which comes back.
            - `none`: -1..1 itself; the values must already lie there for the network.
        statistics: Those of the side's training chips.
        dtype: The dtype of its files.
        classes: Whether its values are classes.

    Raises:
        InvalidInputError: There is no such kind, no valid pixel to choose from, `dtype` is asked
            for floats, or `db` for a band without a positive value.
    """
    if kind not in get_args(ScalingKind):
        raise InvalidInputError(
            f"There is no scaling {kind!r}; choose one of {', '.join(get_args(ScalingKind))}."
        )
    if kind == "auto":
        kind = "minmax" if classes else "dtype" if dtype == "uint8" else "percentile"
    nought = np.zeros(len(statistics.mean))
    if kind == "none":
        return Scaling.linear(nought - 1, nought + 1)
    if kind == "dtype":
        low, high = _dtype_range(dtype)
        return Scaling.linear(nought + low, nought + high)
    if not statistics.count:
        raise InvalidInputError(
            f"There is no valid pixel to choose the scaling {kind!r} from; give chips with valid "
            "pixels, or the scaling 'none'."
        )
    if kind == "minmax":
        return Scaling.linear(statistics.minimum, statistics.maximum)
    if kind == "zscore":
        reach = 3 * statistics.std
        return Scaling.linear(statistics.mean - reach, statistics.mean + reach)
    if kind == "db":
        return _decibel_scaling(statistics)
    return _robust(statistics.percentiles((0, *ROBUST_PERCENTILES, 100)))


def _dtype_range(dtype: str) -> tuple[float, float]:
    if not np.issubdtype(dtype, np.integer):
        raise InvalidInputError(
            f"The scaling 'dtype' is for integers, but the chips are {dtype}, which has no range "
            "of its own; choose 'percentile' or 'minmax'."
        )
    return float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)


def _decibel_scaling(statistics: Statistics) -> Scaling:
    floors, points = [], []
    for band, high in enumerate(statistics.maximum):
        if high <= 0:
            raise InvalidInputError(
                f"The scaling 'db' is for linear power, but band {band + 1} has no positive value "
                f"(its maximum is {high:g}). If it is in decibels already, choose 'percentile' or "
                "'minmax'."
            )
        sample = statistics.sample(band)
        # Zeros have no place on a logarithmic scale, so they must not move its percentiles.
        positive = np.append(sample[sample > 0], high)
        floors.append(float(statistics.least_positive[band]))
        lower, upper = np.percentile(positive, ROBUST_PERCENTILES).clip(floors[-1], high)
        points.append((floors[-1], lower, upper, high))
    return _robust(10 * np.log10(np.array(points).T), tuple(floors))


def _robust(points: NDArray[np.float64], floor: tuple[float, ...] | None = None) -> Scaling:
    """Scale by minimum, lower and upper percentile and maximum `(4, bands)`."""
    (low, high), (lower, upper) = _spread(points[0], points[3]), points[1:3]
    first, second, third, last = ROBUST_LEVELS
    # The length of a tail that has the slope of the middle. A shorter one would be steeper, and
    # values just beyond the training range would be thrown far out: there the middle goes on.
    fair = (upper - lower) * (second - first) / (third - second)
    short = lower - low < fair, high - upper < fair
    start, end = np.where(short[0], low, lower), np.where(short[1], high, upper)
    start_level, end_level = np.where(short[0], first, second), np.where(short[1], last, third)
    slope = (end - start) / (end_level - start_level)
    inner = start + (second - start_level) * slope, end + (third - end_level) * slope
    knots = np.stack([low, *inner, high])
    # Where most values are equal there is no middle to be spread.
    collapsed = (np.diff(knots, axis=0) < SMALLEST_STEP).any(axis=0)
    even = (low + high) / 2 + (high - low) / 2 * np.array(ROBUST_LEVELS)[:, None]
    even[0], even[3] = low, high
    bands = np.where(collapsed, even, knots).T.tolist()
    return Scaling(tuple(map(tuple, bands)), ROBUST_LEVELS, floor)


def _spread(
    low: NDArray[Any], high: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Move the ends of constant bands apart, by what float32 tells from their value."""
    low, high = low.astype(np.float64), high.astype(np.float64)
    size = np.maximum(np.abs(low), np.abs(high))
    flat = np.abs(high - low) <= 1e-12 * size + 4 * SMALLEST_STEP
    half = np.where(flat, np.maximum(1.0, 1e-6 * size), 0.0)
    return low - half, high + half


def _follow(
    values: NDArray[np.float64], xs: tuple[float, ...], ys: tuple[float, ...]
) -> NDArray[np.float64]:
    """Return where the line through the points leads; its outer pieces go on."""
    slopes = np.diff(ys) / np.diff(xs)
    followed = (values - xs[0]) * slopes[0] + ys[0]
    for x, y, slope in zip(xs[1:-1], ys[1:-1], slopes[1:], strict=True):
        followed = np.where(values < x, followed, y + (values - x) * slope)
    return followed
