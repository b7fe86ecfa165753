"""The optimizer of all networks."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from fastai.optimizer import OptimWrapper
from torch import Tensor

BETAS = (0.5, 0.999)
"""Those of Isola et al. 2017."""


class Adam(torch.optim.Adam):
    """torch's fused Adam, without copies of weights whose channels lie beside each other.

    Its step on a CPU copies whatever is not contiguous, four tensors a weight. Permuted views of
    the same memory are.
    """

    def _init_group(self, group: dict[str, Any], *lists: list[Tensor]) -> Any:
        found = super()._init_group(group, *lists)
        stepped = lists[:4]  # weights, gradients and both moments
        for number in range(len(stepped[0])):
            tensors = [tensors[number] for tensors in stepped]
            if all(map(_channels_last, tensors)):
                for place, tensor in zip(stepped, tensors, strict=True):
                    place[number] = tensor.permute(0, 2, 3, 1)
        return found


def _channels_last(tensor: Tensor) -> bool:
    return tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)


def make_optimizer(parameters: list[list[Tensor]], **options: Any) -> OptimWrapper:
    """Return the optimizer of groups of parameters, as fastai asks for it.

    fastai's own Adam has other defaults and a Python loop over the parameters.
    """
    return OptimWrapper(parameters, opt=partial(Adam, betas=BETAS, fused=True), **options)
