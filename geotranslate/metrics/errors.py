"""Errors between translations and targets, in the target's units and by spectra."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from geotranslate.chips.bands import Side

CONSTANT = 1e-12
"""Share of the squares below which the variance is rounding error."""

ROUNDING = 2e-6
"""Rounding error of float32 in -1..1 as a share of the range, in the steepest scaling."""


class Errors:
    """MAE, RMSE, bias, R2 and PSNR, from sums over the valid pixels of every band.

    `bias` is the mean of prediction minus target. `r2` is `1 - sum(error^2) / sum((target -
    mean(target))^2)`, NaN for a constant target. `psnr` is `20 log10(psnr_range / rmse)` in dB,
    infinite without error. `count` is the number of values compared. Over several bands, `mae`,
    `rmse` and `bias` weigh all values equally, `psnr_range` is the largest range of a band and `r2`
    the mean over the bands.

    Args:
        ranges: For each band the peak of its PSNR, in the target's units.
        near: For each band a typical value of the target, about which sums lose no digits.
    """

    names = ("mae", "rmse", "bias", "r2", "psnr", "psnr_range", "count")

    def __init__(self, ranges: Sequence[float], near: Sequence[float] | None = None) -> None:
        self.ranges = ranges
        self.near = [0.0] * len(ranges) if near is None else near
        self._sums: Tensor | float = 0.0

    def add(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        """Add float64 `(n, bands, rows, cols)` in target units, `valid` `(n, 1, rows, cols)`."""
        near = target.new_tensor(self.near)[:, None, None]
        error = torch.where(valid, prediction - target, 0)
        value = torch.where(valid, target - near, 0)
        terms = (valid.expand_as(error), error, error.abs(), error**2, value, value**2)
        self._sums = self._sums + torch.stack([term.sum((0, 2, 3)).double() for term in terms])

    def per_band(self) -> list[dict[str, float]]:
        """Return the measures of every band."""
        rows = self._table()
        return [_measures(row, peak) for row, peak in zip(rows, self.ranges, strict=True)]

    def overall(self) -> dict[str, float]:
        """Return the measures of all bands together."""
        found = _measures(np.sum(self._table(), axis=0).tolist(), max(self.ranges))
        known = [band["r2"] for band in self.per_band() if not math.isnan(band["r2"])]
        return found | {"r2": sum(known) / len(known) if known else math.nan}

    def _table(self) -> list[list[float]]:
        if isinstance(self._sums, Tensor):
            return self._sums.T.tolist()
        return [[0.0] * 6 for _ in self.ranges]


def errors_between(
    prediction: NDArray[Any], target: NDArray[Any], data_range: float
) -> dict[str, float]:
    """Compare two arrays in the same units.

    Args:
        prediction: `(bands, rows, cols)`.
        target: The same; NaN is not counted.
        data_range: Peak of the PSNR, in those units.

    Returns:
        The measures of all bands together, see `Errors`.
    """
    truth = torch.from_numpy(target.astype(np.float64))[None]
    found = torch.from_numpy(prediction.astype(np.float64))[None]
    seen = target[np.isfinite(target)]
    near = float(seen.mean()) if seen.size else 0.0
    errors = Errors([data_range] * len(target), [near] * len(target))
    errors.add(found, truth, torch.isfinite(truth).all(1, keepdim=True))
    return errors.overall()


def _measures(sums: Sequence[float], peak: float) -> dict[str, float]:
    count, error, absolute, squared, value, squared_value = sums
    if not count:
        nothing = dict.fromkeys(("mae", "rmse", "bias", "r2", "psnr"), math.nan)
        return nothing | {"psnr_range": peak, "count": 0}
    rmse = math.sqrt(squared / count)
    spread = squared_value - value**2 / count
    return {
        "mae": absolute / count,
        "rmse": rmse,
        "bias": error / count,
        "r2": 1 - squared / spread if spread > CONSTANT * squared_value else math.nan,
        "psnr": _psnr(rmse, peak),
        "psnr_range": peak,
        "count": int(count),
    }


def _psnr(rmse: float, peak: float) -> float:
    if not rmse:
        return math.inf
    return 20 * math.log10(peak / rmse) if peak > 0 else math.nan


class Units:
    """Convert tensors in -1..1 to the target's units, in float64 on their device.

    Args:
        side: The target.
    """

    def __init__(self, side: Side) -> None:
        self.scaling = side.scaling
        limits = np.iinfo(side.dtype) if np.issubdtype(side.dtype, np.integer) else None
        self.limits = None if limits is None else (float(limits.min), float(limits.max))
        whole = side.dtype == "uint8"
        self.low = (0.0,) * side.bands if whole else side.limits[0]
        high = (255.0,) * side.bands if whole else side.limits[1]
        self.ranges = tuple(b - a for a, b in zip(self.low, high, strict=True))
        """For each band 255 for uint8, else the range of the training chips."""

    def translation(self, scaled: Tensor) -> Tensor:
        """Return a translation as it would be written: rounded and clipped to the dtype."""
        values = self._values(scaled)
        return values if self.limits is None else values.round().clamp(*self.limits)

    def truth(self, scaled: Tensor) -> Tensor:
        """Return a target; whole numbers come back whole, NaN stays NaN."""
        values = self._values(scaled)
        if self.limits is None:
            return values
        # Resampled chips keep their fractions.
        off = ROUNDING * torch.tensor(self.ranges, dtype=values.dtype, device=values.device)
        whole = values.round()
        return torch.where((values - whole).abs() <= off[:, None, None], whole, values)

    def _values(self, scaled: Tensor) -> Tensor:
        """Invert the scaling by its knots, as `Scaling.unscale` does."""
        plain = scaled.detach().as_subclass(Tensor)
        # Apple's GPUs have no float64.
        plain = (plain.cpu() if plain.device.type == "mps" else plain).double()
        knots = torch.tensor(self.scaling.knots, dtype=plain.dtype, device=plain.device)
        knots, levels = knots.T[..., None, None], self.scaling.levels
        values = knots[0] + (plain - levels[0]) * _slope(knots, levels, 0)
        for i in range(1, len(levels) - 1):
            piece = knots[i] + (plain - levels[i]) * _slope(knots, levels, i)
            values = torch.where(plain < levels[i], values, piece)
        if self.scaling.floor is not None:
            power = torch.tensor([floor is not None for floor in self.scaling.floors])
            power = power.to(plain.device)[:, None, None]
            values = torch.where(power, 10 ** (values / 10), values)
        # As a raster holds them; sums are in float64 again.
        return values.float().double()


def _slope(knots: Tensor, levels: tuple[float, ...], place: int) -> Tensor:
    return (knots[place + 1] - knots[place]) / (levels[place + 1] - levels[place])


class Spectra:
    """Spectral angle and ERGAS of two bands and more.

    `sam` is the mean angle between the spectra of translation and target, in radians (Kruse et al.
    1993, doi:10.1016/0034-4257(93)90013-N). A target of 0 in all bands has no direction and is not
    counted; a translation of 0 in all bands is at a right angle. `ergas` is `100 sqrt(mean((rmse /
    mean(target))^2))` over the bands and all valid pixels, as by Wald 2000 for two images of one
    pixel size. It is NaN where the mean of a band is 0.
    """

    names = ("sam", "ergas")

    def __init__(self) -> None:
        self._angles: Tensor | float = 0.0
        self._bands: Tensor | float = 0.0

    def add(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        """Add float64 `(n, bands, rows, cols)` in target units, `valid` `(n, 1, rows, cols)`."""
        ours, theirs = (torch.where(valid, side, 0) for side in (prediction, target))
        angle, counted = _angles(ours, theirs)
        self._angles = self._angles + torch.stack([angle.sum(), counted.sum()])
        terms = ((ours - theirs) ** 2, theirs, valid.expand_as(theirs).double())
        self._bands = self._bands + torch.stack([term.sum((0, 2, 3)) for term in terms])

    def per_band(self) -> list[dict[str, float]]:
        """Return an empty list: a single band has no spectrum."""
        return []

    def overall(self) -> dict[str, float]:
        """Return both measures, NaN where no pixel was counted."""
        if not isinstance(self._angles, Tensor) or not isinstance(self._bands, Tensor):
            return dict.fromkeys(self.names, math.nan)
        squared, values, count = self._bands
        # A mean of 0 divides an error to infinity, or no error to NaN.
        relative = squared / count / torch.where(values == 0, math.nan, values / count) ** 2
        return {
            "sam": float(self._angles[0] / self._angles[1]),
            "ergas": float(100 * relative.mean().sqrt()),
        }


def _angles(ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the angle of every pixel and whether it counts, both `(n, rows, cols)`."""
    lengths = [side.norm(dim=1, keepdim=True) for side in (ours, theirs)]
    a, b = (
        side / torch.where(length == 0, 1, length)
        for side, length in zip((ours, theirs), lengths, strict=True)
    )
    # Unlike the arc cosine it keeps its digits where the spectra are alike.
    angle = 2 * torch.atan2((a - b).norm(dim=1), (a + b).norm(dim=1))
    counted = lengths[1][:, 0] != 0
    return torch.where(counted, angle, 0), counted.double()
