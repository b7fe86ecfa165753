"""Check of ONNX files from elsewhere before a session is made of them."""

from __future__ import annotations

import functools
import hashlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geotranslate.checks import required
from geotranslate.errors import InvalidInputError, ModelFileError, said
from geotranslate.interop.onnx.entries import (
    GRAPH_ENTRY,
    INPUT,
    MODEL_ENTRY,
    OUTPUT,
    GraphFacts,
    ModelEntry,
)

MOST_BYTES = 2**31 - 1
"""Largest file: protobuf has no larger messages."""
MOST_VALUES = 2**28
"""Most values of one tensor for the smallest image."""
MOST_NODES = 50_000
LAST_OPSET = 26
OPERATORS = frozenset(
    (
        "Abs Add And AveragePool BatchNormalization Cast Ceil Clip Concat Constant Conv "
        "ConvTranspose DepthToSpace Div Elu Equal Erf Exp Expand Floor Gather Gemm "
        "GlobalAveragePool GreaterOrEqual Greater GroupNormalization HardSigmoid HardSwish "
        "Identity InstanceNormalization LayerNormalization LeakyRelu Less LessOrEqual Log MatMul "
        "Max MaxPool Min Mod Mul Neg Not Or PRelu Pad Pow Reciprocal ReduceMax ReduceMean "
        "ReduceMin ReduceProd ReduceSum Relu Reshape Resize Round Shape Sigmoid Sign Slice Softmax "
        "SpaceToDepth Split Sqrt Squeeze Sub Sum Tanh Tile Transpose Unsqueeze Where"
    ).split()
)
"""Operators of our graphs and like ones; they only compute."""


@dataclass(frozen=True)
class CheckedFile:
    """An ONNX file of geotranslate that has been checked."""

    path: Path
    content: bytes
    model: ModelEntry
    graph: GraphFacts

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.content).hexdigest()


def read_checked(path: Path) -> CheckedFile:
    """Read an ONNX file after checking its size, operators and shapes.

    A graph cannot run other code than that of its operators. Files with further operators, with
    weights in other files, and with tensors that would take much memory are refused.

    Raises:
        ModelFileError: The file is missing or damaged, or was not written by geotranslate.
        MissingPackageError: onnx is missing.
    """
    onnx = required("onnx", "onnx", f"The ONNX file {path.name}")
    content = _content(path)
    try:
        proto = onnx.load_model_from_string(content)
    except Exception as error:
        raise ModelFileError(
            f"{path} is no ONNX file, or it is damaged; export the model again."
        ) from error
    entries = {entry.key: entry.value for entry in proto.metadata_props}
    if MODEL_ENTRY not in entries or GRAPH_ENTRY not in entries:
        raise ModelFileError(
            f"{path} was not written by geotranslate, or for other software: its metadata lack "
            f"{MODEL_ENTRY}. Give a file that model.export('name.onnx') wrote."
        )
    try:
        model = ModelEntry.from_text(entries[MODEL_ENTRY])
        facts = GraphFacts.from_text(entries[GRAPH_ENTRY])
        _check_graph(onnx, proto, facts, model.data.source.bands)
    except InvalidInputError as error:
        raise ModelFileError(
            f"{path} is damaged, or was written by a newer geotranslate ({said(error)}). Export "
            "the model again."
        ) from error
    return CheckedFile(path, content, model, facts)


def _content(path: Path) -> bytes:
    if not os.path.isfile(path):
        raise ModelFileError(f"There is no file {path}; give an ONNX file that model.export wrote.")
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise ModelFileError(f"{path} has {size} bytes, more than an ONNX file can have.")
        return path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {said(error)}.") from error


def _check_graph(onnx: Any, proto: Any, facts: GraphFacts, bands: int) -> None:
    """Check the operators, the weights and the shapes of a graph.

    Raises:
        InvalidInputError: One is not as in the graphs that geotranslate writes.
    """
    graph = proto.graph
    domains = {entry.domain for entry in proto.opset_import} | {node.domain for node in graph.node}
    if domains - {"", "ai.onnx"} or proto.functions or proto.training_info:
        raise InvalidInputError("it has operators of its own")
    if not all(1 <= entry.version <= LAST_OPSET for entry in proto.opset_import):
        raise InvalidInputError("the version of its operators is unknown")
    if graph.sparse_initializer or len(graph.node) > MOST_NODES:
        raise InvalidInputError("its graph is of another kind")
    for node in graph.node:
        if node.op_type not in OPERATORS:
            raise InvalidInputError(f"it has the operator {node.op_type[:40]!r}")
        if any(each.g.ByteSize() or len(each.graphs) for each in node.attribute):
            raise InvalidInputError("it has graphs inside of operators")
    for tensor in _tensors(graph):
        _check_tensor(onnx, tensor)
    _check_shapes(onnx, proto, facts, bands)


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)


def _check_tensor(onnx: Any, tensor: Any) -> None:
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise InvalidInputError("its weights are in another file")
    count = math.prod(tensor.dims)
    if min(tensor.dims, default=0) < 0 or count > MOST_VALUES:
        raise InvalidInputError(f"a tensor has {count} values")


def _check_shapes(onnx: Any, proto: Any, facts: GraphFacts, bands: int) -> None:
    """Check the shapes of all values for the smallest image.

    Sizes can be in the values of constants, so a small file could ask for any amount of memory.
    """
    if facts.least not in (facts.stride, 2 * facts.stride):
        # Every image is extended to this size.
        raise InvalidInputError(f"its smallest image has {facts.least} px, not one or two strides")
    names = [value.name for value in (*proto.graph.input, *proto.graph.output)]
    if names != [INPUT, OUTPUT]:
        raise InvalidInputError(f"its inputs and outputs are not {INPUT} and {OUTPUT}")
    fixed = type(proto)()
    fixed.CopyFrom(proto)
    shape = fixed.graph.input[0].type.tensor_type.shape
    shape.Clear()
    for size in (1, bands, facts.least, facts.least):
        shape.dim.add().dim_value = size
    del fixed.graph.value_info[:]
    fixed.graph.output[0].type.tensor_type.ClearField("shape")
    try:
        found = onnx.shape_inference.infer_shapes(
            fixed, check_type=True, strict_mode=True, data_prop=True
        )
    except Exception as error:
        raise InvalidInputError(
            f"the shapes in its graph do not fit each other: {said(error)}"
        ) from (error)
    known = {value.name: value for value in (*found.graph.value_info, *found.graph.output)}
    for node in proto.graph.node:
        for name in filter(None, node.output):
            _check_size(known.get(name))


def _check_size(value: Any) -> None:
    dims = [] if value is None else list(value.type.tensor_type.shape.dim)
    if value is None or not all(dim.HasField("dim_value") for dim in dims):
        raise InvalidInputError("the shape of a tensor in its graph is not known")
    if math.prod(dim.dim_value for dim in dims) > MOST_VALUES:
        raise InvalidInputError("a tensor in its graph is too large")
