from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from geotranslate import GeotranslateError, load_onnx
from geotranslate.errors import MissingPackageError, ModelFileError


def entry(proto: Any, key: str) -> Any:
    return next(each for each in proto.metadata_props if each.key == key)


def changed(key: str, name: str, value: Any) -> Callable[[Any], None]:
    """Return a function that changes a value of an entry."""

    def change(proto: Any) -> None:
        found = entry(proto, key)
        found.value = json.dumps(json.loads(found.value) | {name: value})

    return change


def without_card(proto: Any) -> None:
    proto.metadata_props.remove(entry(proto, "geotranslate"))


def of_its_own(proto: Any) -> None:
    proto.graph.node[3].domain = "com.example"
    proto.opset_import.add(domain="com.example", version=1)


def unknown_operator(proto: Any) -> None:
    proto.graph.node[3].op_type = "Loop"


def with_a_subgraph(proto: Any) -> None:
    attribute = proto.graph.node[3].attribute.add(name="body", type=onnx.AttributeProto.GRAPH)
    attribute.g.name = "body"


def weights_elsewhere(proto: Any) -> None:
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def large_tensor(proto: Any) -> None:
    proto.graph.initializer[0].dims[:] = [2**20, 2**20]


def large_result(proto: Any) -> None:
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.float32([1e9]), "one"))
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array([2**40]), "many"))
    node = onnx.helper.make_node("Expand", ["one", "many"], ["large"])
    proto.graph.node.insert(0, node)


def other_input(proto: Any) -> None:
    proto.graph.input[0].name = "image"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (without_card, "was not written by geotranslate, or for other software"),
        (changed("geotranslate", "version", 2), "newer geotranslate"),
        (changed("geotranslate", "card", {}), "source is missing"),
        (changed("geotranslate", "card", 3), "give an object"),
        (changed("geotranslate", "model", "a\nb"), "is no name"),
        (changed("geotranslate", "direction", "back"), "give one of AtoB, BtoA"),
        (changed("geotranslate_graph", "stride", 0), "whole number"),
        (changed("geotranslate_graph", "least", 10**9), "whole number"),
        (changed("geotranslate_graph", "least", 8000), "has 8000 px, not one or two strides"),
        (changed("geotranslate_graph", "norm_stats", "scene"), "give one of running, tile"),
        (of_its_own, "operators of its own"),
        (unknown_operator, "the operator 'Loop'"),
        (with_a_subgraph, "graphs inside of operators"),
        (weights_elsewhere, "weights are in another file"),
        (large_tensor, "a tensor has"),
        (large_result, "too large"),
        (other_input, "inputs and outputs"),
    ],
)
def test_files_that_are_not_ours_are_refused(
    onnx_file: Path, tmp_path: Path, change: Callable[[Any], None], sentence: str
) -> None:
    proto = onnx.load(onnx_file)
    change(proto)
    file = tmp_path / "model.onnx"
    file.write_bytes(proto.SerializeToString())
    with pytest.raises(ModelFileError, match=sentence):
        load_onnx(file)


@pytest.mark.parametrize("content", [b"", b"no model", bytes(1000), b"\x08\x08"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"is no ONNX file|not written by geotranslate"):
        load_onnx(file)


@pytest.mark.parametrize("name", ["none.onnx", "."])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelFileError, match="There is no file"):
        load_onnx(tmp_path / name)


def test_a_missing_package_is_named(onnx_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingPackageError, match=r"geotranslate\[onnx\]"):
        load_onnx(onnx_file)


def test_damaged_files_end_in_a_sentence_or_are_loaded(onnx_file: Path, tmp_path: Path) -> None:
    content, draw = onnx_file.read_bytes(), random.Random(5)
    file, refused = tmp_path / "model.onnx", 0
    for _ in range(60):
        damaged = bytearray(content)
        if draw.random() < 0.2:
            del damaged[draw.randrange(len(damaged)) :]
        for _ in range(draw.randrange(1, 30)):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        file.write_bytes(damaged)
        try:
            load_onnx(file).predict(np.zeros((3, 8, 8), np.uint8))
        except GeotranslateError:
            refused += 1
    assert 20 < refused < 60
