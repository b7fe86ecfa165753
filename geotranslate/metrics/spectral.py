"""Similarity of spectra: spectral angle and ERGAS."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Spectra:
    """Spectral angle and ERGAS of two bands and more.

    `sam` is the mean angle between the spectra of translation and target, in radians (Kruse et al.
    1993, doi:10.1016/0034-4257(93)90013-N). A target of 0 in all bands has no direction and is not
    counted; a translation of 0 in all bands is at a right angle. `ergas` is `100 sqrt(mean((rmse /
    mean(target))^2))` over the bands, of all valid pixels together: that of Wald 2000 for two
    images of one pixel size. It is NaN where the mean of a band is 0.
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
