"""Load mutations of an ONNX file in a process of its own, and print what that took."""

from __future__ import annotations

import json
import random
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from geotranslate import load_onnx
from geotranslate.errors import GeotranslateError
from tests.translators.hostile import CARDS
from tests.translators.hostile_child import ASKED, peak, watch
from tests.wrong_values import assert_one_sentence

NUMBERS = (0, 1, -1, 3, 64, 2**20, 2**31, 2**40, 2**62, -(2**62))
OPERATORS = ("Conv", "Loop", "If", "Scan", "Resize", "Expand", "ConstantOfShape", "Range", "Add")
NAMES = ("", "source", "x", "../x", "/etc/passwd", "com.example", "\u2028", "x" * 3000)

Mutation = Callable[[Any, random.Random], None]


def _dims(proto: Any, rng: random.Random) -> None:
    dims = rng.choice(proto.graph.initializer).dims
    dims[:] = rng.choice(([], [rng.choice(NUMBERS)], [*dims, rng.choice(NUMBERS)], dims[::-1]))


def _values(proto: Any, rng: random.Random) -> None:
    tensor = rng.choice(proto.graph.initializer)
    found = onnx.numpy_helper.to_array(tensor).copy()
    if found.size:
        found.flat[rng.randrange(found.size)] = rng.choice(NUMBERS[:5])
        tensor.CopyFrom(onnx.numpy_helper.from_array(found, tensor.name))


def _elsewhere(proto: Any, rng: random.Random) -> None:
    tensor = rng.choice(proto.graph.initializer)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=rng.choice(NAMES))


def _kind(proto: Any, rng: random.Random) -> None:
    rng.choice(proto.graph.initializer).data_type = rng.randrange(0, 25)


def _operator(proto: Any, rng: random.Random) -> None:
    rng.choice(proto.graph.node).op_type = rng.choice(OPERATORS)


def _attribute(proto: Any, rng: random.Random) -> None:
    node = rng.choice(proto.graph.node)
    if node.attribute:
        each = rng.choice(node.attribute)
        if each.ints:
            each.ints[rng.randrange(len(each.ints))] = rng.choice(NUMBERS)
        else:
            each.i = rng.choice(NUMBERS)


def _node(proto: Any, rng: random.Random) -> None:
    place = rng.randrange(len(proto.graph.node))
    copied = proto.graph.node[place]
    if rng.random() < 0.5:
        del proto.graph.node[place]
    else:
        proto.graph.node.insert(rng.randrange(len(proto.graph.node)), copied)


def _wire(proto: Any, rng: random.Random) -> None:
    node = rng.choice(proto.graph.node)
    names = [*NAMES, *(name for each in proto.graph.node for name in each.output)]
    side = rng.choice((node.input, node.output))
    if side:
        side[rng.randrange(len(side))] = rng.choice(names)


def _domain(proto: Any, rng: random.Random) -> None:
    rng.choice(proto.graph.node).domain = rng.choice(NAMES)
    proto.opset_import[0].version = rng.choice((1, 7, 17, 26, 999, -1))


def _shape(proto: Any, rng: random.Random) -> None:
    value = rng.choice((*proto.graph.input, *proto.graph.output))
    dims = value.type.tensor_type.shape.dim
    if dims:
        rng.choice(dims).dim_value = rng.choice(NUMBERS)
    value.type.tensor_type.elem_type = rng.choice((1, 1, 2, 7, 99))


def _entry(proto: Any, rng: random.Random) -> None:
    entry = rng.choice(proto.metadata_props)
    content = rng.choice(CARDS)(entry.value.encode(), rng)
    entry.value = content.decode("utf-8", "replace")


MUTATIONS: tuple[Mutation, ...] = (
    *(_dims, _values, _elsewhere, _kind, _operator, _attribute, _node, _wire, _domain, _shape),
    *(_entry, _entry, _entry),
)


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Return the content of an ONNX file with a few things changed in it."""
    if rng.random() < 0.25:
        damaged = bytearray(content[: rng.randrange(1, len(content) + 1)])
        for _ in range(rng.randrange(8)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        return bytes(damaged)
    proto = onnx.load_model_from_string(content)
    for _ in range(rng.choice((1, 1, 2))):
        rng.choice(MUTATIONS)(proto, rng)
    return bytes(proto.SerializeToString())


def loaded(file: Path, content: bytes) -> bool:
    """Load an ONNX file and translate with it; tell whether that works.

    Raises:
        AssertionError: It ends in a sentence that is too long.
    """
    file.write_bytes(content)
    try:
        predictor = load_onnx(file)
        predictor.predict(np.zeros((predictor.card.source.bands, 16, 16), np.float32))
    except GeotranslateError as error:
        assert_one_sentence(str(error))
        return False
    return True


def main(original: Path, folder: Path, seed: int, count: int) -> None:
    """Print, as JSON, how many were loaded, memory and what went wrong."""
    content, file = original.read_bytes(), folder / "model.onnx"
    assert loaded(file, content)
    before, found, wrong = peak(), 0, []
    sys.addaudithook(watch)
    for number in range(seed, seed + count):
        rng = random.Random(number)
        try:
            found += loaded(file, mutated(content, rng))
        except Exception:
            wrong.append(f"mutation {number}: {traceback.format_exc()[-1500:]}")
    facts = {"loaded": found, "grown": peak() - before, "wrong": wrong, "asked": ASKED}
    print(json.dumps(facts))  # noqa: T201


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:5]))
