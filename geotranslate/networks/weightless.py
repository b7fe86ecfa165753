"""Networks without allocated weights, for comparing names and shapes before loading."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from geotranslate.errors import InvalidInputError

Shapes = Mapping[str, tuple[torch.dtype | None, tuple[int, ...]]]
"""Dtypes and shapes of tensors by name; None for a dtype that torch does not have."""


class _Weightless(TorchFunctionMode):
    """Mode that puts tensors made by `torch.empty`, such as weights, on the meta device.

    Computed tensors, such as buffers that are not saved, stay real.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        if func is torch.empty and given.get("device") is None:
            given = given | {"device": "meta"}
        return func(*args, **given)


def without_weights() -> AbstractContextManager[object]:
    """Return a context in which networks are made without allocating their weights."""
    return _Weightless()


def computes_buffers(network: nn.Module) -> bool:
    """Tell whether a network made without weights lacks a buffer that state dicts do not hold."""
    held = network.state_dict().keys()
    return any(value.is_meta and name not in held for name, value in network.named_buffers())


def is_weightless(network: nn.Module) -> bool:
    """Tell whether any weights or buffers of a network are not allocated."""
    return any(tensor.is_meta for tensor in chain(network.parameters(), network.buffers()))


def compare(network: nn.Module, shapes: Shapes) -> None:
    """Compare names, shapes and dtypes of saved weights with a network's.

    Raises:
        InvalidInputError: They differ; the sentence says where.
    """
    own = shapes_of(network.state_dict())
    for name in [*own, *(shapes.keys() - own.keys())]:
        there, here = shapes.get(name), own.get(name)
        if there is not None and there[0] == torch.float64:
            # Models trained in double precision are rounded when they are loaded.
            there = torch.float32, there[1]
        if there != here:
            raise InvalidInputError(
                f"{name[:200]} is {_shown(there)} there and {_shown(here)} here."
            )


def shapes_of(weights: Mapping[str, Tensor]) -> Shapes:
    """Return dtypes and shapes of tensors."""
    return {name: (value.dtype, tuple(value.shape)) for name, value in weights.items()}


def assign(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Assign copies of weights to a network that was compared with them."""
    own = network.state_dict()
    copies = {name: value.to(own[name].dtype, copy=True) for name, value in weights.items()}
    network.load_state_dict(copies, assign=True)


def _shown(found: tuple[torch.dtype | None, tuple[int, ...]] | None) -> str:
    if found is None:
        return "missing"
    dtype, shape = found
    kind = "another dtype" if dtype is None else str(dtype).removeprefix("torch.")
    return f"{' x '.join(map(str, shape)) or 'a number'} ({kind})"
