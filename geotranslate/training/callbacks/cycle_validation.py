"""Measure how well validation chips come back, for which no pairs are needed."""

from __future__ import annotations

import math

from fastai.callback.core import Callback
from fastai.learner import ValueMetric
from torch import Tensor

from geotranslate.training.objectives.cycle import filled
from geotranslate.training.objectives.losses import masked_l1


class CycleCheck(Callback):
    """Translate the validation chips of both sides there and back.

    Args:
        fill: `(bands, 1, 1)`: what targets hold where they are invalid, in -1..1.
        paired: Whether validation chips are pairs, by whose L1 `valid_loss` is then.
    """

    run_train = False

    def __init__(self, fill: Tensor, *, paired: bool) -> None:
        self.fill, self.paired = fill, paired
        self.before_validate()

    @property
    def columns(self) -> list[ValueMetric]:
        """Columns of the progress table: `valid_cycle`, the L1 in -1..1, mean of both sides."""
        return [ValueMetric(self._mean, "valid_cycle")]

    def before_validate(self) -> None:
        """Forget the epoch before."""
        self._found: list[float] = []

    def after_loss(self) -> None:
        """Measure a batch."""
        source, target = self.xb[0], self.yb[0]
        ways = self.learn.model.translating
        back = ways.back(self.pred)
        again = ways.forth(ways.back(filled(target, self.fill)))
        loss = (masked_l1(back, source) + masked_l1(again, target)) / 2
        self._found += [float(loss)] * len(source)
        if not self.paired:
            self.learn.loss_grad = self.learn.loss = loss

    def _mean(self) -> float:
        return sum(self._found) / len(self._found) if self._found else math.nan
