"""An average of the generator's weights over its last steps, which translates better than any."""

from __future__ import annotations

from collections.abc import Callable

import torch
from fastai.callback.core import Callback
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Tensors = list[Tensor] | tuple[Tensor, ...]


def averaged(generator: nn.Module, decay: float) -> AveragedModel:
    """Return an exponential moving average of a generator, statistics of its norms included.

    Args:
        generator: The network.
        decay: Share of the average that a step leaves, below 1. The first steps leave less,
            `(1 + n) / (10 + n)` after n of them, so that the random start is forgotten soon.
    """
    return AveragedModel(generator, multi_avg_fn=moving(decay), use_buffers=True)


def moving(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Return what moves an average towards the current weights."""

    @torch.no_grad()
    def update(average: Tensors, current: Tensors, steps: Tensor | int) -> None:
        # They come sorted by dtype; whole numbers count batches and have no mean.
        if not average[0].is_floating_point():
            torch._foreach_copy_(average, current)
            return
        count = float(steps)
        torch._foreach_lerp_(average, current, 1 - min(decay, (1 + count) / (10 + count)))

    return update


class Averaging(Callback):
    """Update the average after every step of the generator.

    Args:
        average: The average.
        generator: What it is of.
    """

    run_valid = False

    def __init__(self, average: AveragedModel, generator: nn.Module) -> None:
        self.average, self.generator = average, generator

    def after_step(self) -> None:
        """Move the average."""
        self.average.update_parameters(self.generator)
