"""Scalings of bands as layers of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from geotranslate.chips.bands import Scaling

DECIBEL = 10 / np.log(10)
"""Decibels of a ratio of e."""


class PiecewiseLinear(nn.Module):
    """Map each band of `(n, bands, rows, cols)` by a piecewise linear function, in float32.

    The outer pieces are extended. Each piece starts at a knot that is the sum of two float32
    numbers, so that values with a large offset lose no digits.

    Args:
        xs: Knots `(bands, knots)`, increasing.
        ys: Values at the knots `(bands, knots)`.
    """

    starts: Tensor
    rests: Tensor
    slopes: Tensor
    values: Tensor

    def __init__(self, xs: NDArray[np.float64], ys: NDArray[np.float64]) -> None:
        super().__init__()
        starts = xs[:, :-1].astype(np.float32)
        found: dict[str, NDArray[Any]] = {
            "starts": starts,
            "rests": xs[:, :-1] - starts,
            "slopes": np.diff(ys) / np.diff(xs),
            "values": ys[:, :-1],
        }
        for name, rows in found.items():
            columns = torch.from_numpy(rows.T.astype(np.float32).copy())
            self.register_buffer(name, columns[:, :, None, None])

    def forward(self, image: Tensor) -> Tensor:
        """Return the mapped image."""
        mapped = self._line(0, self._away(0, image))
        for piece in range(1, len(self.starts)):
            away = self._away(piece, image)
            mapped = torch.where(away < 0, mapped, self._line(piece, away))
        return mapped

    def _away(self, piece: int, image: Tensor) -> Tensor:
        return image - self.starts[piece] - self.rests[piece]

    def _line(self, piece: int, away: Tensor) -> Tensor:
        return away * self.slopes[piece] + self.values[piece]


class _OfBands(nn.Module):
    """A map of the bands that have a floor; the others stay as they are."""

    floor: Tensor
    chosen: Tensor

    def __init__(self, floors: Sequence[float | None]) -> None:
        super().__init__()
        chosen = [floor is not None for floor in floors]
        self.all = all(chosen)
        numbers = torch.tensor([floor or 1.0 for floor in floors], dtype=torch.float32)
        self.register_buffer("floor", numbers[:, None, None])
        self.register_buffer("chosen", torch.tensor(chosen)[:, None, None])

    def _where(self, mapped: Tensor, image: Tensor) -> Tensor:
        return mapped if self.all else torch.where(self.chosen, mapped, image)


class Decibels(_OfBands):
    """Linear power in decibels, of values that are raised to a floor first."""

    def forward(self, image: Tensor) -> Tensor:
        """Return decibels `(n, bands, rows, cols)`."""
        return self._where(torch.log(torch.maximum(image, self.floor)) * DECIBEL, image)


class Power(_OfBands):
    """Decibels as linear power."""

    def forward(self, image: Tensor) -> Tensor:
        """Return linear power `(n, bands, rows, cols)`."""
        return self._where(torch.exp(image / DECIBEL), image)


def scaling_layer(scaling: Scaling) -> nn.Module:
    """Return the layer that computes `Scaling.scale`, in float32."""
    knots, levels = _arrays(scaling)
    mapped = PiecewiseLinear(knots, levels)
    return mapped if scaling.floor is None else nn.Sequential(Decibels(scaling.floors), mapped)


def unscaling_layer(scaling: Scaling) -> nn.Module:
    """Return the layer that computes `Scaling.unscale`, in float32."""
    knots, levels = _arrays(scaling)
    mapped = PiecewiseLinear(levels, knots)
    return mapped if scaling.floor is None else nn.Sequential(mapped, Power(scaling.floors))


def _arrays(scaling: Scaling) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    knots = np.array(scaling.knots)
    return knots, np.broadcast_to(scaling.levels, knots.shape)
