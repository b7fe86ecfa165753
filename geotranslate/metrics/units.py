"""Conversion of tensors in -1..1 to the values of a raster of the target."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from geotranslate.chips.bands import Side

ROUNDING = 2e-6
"""Rounding error of float32 in -1..1 as a share of the range, in the steepest scaling."""


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
        # Chips that were resampled have fractions, and keep them.
        off = ROUNDING * torch.tensor(self.ranges, dtype=values.dtype, device=values.device)
        whole = values.round()
        return torch.where((values - whole).abs() <= off[:, None, None], whole, values)

    def _values(self, scaled: Tensor) -> Tensor:
        """Follow the scaling's line through its knots, as `Scaling.unscale` does."""
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
            values = 10 ** (values / 10)
        # As a raster holds them; sums are in float64 again.
        return values.float().double()


def _slope(knots: Tensor, levels: tuple[float, ...], place: int) -> Tensor:
    return (knots[place + 1] - knots[place]) / (levels[place + 1] - levels[place])
