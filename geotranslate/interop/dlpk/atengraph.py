"""Graphs of torch's operators as JSON, for a raster function that has no code of the network."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from geotranslate.errors import GeotranslateError, said
from geotranslate.interop.dlpk.GeotranslateTranslation import ATEN, SIZES
from geotranslate.schema import Json

MOST_TIMES = 2**12
"""Largest side of an image in strides."""
CHECKS = ("_assert_tensor_metadata", "_assert_scalar", "sym_constrain_range_for_size")
"""Operators that only check a graph."""
CONTEXTS = {"wrap_with_autocast": 4, "wrap_with_set_grad_enabled": 1}
"""Graphs inside a graph, and the number of arguments before them: neither autocast nor gradients
are on where the graph is used."""


def aten_graph(
    module: nn.Module, bands: int, stride: int
) -> tuple[Json, dict[str, NDArray[np.float32]]]:
    """Return the graph of a module, and its weights by the names that the graph gives them.

    The graph takes one image `(1, bands, rows, cols)` whose sides are multiples of the stride, from
    two strides on.

    Args:
        module: Module on the CPU, in eval mode.
        bands: Bands of its input.
        stride: Factor by which images shrink inside.

    Raises:
        GeotranslateError: torch cannot trace the module, or the graph has an operator that the
            raster function does not know.
    """
    free = {
        axis: stride * torch.export.Dim(name, min=2, max=MOST_TIMES)
        for axis, name in ((2, "rows"), (3, "cols"))
    }
    # Different sides, so that rows and columns are not taken for the same.
    example = torch.zeros(1, bands, 5 * stride, 6 * stride)
    try:
        with torch.no_grad():
            program = torch.export.export(module, (example,), dynamic_shapes=(free,), strict=False)
    except Exception as error:
        raise GeotranslateError(
            f"This version of torch ({torch.__version__}) cannot trace the network: {said(error)}. "
            "Export the model with a newer torch."
        ) from error
    return _Steps(program).to_json()


class _Steps:
    """The steps of an exported program, with the graphs inside it put in place."""

    def __init__(self, program: Any) -> None:
        self.steps: list[list[Any]] = []
        self.values: dict[Any, Any] = {}
        self.weights: dict[str, NDArray[np.float32]] = {}
        self.input = ""
        signature = program.graph_signature
        held = {**program.state_dict, **program.constants}
        sources = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        for node in program.graph.find_nodes(op="placeholder"):
            self.values[node] = {"is": node.name}
            if node.name in sources:
                self.weights[node.name] = held[sources[node.name]].detach().cpu().numpy()
            else:
                self.input = node.name
        (self.output,) = self._graph(program.graph_module, "")

    def _graph(self, module: Any, prefix: str) -> list[Any]:
        """Add the steps of a graph, and return its outputs."""
        for node in module.graph.nodes:
            if node.op == "get_attr":
                self.values[node] = getattr(module, node.target)
            elif node.op == "call_function":
                self._call(node, prefix)
            elif node.op == "output":
                return [self._known(value) for value in node.args[0]]
        raise GeotranslateError("The traced network has no output.")

    def _call(self, node: Any, prefix: str) -> None:
        name = getattr(node.target, "__name__", str(node.target))
        if name in CONTEXTS:
            self._inside(node, CONTEXTS[name])
        elif name == "getitem" and isinstance(self.values.get(node.args[0]), list):
            self.values[node] = self.values[node.args[0]][node.args[1]]
        elif not name.startswith(CHECKS):
            function = name if node.target in PYTHON.values() else _aten(node.target)
            keywords = {
                key: self._known(value)
                for key, value in node.kwargs.items()
                if key not in ("device", "layout", "pin_memory", "memory_format")
            }
            args = [self._known(value) for value in node.args]
            self.steps.append([prefix + node.name, function, args, keywords])
            self.values[node] = {"is": prefix + node.name}

    def _inside(self, node: Any, before: int) -> None:
        """Put a graph in place of the node that calls it."""
        module, given = self.values[node.args[before]], node.args[before + 1 :]
        for inner, value in zip(module.graph.find_nodes(op="placeholder"), given, strict=True):
            self.values[inner] = self._known(value)
        self.values[node] = self._graph(module, f"{node.name}.")

    def _known(self, value: Any) -> Any:
        """Return an argument as JSON."""
        if isinstance(value, torch.fx.Node):
            return self.values[value]
        if isinstance(value, list | tuple):
            return [self._known(each) for each in value]
        if isinstance(value, torch.dtype):
            return {"dtype": str(value).removeprefix("torch.")}
        if isinstance(value, torch.memory_format | torch.layout | torch.device):
            return None
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise GeotranslateError(
            f"The traced network has an argument of {type(value)}, which a package cannot hold."
        )

    def to_json(self) -> tuple[Json, dict[str, NDArray[np.float32]]]:
        """Return the graph, without steps that nothing needs, and its weights."""
        needed = {self.output["is"]}
        steps: list[list[Any]] = []
        for step in reversed(self.steps):
            if step[0] in needed:
                # The last step that needs a result, as the steps are visited from the end.
                done = sorted(_names(step[2:]) - needed)
                needed |= set(done)
                steps.append([*step, [name for name in done if name not in self.weights]])
        for _, function, *_ in steps:
            if function not in ATEN | SIZES:
                raise GeotranslateError(
                    f"The network uses {function}, which the raster function for ArcGIS does not "
                    "know; export the model as .onnx."
                )
        weights = {name: value for name, value in self.weights.items() if name in needed}
        keys = {name: f"w{number}" for number, name in enumerate(weights)}
        graph = {
            "input": self.input,
            "output": self.output["is"],
            "weights": keys,
            "steps": steps[::-1],
        }
        return graph, {keys[name]: value for name, value in weights.items()}


PYTHON: Mapping[str, Callable[..., Any]] = {name: getattr(operator, name) for name in SIZES}
"""Functions for sizes and tuples."""


def _aten(target: Any) -> str:
    """Return the name of an operator of torch with its overload, without its namespace."""
    return str(target).removeprefix("aten.")


def _names(value: Any) -> set[str]:
    """Return the names of former results in arguments."""
    if isinstance(value, dict):
        return {value["is"]} if "is" in value else set().union(*map(_names, value.values()), set())
    return set().union(*map(_names, value)) if isinstance(value, list) else set()
