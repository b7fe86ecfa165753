"""Learning rate schedules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

from fastai.callback import schedule as fastai_schedule

from geotranslate.checks import choice

Schedule = Literal["constant", "linear_decay", "cosine", "one_cycle"]

WARM_UP = 0.02
"""Share of a cosine schedule in which the rate rises."""
RISE = 0.25
"""Share of a `one_cycle` schedule in which the rate rises."""
FIRST, LAST = 1 / 25, 1e-5
"""First rate of a rising schedule and last rate of `one_cycle`, as factors of the peak."""


def rate_at(schedule: Schedule, share: float) -> float:
    """Return the factor of the learning rate when a share, 0 to 1, of the training is done.

    `linear_decay` is constant in the first half and falls linearly to 0 in the second (Isola et al.
    2017); `cosine` rises for a fiftieth of the training and falls to 0 along a cosine (Loshchilov
    and Hutter 2017, arXiv:1608.03983); `one_cycle` rises and falls along cosines (Smith 2018,
    arXiv:1803.09820).

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
    if share < RISE:
        return _cosine(FIRST, 1.0, share / RISE)
    return _cosine(1.0, LAST, (share - RISE) / (1 - RISE))


def _cosine(first: float, last: float, share: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * share)) / 2


class ParamScheduler(fastai_schedule.ParamScheduler):
    """fastai's scheduler over the epochs of the whole training, interrupted runs included.

    Momentum stays as it is. `learn.share_done` is the share of the training that is done.

    Args:
        rates: Learning rate of each parameter group.
        schedule: Schedule of the rates.
        done: Epochs finished by an interrupted run.
        total: Epochs of the whole training.
    """

    def __init__(self, rates: Sequence[float], schedule: Schedule, done: int, total: int) -> None:
        rate_at(schedule, 0)
        super().__init__({"lr": lambda share: [rate * rate_at(schedule, share) for rate in rates]})
        self.done, self.total = done, total

    def before_batch(self) -> None:
        """Set the rates by the share of the whole training, not only of this run."""
        epochs = self.done + self.learn.epoch + self.iter / len(self.dl)
        self.learn.share_done = epochs / self.total
        self._update_val(self.learn.share_done)
