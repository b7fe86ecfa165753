"""Layers around a network that turn what Deepness gives into -1..1, and -1..1 into 8 bits."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from geotranslate.chips.bands import Side
from geotranslate.interop.onnx.scalinglayers import scaling_layer, unscaling_layer

BYTE = 255.0
HALF = 0.5
"""Deepness cuts off decimals; half a count before makes it round."""


class SourceValues(nn.Module):
    """Map values of a layer to -1..1, with the mean of a band in pixels that are not valid.

    Deepness does not look at nodata values. As in `RasterReader`, a pixel is invalid where a band
    is not finite or nodata; in uint8, where all bands are nodata.

    Args:
        side: The source.
    """

    fill: Tensor

    def __init__(self, side: Side) -> None:
        super().__init__()
        self.rounds = np.issubdtype(side.dtype, np.integer)
        self.nodata, self.all_bands = side.nodata, side.dtype == "uint8"
        self.register_buffer("fill", torch.tensor(side.fill, dtype=torch.float32)[:, None, None])
        self.scaling = scaling_layer(side.scaling)

    def forward(self, values: Tensor) -> Tensor:
        """Return `(n, bands, rows, cols)` in -1..1."""
        if self.rounds:
            # Deepness divides by 255 and by 1/255, which does not give back every whole number.
            values = torch.round(values)
        # NaN and infinity are the values whose product with 0 is not 0.
        missing = _any(values * 0 != 0)
        if self.nodata is not None and np.isfinite(self.nodata):
            same = values == self.nodata
            missing = missing | (~_any(~same) if self.all_bands else _any(same))
        found: Tensor = self.scaling(torch.where(missing, self.fill, values))
        return found


def _any(flags: Tensor) -> Tensor:
    """Return `(n, 1, rows, cols)`: whether a band of `(n, bands, rows, cols)` is true.

    The axes of a reduction cannot be converted to opset 17.
    """
    bands = [flags[:, band : band + 1] for band in range(flags.shape[1])]
    return functools.reduce(torch.logical_or, bands)


class Counts(nn.Module):
    """Map -1..1 to 0..1, of which Deepness makes whole numbers of 0..255.

    Args:
        side: The target.
        separate: Whether each band is an output of its own.
        times: How often each pixel is repeated along an axis.
    """

    low: Tensor
    span: Tensor

    def __init__(self, side: Side, *, separate: bool, times: int = 1) -> None:
        super().__init__()
        self.separate, self.times, self.bands = separate, times, side.bands
        self.scaling = unscaling_layer(side.scaling)
        low, high = np.array(byte_range(side)).T
        for name, values in (("low", low), ("span", high - low)):
            tensor = torch.from_numpy(values.astype(np.float32))
            self.register_buffer(name, tensor[:, None, None])

    def forward(self, scaled: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return `(n, bands, rows, cols)`, or a tensor `(n, 1, rows, cols)` for each band."""
        shares = ((self.scaling(scaled) - self.low) / self.span).clamp(0, 1) + HALF / BYTE
        if self.times > 1:
            shares = nn.functional.interpolate(shares, scale_factor=float(self.times))
        if not self.separate:
            return shares
        return tuple(shares[:, band : band + 1] for band in range(self.bands))


def byte_range(side: Side) -> Sequence[tuple[float, float]]:
    """Return the values of each band that 0 and 255 stand for.

    Whole numbers that fit in 8 bits stand for themselves.
    """
    low, high = side.limits
    whole = np.issubdtype(side.dtype, np.integer) or side.classes is not None
    if side.dtype == "uint8" or (whole and min(low) >= 0 and max(high) <= BYTE):
        return [(0.0, BYTE)] * side.bands
    # A band of one value would have no span.
    return [(a, b if b > a else a + 1) for a, b in zip(low, high, strict=True)]


def keeps_values(side: Side) -> bool:
    """Tell whether 8 bits hold the values of a target as they are."""
    return all(ends == (0.0, BYTE) for ends in byte_range(side))
