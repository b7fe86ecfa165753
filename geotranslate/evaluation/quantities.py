"""Measures of quantities, as sums over the pixels and windows of parts of a scene."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from geotranslate.evaluation.similarity import (
    CONSTANT,
    SCALE_WEIGHTS,
    Array,
    Mask,
    WindowMap,
)

Found: TypeAlias = "dict[str, tuple[Array, Array | None]]"
"""Measures by name: of all bands `(...)` and, where a single band has them, of each `(..., bands)`.
"""
Parts: TypeAlias = "Mapping[str, Array]"


@dataclass(frozen=True)
class Layout:
    """Places of sums of several kinds in one vector."""

    sizes: Mapping[str, int]

    @property
    def size(self) -> int:
        """Length of the vector."""
        return sum(self.sizes.values())

    def packed(self, parts: Mapping[str, NDArray[np.float64]]) -> Array:
        """Return the vector of some sums, 0 for the others."""
        return np.concatenate(
            [np.broadcast_to(parts.get(k, 0.0), n) for k, n in self.sizes.items()]
        )

    def split(self, sums: Array) -> dict[str, Array]:
        """Return the sums of each kind, `(..., size of the kind)`."""
        places = np.cumsum(list(self.sizes.values()))[:-1]
        return dict(zip(self.sizes, np.split(sums, places, axis=-1), strict=True))


@dataclass(frozen=True)
class Compared:
    """The counted pixels of a window: errors and values where they are valid, 0 elsewhere."""

    error: Array
    """Prediction minus reference, `(bands, rows, cols)`."""
    reference: Array
    valid: Mask
    maps: Sequence[WindowMap] = ()
    rivals: Mapping[str, tuple[Array, Mask]] = field(default_factory=dict)
    """Absolute errors of the baselines, and where they have a value."""

    def cut(self, rows: slice, cols: slice) -> Compared:
        """Return the pixels of some rows and columns, which begin at multiples of 16."""
        return Compared(
            self.error[:, rows, cols],
            self.reference[:, rows, cols],
            self.valid[rows, cols],
            tuple(each.cut(rows, cols) for each in self.maps),
            {
                name: (errors[:, rows, cols], known[rows, cols])
                for name, (errors, known) in self.rivals.items()
            },
        )


class QuantitySums:
    """Sums of quantities, and the measures that follow from them.

    `mae`, `rmse`, `bias`, `r2`, `psnr`, `ssim`, `ms_ssim`, `sam` and `ergas` are those of
    `compute_metrics`; the scene is one image of MS-SSIM. `uqi` is the universal image quality index
    of Wang and Bovik 2002 (doi:10.1109/97.995823): the mean over all windows of 8 x 8 px without an
    invalid pixel. `skill_over_...` is 1 minus the ratio of mean absolute errors of the prediction
    and of a baseline, over the pixels where the baseline has a value.

    Args:
        ranges: For each band the peak of its PSNR and the range of SSIM.
        near: For each band a typical value of the reference, about which sums lose no digits.
        rivals: Names of the baselines.
    """

    def __init__(
        self, ranges: Sequence[float], near: Sequence[float], rivals: Sequence[str]
    ) -> None:
        self.ranges, self.rivals = np.array(ranges, float), tuple(rivals)
        self.near = np.array(near, float)[:, None]
        bands = len(ranges)
        each = ("error", "absolute", "squared", "value", "squared_value", "product", "reference")
        sizes = {"count": 1} | dict.fromkeys(each, bands)
        if bands > 1:
            sizes |= {"angle": 1, "angles": 1}
        for scale in range(len(SCALE_WEIGHTS)):
            sizes |= {f"contrast{scale}": bands, f"windows{scale}": 1}
        sizes |= {"ssim": bands, "uqi": bands, "squares": 1}
        for name in self.rivals:
            sizes |= {f"ours {name}": bands, f"theirs {name}": bands, f"pixels {name}": 1}
        self.layout = Layout(sizes)

    def sums(self, compared: Compared, mask: Mask | None = None) -> Array:
        """Return the sums over a window, or over the pixels of a mask."""
        parts = self._of_pixels(compared, mask)
        for name, (absolute, known) in compared.rivals.items():
            chosen = known if mask is None else known & mask
            parts[f"ours {name}"] = np.abs(compared.error[:, chosen]).sum(1)
            parts[f"theirs {name}"] = absolute[:, chosen].sum(1)
            parts[f"pixels {name}"] = np.array([chosen.sum()], float)
        for each in compared.maps:
            parts |= _of_windows(each, mask)
        return self.layout.packed(parts)

    def _of_pixels(self, compared: Compared, mask: Mask | None) -> dict[str, Array]:
        chosen = compared.valid if mask is None else compared.valid & mask
        error, reference = compared.error[:, chosen], compared.reference[:, chosen]
        value = reference - self.near
        parts = {
            "count": np.array([error.shape[1]], float),
            "error": error.sum(1),
            "absolute": np.abs(error).sum(1),
            "squared": (error * error).sum(1),
            "value": value.sum(1),
            "squared_value": (value * value).sum(1),
            "product": (error * value).sum(1),
            "reference": reference.sum(1),
        }
        if len(error) > 1:
            angle, counted = _angles(reference + error, reference)
            parts |= {"angle": angle.sum(keepdims=True), "angles": counted.sum(keepdims=True)}
        return parts

    def measures(self, sums: Array) -> Found:
        """Return the measures of sums `(..., size)`."""
        parts = self.layout.split(sums)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = self._errors(parts) | _structure(parts)
            if "angle" in parts:
                relative = parts["squared"] * parts["count"] / parts["reference"] ** 2
                relative = np.where(parts["reference"] == 0, np.nan, relative)
                found["sam"] = (parts["angle"] / parts["angles"])[..., 0], None
                found["ergas"] = 100 * np.sqrt(relative.mean(-1)), None
            for name in self.rivals:
                ours, theirs = parts[f"ours {name}"], parts[f"theirs {name}"]
                found[f"skill_over_{name}"] = (
                    (_skill(ours.sum(-1), theirs.sum(-1))),
                    _skill(ours, theirs),
                )
        return found

    def mean_errors(self, sums: Array) -> dict[str, float]:
        """Return the mean absolute error of every baseline, NaN where it has no value."""
        parts = self.layout.split(sums)
        with np.errstate(invalid="ignore"):
            return {
                name: float(parts[f"theirs {name}"].mean() / parts[f"pixels {name}"][0])
                for name in self.rivals
            }

    def lines(self, sums: Array) -> tuple[tuple[float, float, float], ...]:
        """Return slope, intercept and correlation of the regression on the reference by band."""
        parts = self.layout.split(sums)
        count = parts["count"]
        with np.errstate(divide="ignore", invalid="ignore"):
            mean, error = parts["value"] / count, parts["error"] / count
            spread = parts["squared_value"] - count * mean**2
            shared = parts["product"] - count * mean * error
            spread = np.where(spread > CONSTANT * parts["squared_value"], spread, np.nan)
            slope = 1 + shared / spread
            intercept = error + mean + self.near[:, 0] * (1 - slope) - slope * mean
            other = parts["squared"] - count * error**2 + 2 * shared + spread
            correlation = slope * np.sqrt(spread / np.where(other > 0, other, np.nan))
        rows = zip(slope.tolist(), intercept.tolist(), correlation.tolist(), strict=True)
        return tuple((a, b, c) for a, b, c in rows)

    def _errors(self, parts: Parts) -> Found:
        count, squared = parts["count"], parts["squared"]
        rmse = np.sqrt(squared / count)
        whole = np.sqrt(squared.mean(-1) / count[..., 0])
        spread = parts["squared_value"] - parts["value"] ** 2 / count
        r2 = np.where(spread > CONSTANT * parts["squared_value"], 1 - squared / spread, np.nan)
        peak = np.broadcast_to(self.ranges, rmse.shape)
        bands = rmse.shape[-1]
        return {
            "mae": (parts["absolute"].mean(-1) / count[..., 0], parts["absolute"] / count),
            "rmse": (whole, rmse),
            "bias": (parts["error"].mean(-1) / count[..., 0], parts["error"] / count),
            "r2": (_known_mean(r2), r2),
            "psnr": (_psnr(whole, peak.max(-1)), _psnr(rmse, peak)),
            "psnr_range": (peak.max(-1), peak),
            "count": (bands * count[..., 0], np.broadcast_to(count, rmse.shape)),
        }


def _of_windows(each: WindowMap, mask: Mask | None) -> Iterator[tuple[str, Array]]:
    chosen = each.counted if mask is None else each.counted & each.at(mask)
    sums, count = each.values[:, chosen].sum(1), np.array([chosen.sum()], float)
    if each.name == "uqi":
        return iter({"uqi": sums, "squares": count}.items())
    if each.name == "ssim" and each.scale == 0:
        return iter({"ssim": sums}.items())
    # At the last scale, SSIM takes the place of the contrast.
    return iter({f"contrast{each.scale}": sums, f"windows{each.scale}": count}.items())


def _structure(parts: Parts) -> Found:
    ssim = parts["ssim"] / parts["windows0"]
    uqi = parts["uqi"] / parts["squares"]
    product = np.ones_like(ssim)
    for scale, weight in enumerate(SCALE_WEIGHTS):
        mean = parts[f"contrast{scale}"] / parts[f"windows{scale}"]
        product = product * np.where(np.isnan(mean), np.nan, np.maximum(mean, 0)) ** weight
    return {
        "ssim": (ssim.mean(-1), ssim),
        "ms_ssim": (product.mean(-1), product),
        "uqi": (uqi.mean(-1), uqi),
    }


def _angles(ours: Array, theirs: Array) -> tuple[Array, Array]:
    """Return the angle between spectra `(bands, pixels)` and whether it counts."""
    lengths = [np.sqrt((side * side).sum(0)) for side in (ours, theirs)]
    a, b = (
        side / np.where(length == 0, 1, length)
        for side, length in zip((ours, theirs), lengths, strict=True)
    )
    apart, along = (np.sqrt((side * side).sum(0)) for side in (a - b, a + b))
    counted = lengths[1] != 0
    # Unlike the arc cosine it keeps its digits where the spectra are alike.
    return np.where(counted, 2 * np.arctan2(apart, along), 0), counted.astype(float)


def _psnr(rmse: Array, peak: Array) -> Array:
    found = 20 * np.log10(peak / rmse)
    return np.where(rmse == 0, np.inf, np.where(peak > 0, found, np.nan))


def _known_mean(values: Array) -> Array:
    known = ~np.isnan(values)
    return np.where(known, values, 0).sum(-1) / np.where(known.any(-1), known.sum(-1), np.nan)


def _skill(ours: Array, theirs: Array) -> Array:
    return np.where(theirs > 0, 1 - ours / theirs, np.nan)
