from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
import pytest

from geotranslate.report.valuegrid import ValueGrid, array_type


def unpacked(facts: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    shape = facts["rows"], facts["cols"]
    data = np.frombuffer(zlib.decompress(base64.b64decode(facts["data"])), facts["type"])
    valid = np.ones(shape, bool)
    if facts["valid"]:
        bits = np.frombuffer(zlib.decompress(base64.b64decode(facts["valid"])), "uint8")
        valid = np.unpackbits(bits, count=valid.size).reshape(shape).astype(bool)
    return data.reshape(facts["bands"], *shape), valid


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
@pytest.mark.parametrize("budget", [10**6, 3000, 300])
def test_values_are_those_of_every_nth_pixel(dtype: str, budget: int) -> None:
    chance = np.random.default_rng(0)
    data = (chance.random((2, 61, 75)) * 200).astype(dtype)
    valid = chance.random((61, 75)) > 0.2
    grid = ValueGrid(61, 75, {"a": (2, dtype)}, budget)
    for row in range(0, 61, 16):
        for col in range(0, 75, 23):
            at = np.s_[row : row + 16, col : col + 23]
            grid.add("a", row, col, data[:, at[0], at[1]], valid[at])
    facts = grid.packed()["a"]
    found, known = unpacked(facts)
    step = grid.step
    assert (known == valid[::step, ::step]).all()
    assert (found[:, known] == data[:, ::step, ::step][:, known]).all()
    assert len(facts["data"]) + len(facts["valid"]) <= budget
    assert budget > 3000 or step > 1


def test_dtypes_without_typed_arrays_become_floats() -> None:
    assert array_type("float16") == "float32"
    assert array_type("int64") == array_type("uint64") == "float64"
