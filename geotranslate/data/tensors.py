"""Typed tensors of both sides, which fastai draws by their types."""

from __future__ import annotations

from typing import Any

from fastai.torch_basics import TensorImageBase, dispatch

from geotranslate.checks import whole_number
from geotranslate.chips.bands import Side
from geotranslate.data.plotting import RgbBands, draw_table


class TensorRaster(TensorImageBase):
    """Float32 `(bands, rows, cols)` scaled to -1..1."""

    side: Side | None = None
    """What is known of its side; the dataset says it when a batch is decoded to be drawn."""
    paired: bool = True
    """Whether source and target show one place; the dataset says it too."""


class TensorSource(TensorRaster):
    """A source chip; invalid pixels hold what `Side.fill` says."""


class TensorTarget(TensorRaster):
    """A target chip; its invalid pixels are NaN, of a pair those that are so on either side."""


@dispatch
def show_batch(
    x: TensorSource,
    y: TensorTarget,
    samples: Any,
    ctxs: Any = None,
    max_n: int = 4,
    rgb_bands: RgbBands | None = None,
) -> Any:
    """Draw the pairs of a batch side by side (what `data.show_batch()` calls)."""
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
    """Draw sources, translations and targets of a batch (what `learn.show_results()` calls)."""
    pairs = list(zip(samples, outs, strict=True))[: whole_number("max_n", max_n, 1)]
    rows = [(source, out[0], target) for (source, target), out in pairs]
    sides = [rows[0][0].side, rows[0][2].side, rows[0][2].side]
    titles, paired = ("source", "translation", "target"), rows[0][0].paired
    return draw_table(rows, titles, sides=sides, rgb_bands=rgb_bands, paired=paired)
