"""Metrics of the validation chips after every epoch."""

from __future__ import annotations

import math
from functools import partial
from typing import Protocol

import torch
from fastai.callback.core import Callback
from fastai.learner import ValueMetric
from torch import Tensor

from geotranslate.chips.bands import Side
from geotranslate.metrics import Metrics, ValidationMeasures, epoch_metrics
from geotranslate.training.objectives import filled, masked_l1


class ColumnsCallback(Protocol):
    """A callback with columns of the progress table."""

    @property
    def columns(self) -> list[ValueMetric]:
        """Columns of the progress table."""


class ValidationMetrics(Callback):
    """Measure the translations of the validation pairs in the target's units.

    Args:
        side: The target's side, whose scaling gives its units.
    """

    run_train = False

    def __init__(self, side: Side) -> None:
        self.side = side
        self._found: Metrics | None = None
        self.before_validate()

    @property
    def columns(self) -> list[ValueMetric]:
        """Columns of the progress table: `valid_l1`, `ValidationMeasures` and `std_ratio`.

        `std_ratio` is the standard deviation of the translations divided by the targets'; near 0 if
        the generator returns a constant.
        """
        names = epoch_metrics(self.side)
        return [
            ValueMetric(self._l1, "valid_l1"),
            *(ValueMetric(partial(self._value, name), name) for name in names),
            ValueMetric(self._std_ratio, "std_ratio"),
        ]

    def before_validate(self) -> None:
        """Reset the sums of the last epoch."""
        self._measures = ValidationMeasures(self.side)
        self._moments = torch.zeros(2, 3, dtype=torch.float64)
        self._absolute = 0.0

    def after_pred(self) -> None:
        """Add a batch."""
        prediction = self.pred.detach().as_subclass(Tensor).float()
        target = self.yb[0].detach().as_subclass(Tensor).float()
        self._measures.add(prediction, target)
        valid = torch.isfinite(target)
        found, true = prediction[valid].double(), target[valid].double()
        self._absolute += float((found - true).abs().sum())
        for row, values in enumerate((found, true)):
            sums = (torch.ones_like(values), values, values**2)
            self._moments[row] += torch.stack([part.sum() for part in sums]).cpu()

    def after_validate(self) -> None:
        """Compute the measures of the epoch."""
        self._found = self._measures.results()

    def _l1(self) -> float:
        # Over all valid pixels; fastai would average the means of the batches.
        count = float(self._moments[1, 0])
        return self._absolute / count if count else math.nan

    def _value(self, name: str) -> float:
        return math.nan if self._found is None else float(self._found[name])

    def _std_ratio(self) -> float:
        count, total, squares = self._moments.T
        if not count.all():
            return math.nan
        deviations = (squares / count - (total / count) ** 2).clamp(min=0).sqrt()
        return float(deviations[0] / deviations[1]) if deviations[1] else math.nan


class CycleValidation(Callback):
    """Measure the cycle loss of the validation chips of both sides, which needs no pairs.

    Args:
        fill: `(bands, 1, 1)`: values that replace invalid target pixels, in -1..1.
        paired: Whether validation chips are pairs; otherwise the cycle loss is `valid_loss`.
    """

    run_train = False

    def __init__(self, fill: Tensor, *, paired: bool) -> None:
        self.fill, self.paired = fill, paired
        self.before_validate()

    @property
    def columns(self) -> list[ValueMetric]:
        """Columns of the progress table: `valid_cycle`, the mean L1 of both sides in -1..1."""
        return [ValueMetric(self._mean, "valid_cycle")]

    def before_validate(self) -> None:
        """Reset the losses of the last epoch."""
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
