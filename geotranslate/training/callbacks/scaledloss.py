"""The callback that computes the L1 of training batches at a fraction of their size."""

from __future__ import annotations

from fastai.callback.core import Callback
from fastai.learner import ValueMetric

from geotranslate.training.objectives import scaled_l1


class ScaledL1(Callback):
    """Replace the learner's loss in training by `scaled_l1`; validation keeps the plain L1.

    Args:
        scale: Side of the blocks, px.
    """

    # Before GANCallback (5), which weighs the loss and adds others.
    order, run_valid = 4, False

    def __init__(self, scale: int) -> None:
        self.scale = scale

    @property
    def columns(self) -> list[ValueMetric]:
        """Columns of the progress table: none."""
        return []

    def after_loss(self) -> None:
        """Compute the loss anew, at a fraction of the size."""
        self.learn.loss_grad = scaled_l1(self.pred, self.yb[0], self.scale)
        self.learn.loss = self.learn.loss_grad.clone()
