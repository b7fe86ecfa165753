"""Gradients of several batches for one step."""

from __future__ import annotations

from fastai.callback.training import GradientAccumulation
from fastai.torch_core import find_bs


class EpochAccumulation(GradientAccumulation):
    """fastai's accumulation of gradients, which ends with the epoch.

    The last batches of an epoch make a step by the mean of their own gradients, also where they
    are fewer: what was carried into the next epoch would be in no checkpoint, and an epoch of too
    few batches would train nothing.

    Args:
        batches: Batches whose gradients make one step.
    """

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.batches = batches

    def before_batch(self) -> None:
        """Count, at the first batch of a step, the pairs that it will be made of."""
        if self.count == 0:
            left = self.n_iter - self.iter
            self.n_acc = min(self.batches, left) * find_bs(self.yb)
