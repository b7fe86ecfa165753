"""Shift between the two sides of pairs, by phase correlation of their gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from geotranslate.checks import finite_numbers, listed, shown
from geotranslate.errors import InvalidInputError
from geotranslate.raster.factor import valid_at
from geotranslate.raster.grid import Grid

Pixels: TypeAlias = "tuple[NDArray[Any], NDArray[np.bool_]]"
"""Values `(bands, rows, cols)` and validity `(rows, cols)`."""
Shift: TypeAlias = tuple[float, float]
"""Rows and columns by which the target lies below and to the right of the source, px."""

MOST_SHIFT = 16
"""Largest shift that is looked for, px."""
MOST_SIDE = 512
"""Largest side of the middle of a chip that is compared, px."""
LEAST_SIDE = 32
"""Smallest side of chips that are compared, px."""
WHITENING = 0.5
"""Power of the amplitudes that the cross-power spectrum is divided by: 1 is phase correlation, 0
is cross-correlation. Edges of different kinds of rasters share only some frequencies."""
BLUR = 2.0
"""Standard deviation in px by which correlations are blurred, as maps draw one edge as two."""
DRAWS = 60
"""Number of random draws of chips from which the standard error of their shift is estimated."""
SURE = 2.5
"""Number of standard errors from which a shift counts as certain."""


@dataclass(frozen=True, slots=True)
class ChipShift:
    """The shift between the two sides of a pair, which is less certain than that of many pairs."""

    name: str
    shift: Shift


@dataclass(frozen=True)
class Registration:
    """The shift of targets against their sources, over all pairs that were compared."""

    shift: Shift
    """Rows and columns by which the target lies below and to the right of the source, px."""
    error: float
    """Standard error of the shift along the less certain axis, px; infinite if it is unknown."""
    ground: tuple[float, float] | None
    """The shift along the axes of the CRS, in its units; None without a CRS."""
    unit: str
    """Name of the units of the CRS; empty without a CRS."""
    chips: tuple[ChipShift, ...]
    """The shifts of single pairs."""

    @property
    def length(self) -> float:
        """Length of the shift, px."""
        return math.hypot(*self.shift)

    @property
    def is_shifted(self) -> bool:
        """Whether the sides are certainly apart, by a pixel or more."""
        return self.length >= 1 and self.length > SURE * self.error

    @property
    def whole(self) -> tuple[int, int]:
        """The shift in whole pixels; 0 unless `is_shifted`."""
        return (round(self.shift[0]), round(self.shift[1])) if self.is_shifted else (0, 0)

    def __str__(self) -> str:
        if not math.isfinite(self.error):
            return f"unknown, as {len(self.chips)} pairs with edges are too few to tell"
        rows, cols = self.shift
        ground = (
            ""
            if self.ground is None
            else f" ({math.hypot(*self.ground):.3g} {self.unit} on the ground)"
        )
        sure = "" if self.is_shifted else ", which is less than a pixel or not certain"
        return (
            f"the target lies {rows:+.1f} rows and {cols:+.1f} columns from the source{ground}, "
            f"with a standard error of {self.error:.1f} px over {len(self.chips)} pairs{sure}"
        )


@dataclass(frozen=True)
class ComparedPair:
    """The pixels of a pair."""

    name: str
    source: Pixels
    target: Pixels


def register(
    pairs: Iterable[ComparedPair], classes: tuple[bool, bool], grid: Grid, seed: int = 0
) -> Registration:
    """Measure the shift between the sides of pairs of one size.

    The gradient magnitudes of both sides are correlated in the frequency domain (Kuglin and Hines
    1975), with partial whitening. The correlations of all pairs are added, and the maximum is
    interpolated by parabolas. Its standard error is a bootstrap over the pairs (Efron 1979).

    Args:
        pairs: The pairs; those whose sides have no edges do not count.
        classes: Whether source and target are classes, whose differences in value mean nothing.
        grid: Grid of a pair, for the shift on the ground.
        seed: Seed of the bootstrap.
    """
    names: list[str] = []
    found: list[NDArray[np.float64]] = []
    for pair in pairs:
        surface = _correlation(pair, classes)
        if surface is not None:
            names.append(pair.name)
            found.append(surface)
    if not found:
        return Registration((0.0, 0.0), math.inf, None, "", ())
    surfaces = np.stack(found)
    shift = _maximum(surfaces.mean(axis=0))
    ground = None if grid.crs is None else on_ground(shift, grid)
    return Registration(
        shift,
        _standard_error(surfaces, seed),
        ground,
        "" if grid.crs is None else grid.crs.units_factor[0],
        tuple(
            ChipShift(name, _maximum(surface))
            for name, surface in zip(names, surfaces, strict=True)
        ),
    )


def gathered(pixels: Pixels, count: int, *, classes: bool) -> Pixels:
    """Return the means of blocks of `count` x `count` px, or one pixel of each for classes."""
    data, valid = pixels
    if count == 1:
        return pixels
    rows, cols = (side // count for side in valid.shape)
    blocks = data.reshape(len(data), rows, count, cols, count)
    middle = count // 2
    found = blocks[:, :, middle, :, middle] if classes else blocks.mean(axis=(2, 4))
    return found, valid_at(valid, Fraction(1, count))


def checked_shift(value: object) -> Literal["auto"] | Shift:
    """Return the option `shift` of `export_chips` after checking it.

    Raises:
        InvalidInputError: It is neither "auto" nor two numbers.
    """
    if isinstance(value, str) and value == "auto":
        return "auto"
    if isinstance(value, str) or len(listed(value)) != 2:
        raise InvalidInputError(
            f"shift is {shown(value)}; give 'auto', or the rows and columns by which the target "
            "lies below and to the right of the source, such as (3, -1)."
        )
    rows, cols = finite_numbers("shift", value, 2)
    return rows, cols


def spread(count: int, most: int) -> list[int]:
    """Return at most `most` positions, evenly spread over `count`."""
    kept = min(count, most)
    return [i * count // kept for i in range(kept)]


def _correlation(pair: ComparedPair, classes: Sequence[bool]) -> NDArray[np.float64] | None:
    """Return the correlation at all shifts up to a limit; None without edges on both sides."""
    height, width = pair.source[1].shape
    if min(height, width) < LEAST_SIDE:
        return None
    edges = [
        _edges(*_middle(pixels), classes=named)
        for pixels, named in zip((pair.source, pair.target), classes, strict=True)
    ]
    rows, cols = edges[0].shape
    window = np.outer(np.hanning(rows), np.hanning(cols))
    source, target = (np.fft.rfft2(side * window) for side in edges)
    cross = np.conj(source) * target
    cross /= np.maximum(np.abs(cross), 1e-12) ** WHITENING
    down, right = np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(cols)
    cross *= np.exp(-2 * (np.pi * BLUR) ** 2 * (down**2 + right**2))
    total = float(np.abs(cross).sum())
    if not total > 1e-9:
        return None
    most = min(MOST_SHIFT, rows // 4, cols // 4)
    near = np.arange(-most, most + 1)
    surface: NDArray[np.float64] = np.fft.irfft2(cross / total, (rows, cols))[np.ix_(near, near)]
    limits = 2 * MOST_SHIFT + 1
    padding = (limits - len(near)) // 2
    return np.pad(surface, padding, constant_values=-np.inf) if padding else surface


def _middle(pixels: Pixels) -> Pixels:
    data, valid = pixels
    height, width = valid.shape
    top, left = max(0, height - MOST_SIDE) // 2, max(0, width - MOST_SIDE) // 2
    rows, cols = slice(top, top + MOST_SIDE), slice(left, left + MOST_SIDE)
    return data[:, rows, cols], valid[rows, cols]


def _edges(data: NDArray[Any], valid: NDArray[np.bool_], *, classes: bool) -> NDArray[np.float64]:
    """Return the gradient magnitude `(rows, cols)`, less its mean; 0 near invalid pixels."""
    edges = np.zeros(valid.shape)
    inside = valid.copy()
    for axis in (0, 1):
        for step in (-1, 1):
            inside &= np.roll(valid, step, axis)
    if not inside.any():
        return edges
    for band in data:
        values = band.astype(np.float64)
        deviation = values[valid].std()
        if not deviation > 0:
            continue
        steps = np.hypot(*np.gradient(np.where(valid, values / deviation, 0.0)))
        edges += steps > 0 if classes else steps
    # A few strong edges would hide all others.
    edges = np.minimum(edges, np.percentile(edges[inside], 98) or np.inf)
    return np.where(inside, edges - edges[inside].mean(), 0.0)


def _maximum(surface: NDArray[np.float64]) -> Shift:
    """Return the position of the maximum of a correlation, from its center."""
    row, col = (int(i) for i in np.unravel_index(int(surface.argmax()), surface.shape))
    middle = len(surface) // 2
    return (
        row - middle + _vertex(surface[:, col], row),
        col - middle + _vertex(surface[row], col),
    )


def _vertex(values: NDArray[np.float64], at: int) -> float:
    """Return the distance from a maximum to the vertex of the parabola through its neighbors."""
    if not 0 < at < len(values) - 1:
        return 0.0
    before, here, after = values[at - 1 : at + 2]
    bend = before - 2 * here + after
    return float((before - after) / (2 * bend)) if np.isfinite(bend) and bend else 0.0


def _standard_error(surfaces: NDArray[np.float64], seed: int) -> float:
    if len(surfaces) < 4:
        return math.inf
    chance = np.random.default_rng(seed)
    draws = chance.integers(0, len(surfaces), (DRAWS, len(surfaces)))
    shifts = np.array([_maximum(surfaces[drawn].mean(axis=0)) for drawn in draws])
    return float(shifts.std(axis=0).max())


def on_ground(shift: Shift, grid: Grid) -> tuple[float, float]:
    """Return a shift along the axes of a grid's CRS, in its units."""
    rows, cols = shift
    a, b, _, d, e, _ = grid.transform[:6]
    return a * cols + b * rows, d * cols + e * rows
