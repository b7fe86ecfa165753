"""Measure the validation pairs while a model is trained, in the target's units."""

from __future__ import annotations

import math
from functools import partial
from typing import Protocol

import torch
from fastai.callback.core import Callback
from fastai.learner import ValueMetric
from torch import Tensor

from geotranslate.chips.bands import Side
from geotranslate.metrics.measures import ValidationMeasures, epoch_metrics
from geotranslate.metrics.scores import Metrics


class Check(Protocol):
    """A callback that measures the validation chips."""

    @property
    def columns(self) -> list[ValueMetric]:
        """Columns of the progress table."""


class Validation(Callback):
    """Measure every epoch's translations of the validation pairs.

    Args:
        side: The target's side, whose scaling leads back to its units.
    """

    run_train = False

    def __init__(self, side: Side) -> None:
        self.side = side
        self._found: Metrics | None = None
        self.before_validate()

    @property
    def columns(self) -> list[ValueMetric]:
        """Columns of the progress table: `valid_l1`, those of `ValidationMeasures`, and `spread`.

        `spread` is the deviation of the translations over that of the targets: near 0 where the
        generator gives a constant.
        """
        names = epoch_metrics(self.side)
        return [
            ValueMetric(self._l1, "valid_l1"),
            *(ValueMetric(partial(self._value, name), name) for name in names),
            ValueMetric(self._spread, "spread"),
        ]

    def before_validate(self) -> None:
        """Forget the epoch before."""
        self._measures = ValidationMeasures(self.side)
        self._moments = torch.zeros(2, 3, dtype=torch.float64)
        self._apart = 0.0

    def after_pred(self) -> None:
        """Add a batch."""
        prediction = self.pred.detach().as_subclass(Tensor).float()
        target = self.yb[0].detach().as_subclass(Tensor).float()
        self._measures.add(prediction, target)
        valid = torch.isfinite(target)
        found, true = prediction[valid].double(), target[valid].double()
        self._apart += float((found - true).abs().sum())
        for row, values in enumerate((found, true)):
            sums = (torch.ones_like(values), values, values**2)
            self._moments[row] += torch.stack([part.sum() for part in sums]).cpu()

    def after_validate(self) -> None:
        """Take the numbers of the epoch."""
        self._found = self._measures.results()

    def _l1(self) -> float:
        # Over all valid pixels: fastai's own mean is one of the batches' means.
        count = float(self._moments[1, 0])
        return self._apart / count if count else math.nan

    def _value(self, name: str) -> float:
        return math.nan if self._found is None else float(self._found[name])

    def _spread(self) -> float:
        count, total, squares = self._moments.T
        if not count.all():
            return math.nan
        deviations = (squares / count - (total / count) ** 2).clamp(min=0).sqrt()
        return float(deviations[0] / deviations[1]) if deviations[1] else math.nan
