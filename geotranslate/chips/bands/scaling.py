"""Invertible scaling of every band between a raster's units and -1..1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geotranslate.checks import shown
from geotranslate.chips.bands.statistics import Statistics
from geotranslate.errors import InvalidInputError
from geotranslate.schema import Fields, Json, Later, optional, real, record, several, truth

ScalingKind = Literal[
    "auto", "dtype", "minmax", "percentile", "robust", "asinh", "zscore", "db", "none"
]

ENDS = (-1.0, 1.0)
ROBUST_LEVELS = (-1.0, -0.9, 0.9, 1.0)
ROBUST_PERCENTILES = (2.0, 98.0)
SPREAD_PERCENTILES = (0.5, 99.5)
"""Percentiles to which values are clipped before deviations are measured."""
DEVIATIONS = 3.0
"""Mean absolute deviations from the median that `robust` maps to 1."""
ASINH_DEVIATIONS = 4.0
"""The same for `asinh`."""
ASINH_KNOTS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Knots, in deviations, of the piecewise linear inverse hyperbolic sine."""
BLOCK = 2**16
"""Values that are mapped at a time."""
SMALLEST_STEP = 1e-300
"""Least distance of two knots: below it, slopes are no longer finite float64."""

SCALING: Fields = {
    "knots": several(several(real(), 2), 1),
    "levels": several(real(), 2),
    "floor": optional(several(optional(real(above=0)), 1)),
    "bounded": Later(truth, True),
}
"""Fields of a scaling in JSON."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """A strictly increasing, piecewise linear map of every band.

    It is linear between two knots. Beyond the first and the last knot, the outer pieces are
    extended, so nothing is clipped and every value can be recovered, up to the rounding of float32.

    Raises:
        InvalidInputError: The numbers are not one such map for each band.
    """

    knots: tuple[tuple[float, ...], ...]
    """Values of each band that are mapped to `levels`, in decibels if it has a floor."""
    levels: tuple[float, ...] = ENDS
    """The scaled values of the knots, increasing, the same for all bands; -1 and 1 are among them
    or between them."""
    floor: tuple[float | None, ...] | None = None
    """Smallest value of each band of linear power, mapped in decibels: lower values, which may have
    no logarithm, are raised to it. None for a band that is mapped as it is, or for all bands."""
    bounded: bool = True
    """Whether all values of a translation should lie in -1..1."""

    def __post_init__(self) -> None:
        rows = (self.levels, *self.knots)
        even = all(len(row) == len(self.levels) for row in rows)
        increasing = all(np.isfinite(row).all() and (np.diff(row) > 0).all() for row in rows)
        whole = even and increasing and min(self.levels, default=0) <= -1 <= 1 <= max(self.levels)
        positive = all(floor is None or floor > 0 for floor in self.floors)
        if not (whole and len(self.floors) == len(self.knots) and positive):
            raise InvalidInputError(
                f"{shown(self)} maps nothing: levels go from -1 or less to 1 or more, and "
                "every band needs as many increasing, finite knots as there are levels, and a "
                "positive floor or none. Make it with make_scaling."
            )

    @classmethod
    def linear(cls, low: ArrayLike, high: ArrayLike, *, bounded: bool = True) -> Scaling:
        """Map `low`..`high`, one number per band, to -1..1, or to 0 if they are equal."""
        ends = np.stack(_spread(np.asarray(low), np.asarray(high)), axis=1)
        return cls(tuple(map(tuple, ends.tolist())), bounded=bounded)

    @classmethod
    def joined(cls, places: Sequence[Sequence[int]], parts: Sequence[Scaling]) -> Scaling:
        """Return one scaling of the bands of several, which maps each band as before.

        Args:
            places: Positions of the bands of each part; together, those of all bands.
            parts: The scalings.
        """
        levels = tuple(sorted({level for part in parts for level in part.levels}))
        found: dict[int, tuple[tuple[float, ...], float | None]] = {}
        for bands, part in zip(places, parts, strict=True):
            each = zip(bands, part.knots, part.floors, strict=True)
            found |= {band: (part._at_levels(own, levels), floor) for band, own, floor in each}
        knots, floors = zip(*(found[band] for band in sorted(found)), strict=True)
        bounded = all(part.bounded for part in parts)
        return cls(knots, levels, None if set(floors) == {None} else floors, bounded)

    def _at_levels(self, knots: tuple[float, ...], levels: Sequence[float]) -> tuple[float, ...]:
        """Return the values of a band that are mapped to levels, its own knots as they are."""
        known = dict(zip(self.levels, knots, strict=True))
        return tuple(
            known[level] if level in known else float(_follow(np.array(level), self.levels, knots))
            for level in levels
        )

    @property
    def floors(self) -> tuple[float | None, ...]:
        """The floor of every band; None for bands that are mapped as they are."""
        return self.floor or (None,) * len(self.knots)

    @property
    def low(self) -> tuple[float, ...]:
        """The value of every band that is mapped to -1, in the raster's units."""
        return self._at(-1.0)

    @property
    def high(self) -> tuple[float, ...]:
        """The value of every band that is mapped to 1, in the raster's units."""
        return self._at(1.0)

    def _at(self, level: float) -> tuple[float, ...]:
        """Return the value of every band, in the raster's units, that is mapped to a level."""
        if level in self.levels:
            # Exact, unlike the interpolated line.
            knot = self.levels.index(level)
            found = [np.array(band[knot]) for band in self.knots]
        else:
            found = [_follow(np.array(level), self.levels, band) for band in self.knots]
        return tuple(float(self._in_units(band, value)) for band, value in enumerate(found))

    def scale(self, data: NDArray[Any]) -> NDArray[np.float32]:
        """Map `(..., bands, rows, cols)` from the raster's units to -1..1; NaN stays NaN.

        Values beyond `low`..`high` are mapped beyond -1..1.

        Raises:
            InvalidInputError: The array has another number of bands.
        """
        floors = self.floors

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
            lambda band, values: self._in_units(
                band, _follow(values, self.levels, self.knots[band])
            ),
        )

    def to_json(self) -> Json:
        """Return plain values for a strict JSON file."""
        return {
            "knots": [list(band) for band in self.knots],
            "levels": list(self.levels),
            "floor": None if self.floor is None else list(self.floor),
            "bounded": self.bounded,
        }

    @classmethod
    def from_json(cls, values: Json, name: str = "scaling") -> Scaling:
        """Rebuild a scaling from `to_json`.

        Args:
            values: The plain values.
            name: What sentences call them.

        Raises:
            InvalidInputError: The numbers are not one such map for each band.
        """
        return cls(**record(SCALING)(name, values))

    def _in_units(self, band: int, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values if self.floors[band] is None else 10 ** (values / 10)

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


def make_scaling(
    kind: ScalingKind,
    statistics: Statistics,
    dtype: str,
    *,
    classes: bool = False,
    target: bool = False,
) -> Scaling:
    """Choose the scaling of a side from the statistics of its training chips.

    Every kind that depends on the values maps constant bands to 0.

    Args:
        kind: Range that is mapped to -1..1, for each band separately:

            - `auto`: `minmax` for classes, `dtype` for other uint8; else `robust` for targets and
              `asinh` for sources.
            - `dtype`: the whole range of an integer dtype.
            - `minmax`: minimum..maximum.
            - `percentile`: minimum..maximum, of which the 2nd..98th percentile take -0.9..0.9, so
              that a few extreme values do not squeeze all others. A tail too short to fill its
              share is mapped at the slope of the middle: data without tails, and bands that are
              mostly one value, as by `minmax`.
            - `robust`: median - 3 d..median + 3 d, where d is the mean absolute deviation from the
              median. It is linear, so equal errors in units weigh alike, and values further from
              the median lie beyond -1..1.
            - `asinh`: the inverse hyperbolic sine of deviations from the median, of which 4 are
              mapped to 1, as straight lines between a few points. Linear near the median and
              logarithmic in the tails, so that neither squeezes the other.
            - `zscore`: mean - 3 std..mean + 3 std. Values further from the mean lie beyond -1..1.
            - `db`: as `percentile`, in decibels (`10 log10(x)`), for linear power such as radar
              backscatter. Zero and less become the smallest positive value, which comes back.
            - `none`: -1..1 itself; the values must already lie there for the network.
        statistics: Statistics of the side's training chips.
        dtype: Dtype of its files.
        classes: Whether its values are classes.
        target: Whether the side is the target, whose errors are measured in its units.

    Raises:
        InvalidInputError: There is no such kind or no valid pixel, `dtype` is asked for floats, or
            `db` for a band without a positive value.
    """
    if kind not in get_args(ScalingKind):
        raise InvalidInputError(
            f"There is no scaling {shown(kind)}; choose one of {', '.join(get_args(ScalingKind))}."
        )
    if kind == "auto":
        kind = _kind_for(dtype, classes=classes, target=target)
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
        away = 3 * statistics.std
        return Scaling.linear(statistics.mean - away, statistics.mean + away, bounded=False)
    if kind in ("robust", "asinh"):
        return _about_median(kind, statistics)
    if kind == "db":
        return _decibel_scaling(statistics)
    return _robust(statistics.percentiles((0, *ROBUST_PERCENTILES, 100)))


def _kind_for(dtype: str, *, classes: bool, target: bool) -> ScalingKind:
    if classes:
        return "minmax"
    if dtype == "uint8":
        return "dtype"
    return "robust" if target else "asinh"


def _about_median(kind: ScalingKind, statistics: Statistics) -> Scaling:
    """Scale by deviations from the median, whose size does not depend on a few extreme values."""
    low, median, high = statistics.percentiles((SPREAD_PERCENTILES[0], 50, SPREAD_PERCENTILES[1]))
    samples = [statistics.sample(band) for band in range(len(median))]
    clipped = [x.clip(a, b) for x, a, b in zip(samples, low, high, strict=True)]
    apart = [np.abs(x - middle).mean() for x, middle in zip(clipped, median, strict=True)]
    # If nearly all values are equal, half the range replaces the deviation.
    deviation = np.where(np.array(apart) > 0, apart, (statistics.maximum - statistics.minimum) / 2)
    if kind == "robust":
        away = DEVIATIONS * deviation
        return Scaling.linear(median - away, median + away, bounded=False)
    one, other = _spread(median - deviation, median + deviation)
    steps = np.array([-knot for knot in ASINH_KNOTS[:0:-1]] + list(ASINH_KNOTS))
    knots = (one + other)[:, None] / 2 + (other - one)[:, None] / 2 * steps
    levels = np.arcsinh(steps) / np.arcsinh(ASINH_DEVIATIONS)
    bands = tuple(map(tuple, knots.tolist()))
    return Scaling(bands, tuple(levels.tolist()), bounded=False)


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
        # Zeros have no logarithm, so they must not affect its percentiles.
        positive = np.append(sample[sample > 0], high)
        floors.append(float(statistics.least_positive[band]))
        lower, upper = np.percentile(positive, ROBUST_PERCENTILES).clip(floors[-1], high)
        points.append((floors[-1], lower, upper, high))
    return _robust(10 * np.log10(np.array(points).T), tuple(floors))


def _robust(points: NDArray[np.float64], floor: tuple[float, ...] | None = None) -> Scaling:
    """Scale by minimum, lower and upper percentile and maximum `(4, bands)`."""
    (low, high), (lower, upper) = _spread(points[0], points[3]), points[1:3]
    first, second, third, last = ROBUST_LEVELS
    # Length of a tail with the slope of the middle. A shorter tail would be steeper and would map
    # values just beyond the training range far away, so the middle line is extended there.
    fair = (upper - lower) * (second - first) / (third - second)
    short = lower - low < fair, high - upper < fair
    start, end = np.where(short[0], low, lower), np.where(short[1], high, upper)
    start_level, end_level = np.where(short[0], first, second), np.where(short[1], last, third)
    slope = (end - start) / (end_level - start_level)
    inner = start + (second - start_level) * slope, end + (third - end_level) * slope
    knots = np.stack([low, *inner, high])
    # If most values are equal, there is no middle range to spread.
    collapsed = (np.diff(knots, axis=0) < SMALLEST_STEP).any(axis=0)
    even = (low + high) / 2 + (high - low) / 2 * np.array(ROBUST_LEVELS)[:, None]
    even[0], even[3] = low, high
    bands = np.where(collapsed, even, knots).T.tolist()
    return Scaling(tuple(map(tuple, bands)), ROBUST_LEVELS, floor)


def _spread(
    low: NDArray[Any], high: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Move the ends of constant bands apart by a distance that float32 can resolve."""
    low, high = low.astype(np.float64), high.astype(np.float64)
    size = np.maximum(np.abs(low), np.abs(high))
    flat = np.abs(high - low) <= 1e-12 * size + 4 * SMALLEST_STEP
    half = np.where(flat, np.maximum(1.0, 1e-6 * size), 0.0)
    return low - half, high + half


def _follow(
    values: NDArray[np.float64], xs: tuple[float, ...], ys: tuple[float, ...]
) -> NDArray[np.float64]:
    """Interpolate linearly between points; extrapolate beyond them by the outer pieces."""
    slopes = np.diff(ys) / np.diff(xs)
    followed = (values - xs[0]) * slopes[0] + ys[0]
    for x, y, slope in zip(xs[1:-1], ys[1:-1], slopes[1:], strict=True):
        followed = np.where(values < x, followed, y + (values - x) * slope)
    return followed
