"""ONNX files of generators, with their scalings in the graph."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from geotranslate.checks import required
from geotranslate.errors import GeotranslateError, RasterFileError, said
from geotranslate.files import replaced_when_whole
from geotranslate.interop.onnx.comparison import Function, Images, compare, drawn, sizes_of
from geotranslate.interop.onnx.entries import GRAPH_ENTRY, INPUT, OUTPUT, GraphFacts
from geotranslate.interop.onnx.scalinglayers import scaling_layer, unscaling_layer
from geotranslate.networks.tracing import traceable
from geotranslate.prediction.inference import Inference, largest_layer

OPSET = 18
"""Version of the operators: the one that torch writes by itself, known to onnxruntime 1.14."""
IR_VERSION = 8
"""Version of the file format, which software of 2022 reads."""
MOST_TIMES = 2**12
"""Largest side of an image in strides, batch or number of rows that a graph accepts."""
EXTRA = "onnx"


@dataclass(frozen=True, kw_only=True)
class GraphOptions:
    """Form of a graph.

    Sizes of None are decided by the caller of the graph; rows and columns are then multiples of the
    generator's stride.
    """

    opset: int = OPSET
    ir_version: int = IR_VERSION
    rows: int | None = None
    cols: int | None = None
    batch: int | None = None
    before: nn.Module | None = None
    """Layers from the input to -1..1; None for the scaling of the source from its units."""
    after: nn.Module | None = None
    """Layers from -1..1 to the outputs, one tensor or a tuple of them; None for the inverse of the
    target's scaling, to its units."""
    outputs: tuple[str, ...] = (OUTPUT,)
    """Names of the outputs."""
    spans: tuple[float, ...] = (1.0,)
    """Range of each output of `after`, to which differences from torch are relative."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Entries of the file's `metadata_props`."""


class Graph(nn.Module):
    """A generator between the layers before and after it."""

    def __init__(self, before: nn.Module, network: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.before, self.network, self.after = before, network, after

    def forward(self, source: Tensor) -> Any:
        """Translate `(n, bands, rows, cols)`."""
        return self.after(self.network(self.before(source)))


def graph_of(inference: Inference, options: GraphOptions) -> Graph:
    """Return the module whose graph is written, on the CPU and in eval mode."""
    card = inference.card
    before = options.before or scaling_layer(card.source.scaling)
    after = options.after or unscaling_layer(card.target.scaling)
    return Graph(before, traceable(inference.generator), after).eval()


def write_graph(inference: Inference, path: Path, options: GraphOptions) -> None:
    """Write the graph of a generator as one ONNX file, if it computes the same as torch.

    The entry `geotranslate_graph` of its metadata has facts of the graph, as JSON.

    Args:
        inference: The generator, with the normalization statistics that it shall have.
        path: File to write; an existing one is replaced.
        options: Form of the graph.

    Raises:
        MissingPackageError: onnx, onnxscript or onnxruntime is missing.
        GeotranslateError: torch cannot write the network as ONNX, or the graph translates otherwise
            than the model.
        RasterFileError: The file cannot be written.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        required(package, EXTRA, f"The ONNX file {path.name}")
    graph = graph_of(inference, options)
    program = _program(graph, inference, options)
    program.model.ir_version = options.ir_version
    for node in program.model.graph:
        # torch notes the lines of code that made a node, with paths of this machine.
        node.metadata_props.clear()
    least = _compared(program, graph, inference, options)
    facts = GraphFacts(
        stride=inference.stride,
        radius=inference.radius,
        least=least,
        largest_layer=largest_layer(graph.network, inference.card),
        norm_stats=str(inference.norm_stats),
    )
    program.model.metadata_props.update({**options.metadata, GRAPH_ENTRY: facts.to_text()})
    temporary = path.with_name(f".{path.name[:200]}.{uuid.uuid4().hex[:8]}.partial")
    with _writing(path), replaced_when_whole(path, temporary):
        program.save(str(temporary), external_data=False)


def _compared(program: Any, graph: Graph, inference: Inference, options: GraphOptions) -> int:
    """Compare a graph with torch, and return the smallest side of its images, px."""
    runtime = required("onnxruntime", EXTRA, "The comparison with torch")
    session = runtime.InferenceSession(
        program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )

    def theirs(images: Images) -> Sequence[Images]:
        return session.run(None, {INPUT: images})

    source, stride = inference.card.source, inference.stride
    ours = _in_torch(graph, inference, options)
    spans = _spans(inference, options)
    sizes = sizes_of(stride, options.rows, options.cols, options.batch)
    for number, size in enumerate(sizes):
        compare(ours, theirs, drawn(source, size, number), spans)
    if options.rows is not None or options.cols is not None:
        return min(options.rows or stride, options.cols or stride)
    # Networks that pad the smallest images in another way have no graph for all sizes.
    try:
        compare(ours, theirs, drawn(source, (options.batch or 2, stride, stride)), spans)
    except Exception:
        return 2 * stride
    return stride


def _in_torch(graph: Graph, inference: Inference, options: GraphOptions) -> Function:
    """Return the model as a function of arrays, with the scalings of the library."""
    card = inference.card

    def translate(images: Images) -> Sequence[Images]:
        with torch.inference_mode():
            given = images if options.before else card.source.scaling.scale(images)
            scaled = torch.from_numpy(given)
            found = graph.network(options.before(scaled) if options.before else scaled)
            if options.after is None:
                return (card.target.scaling.unscale(found.numpy()),)
            outputs = options.after(found)
        return [each.numpy() for each in (outputs if isinstance(outputs, tuple) else (outputs,))]

    return translate


def _spans(inference: Inference, options: GraphOptions) -> Sequence[NDArray[Any] | float]:
    if options.after is not None:
        return options.spans
    scaling = inference.card.target.scaling
    return (np.subtract(scaling.high, scaling.low)[:, None, None],)


def _program(graph: nn.Module, inference: Inference, options: GraphOptions) -> Any:
    stride, source = inference.stride, inference.card.source
    sizes = {0: ("batch", options.batch, 1), 2: ("rows", options.rows, stride)}
    sizes[3] = ("cols", options.cols, stride)
    free: dict[int, Any] = {}
    shape = [0, source.bands, 0, 0]
    for axis, (name, fixed, step) in sizes.items():
        # Traced with sizes of at least two steps, because torch takes a size of 1 as a constant.
        shape[axis] = axis + 2 if axis == 0 else (axis * step)
        if fixed is not None:
            shape[axis] = fixed
        else:
            whole = torch.export.Dim(name, min=2, max=MOST_TIMES)
            free[axis] = whole if step == 1 else step * whole
    try:
        with torch.no_grad():
            return torch.onnx.export(
                graph,
                (torch.zeros(shape),),
                input_names=[INPUT],
                output_names=list(options.outputs),
                opset_version=options.opset,
                dynamic_shapes=(free,) if free else None,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except Exception as error:
        raise GeotranslateError(
            f"This version of torch ({torch.__version__}) cannot write the network as ONNX: "
            f"{said(error)}. Export the model with a newer torch."
        ) from error


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except RasterFileError:
        raise
    except OSError as error:
        raise RasterFileError(f"The file {path} cannot be written: {said(error)}.") from error
