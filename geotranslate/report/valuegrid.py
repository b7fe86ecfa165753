"""Values of every n-th pixel of a scene, compressed for a page."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST = 4
"""Bytes before compression for each byte of the budget; images rarely compress better."""
TYPES = {"b": "int8", "B": "uint8", "h": "int16", "H": "uint16", "i": "int32", "I": "uint32"}
"""Types of JavaScript's typed arrays by numpy's characters; all others become floats."""


def array_type(dtype: str) -> str:
    """Return the dtype of a typed array in JavaScript that holds the values of a dtype."""
    kind = np.dtype(dtype)
    if kind.char in TYPES:
        return TYPES[kind.char]
    return "float32" if kind in (np.float16, np.float32) else "float64"


@dataclass
class Values:
    """Values of one layer."""

    data: NDArray[Any]
    """Values `(bands, rows, cols)`."""
    valid: NDArray[np.bool_]


@dataclass
class ValueGrid:
    """Values of every `step`-th row and column of several layers on one grid.

    Args:
        height: Rows of the grid.
        width: Columns.
        dtypes: Number of bands and dtype of each layer, by its name.
        budget: Bytes for all values, as text in base64.
    """

    height: int
    width: int
    dtypes: Mapping[str, tuple[int, str]]
    budget: int
    step: int = 1
    layers: dict[str, Values] = field(default_factory=dict)

    def __post_init__(self) -> None:
        depth = sum(bands * np.dtype(dtype).itemsize for bands, dtype in self.dtypes.values())
        while self._rows * self._cols * depth > LARGEST * self.budget and self.step < self._longest:
            self.step *= 2
        for key, (bands, dtype) in self.dtypes.items():
            size = self._rows, self._cols
            data = np.zeros((bands, *size), array_type(dtype))
            self.layers[key] = Values(data, np.zeros(size, bool))

    @property
    def _longest(self) -> int:
        return max(self.height, self.width)

    @property
    def _rows(self) -> int:
        return -(-self.height // self.step)

    @property
    def _cols(self) -> int:
        return -(-self.width // self.step)

    def add(
        self, key: str, row: int, col: int, data: NDArray[Any], valid: NDArray[np.bool_]
    ) -> None:
        """Add the pixels `(bands, rows, cols)` of a window that begins at a row and a column."""
        if key not in self.layers:
            return
        layer, step = self.layers[key], self.step
        skip, past = -row % step, -col % step
        known = valid[skip::step, past::step]
        first, start = (row + skip) // step, (col + past) // step
        rows = slice(first, first + known.shape[0])
        cols = slice(start, start + known.shape[1])
        layer.valid[rows, cols] = known
        found = data[:, skip::step, past::step]
        layer.data[:, rows, cols] = np.where(known, found, 0) if not known.all() else found

    def packed(self) -> dict[str, dict[str, Any]]:
        """Return the values as plain values for JSON, at a larger step if they do not fit."""
        while True:
            found = {key: _packed(layer) for key, layer in self.layers.items()}
            size = sum(len(each["data"]) + len(each["valid"]) for each in found.values())
            if size <= self.budget or self.step >= self._longest:
                return found
            self.step *= 2
            for layer in self.layers.values():
                layer.data, layer.valid = layer.data[:, ::2, ::2], layer.valid[::2, ::2]


def _packed(layer: Values) -> dict[str, Any]:
    bands, rows, cols = layer.data.shape
    data = np.ascontiguousarray(layer.data, layer.data.dtype.newbyteorder("<"))
    return {
        "type": layer.data.dtype.name,
        "bands": bands,
        "rows": rows,
        "cols": cols,
        "data": _compressed(data.tobytes()),
        "valid": "" if layer.valid.all() else _compressed(np.packbits(layer.valid).tobytes()),
    }


def _compressed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content, 9)).decode()
