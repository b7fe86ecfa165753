"""Comparison of an ONNX graph with the network that it was written from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geotranslate.chips.bands import Side
from geotranslate.errors import GeotranslateError

MOST_DIFFERENCE = 1e-4
"""Largest difference from torch, relative to the range of the values."""
LEAST_SIDE = 64
"""Smallest side of the compared images, px."""
SHAPES = ((1, 3, 2), (2, 2, 2))
"""Batch, and rows and columns in steps, of the compared images."""

Images = NDArray[np.float32]
Function = Callable[[Images], Sequence[Images]]
"""Function from images `(n, bands, rows, cols)` to all outputs."""


def sizes_of(
    stride: int, rows: int | None, cols: int | None, batch: int | None
) -> list[tuple[int, int, int]]:
    """Return the batches, rows and columns with which a graph is compared.

    Args:
        stride: Factor of which free rows and columns are multiples, px.
        rows: Fixed number of rows, if any.
        cols: Fixed number of columns, if any.
        batch: Fixed size of batches, if any.
    """
    step = math.ceil(LEAST_SIDE / stride) * stride
    found = {(batch or n, rows or down * step, cols or across * step) for n, down, across in SHAPES}
    return sorted(found)


def drawn(side: Side, shape: tuple[int, int, int], seed: int = 0) -> Images:
    """Return random images `(n, bands, rows, cols)` in the range of a side, in its units."""
    count, rows, cols = shape
    generator = np.random.default_rng(seed)
    if side.class_numbers:
        numbers = np.array(side.class_numbers, np.float32)
        return generator.choice(numbers, (count, side.bands, rows, cols))
    low, high = (np.array(end)[:, None, None] for end in side.limits)
    values = generator.random((count, side.bands, rows, cols))
    found = (low + (high - low) * values).astype(np.float32)
    for band, classes in enumerate(side.class_bands or ()):
        if classes:
            found[:, band] = generator.choice(np.array(classes), found[:, band].shape)
    return found


def compare(
    ours: Function, theirs: Function, images: Images, spans: Sequence[NDArray[Any] | float]
) -> None:
    """Compare the outputs of two functions.

    Args:
        ours: The network with its scalings, in torch.
        theirs: The graph, in onnxruntime.
        images: Images in the units of the input.
        spans: For each output, the range to which differences are relative, one number or an array
            that fits `(n, bands, rows, cols)`.

    Raises:
        GeotranslateError: They differ.
    """
    for expected, found, span in zip(ours(images), theirs(images), spans, strict=True):
        if expected.shape != found.shape:
            raise GeotranslateError(
                f"The ONNX file translates images of {images.shape} to {found.shape} and the model "
                f"to {expected.shape}, so it is not written; please report this."
            )
        apart = np.abs(found - expected) / np.maximum(span, np.abs(expected))
        if not (apart <= MOST_DIFFERENCE).all():
            raise GeotranslateError(
                f"The ONNX file differs from the model by {float(apart.max()):.2g} of the "
                f"target's range for images of {images.shape}, more than {MOST_DIFFERENCE:g}, so "
                "it is not written; try it with another version of torch or onnxruntime."
            )
