"""The optimizer of all networks."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from fastai.optimizer import OptimWrapper
from torch import Tensor

LEARNING_RATE, BETAS = 2e-4, (0.5, 0.999)
"""Those of Isola et al. 2017."""


class Adam(torch.optim.Adam):
    """torch's fused Adam for weights of any memory format.

    On a CPU torch's step walks through the memory of a weight, its gradient and its moments at
    once: where they do not lie there alike it pairs the wrong numbers without a word, and where
    channels lie beside each other it copies all four. Here they are laid alike, and handed over
    as permuted views that need no copy.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state, wherever in memory it lies."""
        super().load_state_dict(state_dict)
        for weight, state in self.state.items():
            for name, value in state.items():
                if value.shape == weight.shape:
                    state[name] = _laid_like(weight, value)

    def _init_group(self, group: dict[str, Any], *lists: list[Tensor]) -> Any:
        try:
            found = super()._init_group(group, *lists)
        except BaseException:
            # Where memory ran out between two moments, torch would not begin them anew.
            for weight in [one for one, state in self.state.items() if "exp_avg_sq" not in state]:
                del self.state[weight]
            raise
        weights, gradients, *moments = lists[:4]
        gradients[:] = map(_laid_like, weights, gradients)
        for number, weight in enumerate(weights):
            if weight.dim() == 4 and weight.is_contiguous(memory_format=torch.channels_last):
                for tensors in (gradients, *moments, weights):
                    tensors[number] = tensors[number].permute(0, 2, 3, 1)
        return found


def _laid_like(weight: Tensor, tensor: Tensor) -> Tensor:
    return tensor if tensor.stride() == weight.stride() else torch.empty_like(weight).copy_(tensor)


def make_optimizer(
    parameters: list[list[Tensor]], *, betas: tuple[float, float] = BETAS, **options: Any
) -> OptimWrapper:
    """Return the optimizer of groups of parameters, as fastai asks for it.

    fastai's own Adam has other defaults and a Python loop over the parameters.
    """
    return OptimWrapper(parameters, opt=partial(Adam, betas=betas, fused=True), **options)
