"""Learning rate schedules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from fastai.callback import schedule as fastai_schedule
from fastai.callback.core import Callback

from geotranslate.checks import choice
from geotranslate.errors import InvalidInputError

Schedule = Literal["constant", "linear_decay", "cosine", "one_cycle", "step"]

WARM_UP = 0.02
"""Share of a cosine schedule in which the rate rises."""
RISE = 0.25
"""Share of a `one_cycle` schedule in which the rate rises."""
FIRST, LAST = 1 / 25, 1e-5
"""First rate of a rising schedule and last rate of `one_cycle`, as factors of the peak."""


STEP = 0.1
"""Factor of each fall of a `step` schedule."""
STEPS = 4
"""Parts of a `step` schedule by default, each with its own rate."""


def rate_at(schedule: Schedule, share: float) -> float:
    """Return the factor of the learning rate when a share, 0 to 1, of the training is done.

    `linear_decay` is constant in the first half and falls linearly to 0 in the second (Isola et al.
    2017); `cosine` rises for a fiftieth of the training and falls to 0 along a cosine (Loshchilov
    and Hutter 2017, arXiv:1608.03983); `one_cycle` rises and falls along cosines (Smith 2018,
    arXiv:1803.09820); `step` falls to a tenth after each quarter.

    Raises:
        InvalidInputError: There is no such schedule.
    """
    choice("schedule", schedule, get_args(Schedule))
    if schedule == "constant":
        return 1.0
    if schedule == "linear_decay":
        return min(1.0, 2 * (1 - share))
    if schedule == "cosine":
        if share < WARM_UP:
            return _cosine(FIRST, 1.0, share / WARM_UP)
        return _cosine(1.0, 0.0, (share - WARM_UP) / (1 - WARM_UP))
    if schedule == "step":
        return STEP ** math.floor(share * STEPS)
    if share < RISE:
        return _cosine(FIRST, 1.0, share / RISE)
    return _cosine(1.0, LAST, (share - RISE) / (1 - RISE))


@dataclass(frozen=True)
class RateCurve:
    """Course of the learning rate over a training.

    Raises:
        InvalidInputError: The numbers of epochs do not fit each other or the schedule.
    """

    schedule: Schedule
    epochs: int
    """Epochs of the whole training."""
    decay_epochs: int | None = None
    """Last epochs, in which the rate falls, or the epochs between falls of "step"."""
    warmup: float | None = None
    """First epochs, in which the rate rises."""

    def __post_init__(self) -> None:
        choice("schedule", self.schedule, get_args(Schedule))
        decay, warmup = self.decay_epochs, self.warmup or 0
        if decay is not None and self.schedule in ("constant", "one_cycle"):
            raise InvalidInputError(
                f"decay_epochs is {decay}, but the schedule {self.schedule!r} has no such epochs; "
                "give schedule='linear_decay', 'cosine' or 'step', or leave decay_epochs out."
            )
        last = 0 if decay is None or self.schedule == "step" else decay
        if warmup + last > self.epochs or warmup >= self.epochs:
            raise InvalidInputError(
                f"warmup is {warmup:g} and decay_epochs is {decay}, together more than the "
                f"{self.epochs} epochs of the training; give fewer."
            )

    def at(self, share: float) -> float:
        """Return the factor of the learning rate when a share, 0 to 1, of the training is done."""
        if self.decay_epochs is None and self.warmup is None:
            return rate_at(self.schedule, share)
        epoch, warmup = share * self.epochs, self.warmup or 0.0
        if epoch < warmup:
            return _cosine(FIRST, 1.0, epoch / warmup)
        if self.schedule == "constant":
            return 1.0
        if self.schedule == "step":
            each = self.decay_epochs or self.epochs / STEPS
            # The share of a whole number of epochs may be slightly below it.
            return float(STEP ** math.floor(epoch / each + 1e-9))
        falling = (epoch - self.epochs + self._falling) / self._falling
        if self.schedule == "linear_decay":
            return min(1.0, 1 - falling)
        return _cosine(1.0, LAST if self.schedule == "one_cycle" else 0.0, max(0.0, falling))

    @property
    def _falling(self) -> float:
        """Last epochs, in which the rate falls."""
        if self.decay_epochs is not None:
            return self.decay_epochs
        rest = self.epochs - (self.warmup or 0.0)
        return min(rest, self.epochs / 2) if self.schedule == "linear_decay" else rest


def _cosine(first: float, last: float, share: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2


class ShareDone(Callback):
    """Keep the share of the whole training that is done in `learn.share_done`.

    Args:
        done: Epochs finished by an interrupted run.
        total: Epochs of the whole training.
    """

    # Before the callbacks that use it.
    order, run_valid = -1, False

    def __init__(self, done: int, total: int) -> None:
        self.done, self.total = done, total

    def before_batch(self) -> None:
        """Compute the share, of the whole training and not only of this run."""
        epochs = self.done + self.learn.epoch + self.iter / len(self.dl)
        self.learn.share_done = epochs / self.total


class ParamScheduler(fastai_schedule.ParamScheduler):
    """fastai's scheduler over the epochs of the whole training, interrupted runs included.

    Momentum stays as it is. It needs `ShareDone`.

    Args:
        rates: Learning rate of each parameter group.
        curve: Course of the rates.
    """

    def __init__(self, rates: Sequence[float], curve: RateCurve) -> None:
        super().__init__({"lr": lambda share: [rate * curve.at(share) for rate in rates]})

    def before_batch(self) -> None:
        """Set the rates by the share of the whole training, not only of this run."""
        self._update_val(self.learn.share_done)


def schedules_rate(callback: object) -> bool:
    """Tell whether a callback of the user is a scheduler of the learning rate."""
    kind = fastai_schedule.ParamScheduler
    return isinstance(callback, kind) and "lr" in callback.scheds
