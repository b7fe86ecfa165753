"""Pairs of a prediction and a reference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import WriteRaster

Pair = tuple[NDArray[Any], NDArray[Any]]


def images(shape: tuple[int, ...], dtype: str = "uint8", seed: int = 0) -> Pair:
    """Return a prediction and a reference `(bands, rows, cols)` with structure and noise."""
    chance = np.random.default_rng(seed)
    rows, cols = np.indices(shape[-2:]) / 9
    waves = np.sin(rows + chance.uniform(0, 6, (shape[0], 1, 1))) * np.cos(cols) + 1
    peak = {"uint8": 120, "uint16": 9000, "float32": 1.5}[dtype]
    reference = peak * (waves + 0.1 * chance.random(shape))
    prediction = reference * 0.9 + 0.1 * peak * chance.random(shape)
    return prediction.astype(dtype), reference.astype(dtype)


@pytest.fixture
def write_pair(write_raster: WriteRaster) -> Callable[..., tuple[Path, Path]]:
    """Return a function that writes a prediction and a reference."""

    def write(pair: Pair, **options: Any) -> tuple[Path, Path]:
        prediction = write_raster("prediction.tif", pair[0], **options)
        return prediction, write_raster("reference.tif", pair[1], **options)

    return write
