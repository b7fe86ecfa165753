"""Typed tensors of both sides, which fastai plots by their types."""

from __future__ import annotations

from typing import Any

# fastai's methods for any types have to be registered before those of ours: dispatch takes the last
# one of two that fit.
import fastai.data.core  # noqa: F401
from fastai.torch_basics import TensorImageBase, dispatch

from geotranslate.checks import whole_number
from geotranslate.chips.bands import Side
from geotranslate.data.plotting import RgbBands, draw_table


class TensorRaster(TensorImageBase):
    """Float32 `(bands, rows, cols)` scaled to -1..1."""

    side: Side | None = None
    """Description of its side, set when a batch is decoded."""
    paired: bool = True
    """Whether source and target show the same place, set when a batch is decoded."""


class TensorSource(TensorRaster):
    """A source chip; invalid pixels hold `Side.fill`."""


class TensorTarget(TensorRaster):
    """A target chip; invalid pixels are NaN; in a pair, pixels invalid on either side."""


@dispatch
def show_batch(
    x: TensorSource,
    y: TensorTarget,
    samples: Any,
    ctxs: Any = None,
    max_n: int = 4,
    rgb_bands: RgbBands | None = None,
) -> Any:
    """Draw the pairs of a batch side by side (called by `data.show_batch()`)."""
    rows = list(samples)[: whole_number("max_n", max_n, 1)]
    sides, paired = [chip.side for chip in rows[0]], rows[0][0].paired
    titles = ("source", "target")
    return draw_table(rows, titles, sides=sides, rgb_bands=rgb_bands, paired=paired)


@dispatch
def show_results(
    x: TensorSource,
    y: TensorTarget,
    samples: Any,
    outs: Any,
    ctxs: Any = None,
    max_n: int = 4,
    rgb_bands: RgbBands | None = None,
) -> Any:
    """Draw sources, translations and targets of a batch (called by `learn.show_results()`)."""
    pairs = list(zip(samples, outs, strict=True))[: whole_number("max_n", max_n, 1)]
    rows = [(source, out[0], target) for (source, target), out in pairs]
    sides = [rows[0][0].side, rows[0][2].side, rows[0][2].side]
    titles, paired = ("source", "translation", "target"), rows[0][0].paired
    return draw_table(rows, titles, sides=sides, rgb_bands=rgb_bands, paired=paired)
