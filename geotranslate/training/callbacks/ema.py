"""Exponential moving average of the generator's weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from fastai.callback.core import Callback
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Tensors = list[Tensor] | tuple[Tensor, ...]

DECAY = 0.999
EVERY = 8
"""Steps between updates of the average, each of which reads and writes all weights."""


def averaged(generator: nn.Module, decay: float) -> AveragedModel:
    """Return an exponential moving average of a generator, including running statistics.

    Args:
        generator: The network.
        decay: Share of the average that a step keeps, below 1. After n steps it is at most
            `(1 + n) / (10 + n)`, so that the random initial weights are soon forgotten.
    """
    return AveragedModel(generator, multi_avg_fn=moving(decay), use_buffers=True)


def moving(decay: float, steps: int = 1) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Return the update function of an `AveragedModel`, for a number of steps at once."""

    @torch.no_grad()
    def update(average: Tensors, current: Tensors, seen: Tensor | int) -> None:
        # Tensors are grouped by dtype; integers count batches and are not averaged.
        if not average[0].is_floating_point():
            torch._foreach_copy_(average, current)
            return
        count = float(seen)
        kept = min(decay, (1 + count) / (10 + count)) ** steps
        torch._foreach_lerp_(average, current, 1 - kept)

    return update


class EMACallback(Callback):
    """Update the average after every eighth step of the generator, and at the end of an epoch.

    Args:
        average: The average.
        generator: The network whose weights are averaged.
        decay: Share of the average that a single step keeps.
    """

    run_valid = False

    def __init__(self, average: AveragedModel, generator: nn.Module, decay: float) -> None:
        self.average, self.generator, self.decay = average, generator, decay
        self._steps = 0

    def after_step(self) -> None:
        """Count the step, and update the average after every eighth one."""
        self._steps += 1
        if self._steps == EVERY:
            self._update()

    def after_train(self) -> None:
        """Update the average for the steps since the last update."""
        if self._steps:
            self._update()

    after_fit = after_train

    def _update(self) -> None:
        steps, self._steps = self._steps, 0
        self.average.multi_avg_fn = moving(self.decay, steps)
        self.average.update_parameters(self.generator)
        # `update_parameters` has counted one step.
        self.average.n_averaged += steps - 1
