"""Typed tensors of both sides, and how they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from fastai.torch_basics import TensorImageBase, dispatch, subplots
from numpy.typing import NDArray
from torch import Tensor


class TensorRaster(TensorImageBase):
    """Float32 `(bands, rows, cols)` scaled to -1..1."""


class TensorSource(TensorRaster):
    """A source chip; invalid pixels hold the band's mean over the training chips."""


class TensorTarget(TensorRaster):
    """A target chip; pixels that are invalid on either side are NaN."""


def to_picture(scaled: Tensor | NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the first three bands `(rows, cols, 3)`, or the first `(rows, cols)`, in 0..1."""
    bands: NDArray[np.float32] = np.asarray(scaled, np.float32)
    shown = bands[:3] if len(bands) >= 3 else bands[:1]
    picture = np.clip(np.nan_to_num(shown / 2 + 0.5), 0, 1).astype(np.float32)
    return np.moveaxis(picture, 0, -1) if len(picture) == 3 else picture[0]


def draw_table(
    rows: Sequence[Sequence[Tensor | NDArray[np.float32]]], titles: Sequence[str], side: float = 3
) -> Any:
    """Draw scaled chips as a table with a title over every column; return the matplotlib figure.

    Args:
        rows: Chips `(bands, rows, cols)` in -1..1, as many a row as there are titles.
        titles: What the columns show.
        side: Width of a column, inches.
    """
    height = side * rows[0][0].shape[-2] / rows[0][0].shape[-1]
    figure, axes = subplots(
        len(rows), len(titles), figsize=(side * len(titles), height * len(rows) + 0.4)
    )
    table = np.asarray(axes).reshape(len(rows), len(titles))
    for row, chips in zip(table, rows, strict=True):
        for axis, chip in zip(row, chips, strict=True):
            axis.imshow(to_picture(chip), cmap="gray", vmin=0, vmax=1)
            axis.set_axis_off()
    for axis, title in zip(table[0], titles, strict=True):
        axis.set_title(title)
    figure.tight_layout()
    return figure


@dispatch
def show_batch(
    x: TensorSource, y: TensorTarget, samples: Any, ctxs: Any = None, max_n: int = 4, **_: Any
) -> Any:
    """Draw the pairs of a batch side by side (what `data.show_batch()` calls)."""
    count = min(max_n, len(x))
    pairs = list(zip(x[:count].cpu(), y[:count].cpu(), strict=True))
    return draw_table(pairs, ("source", "target"))
