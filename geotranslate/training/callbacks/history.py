"""Rows of the progress table: recorded, shown and compared."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fastai.callback.core import Callback
from fastai.learner import AvgLoss, Learner

from geotranslate.checks import shown
from geotranslate.errors import InvalidInputError

RISING = ("psnr", "ssim", "ms_ssim", "r2", "accuracy", "f1", "iou")
"""Measures of which more is better."""

NEITHER = ("std_ratio",)
"""Columns of which neither more nor less is better."""


class EpochMean(AvgLoss):
    """The mean loss of an epoch, in place of fastai's, which smooths over all epochs of a run."""

    def accumulate(self, learn: Learner) -> None:
        """Add a batch; the first one of an epoch resets the mean."""
        if learn.iter == 0:
            self.reset()
        super().accumulate(learn)


class History(Callback):
    """Record every epoch's row of the progress table, over all calls of `fit`.

    Args:
        rows: List that the rows are appended to, as name -> value.
    """

    # After Recorder (50), which computes the row.
    order = 51

    def __init__(self, rows: list[dict[str, float]]) -> None:
        self.rows = rows

    def after_epoch(self) -> None:
        """Append the finished epoch, unless it is a search for a learning rate."""
        if hasattr(self.learn, "lr_finder"):
            return
        names = list(self.recorder.metric_names)[1:]
        values = self.learn.final_record
        # The last column of the table is the time, which the record does not hold.
        self.rows.append({name: float(value) for name, value in zip(names, values, strict=False)})


class StartRow(Callback):
    """Show the measures of a generator's start as the first row of the progress table.

    Args:
        row: The measures by the names of their columns.
    """

    # After fastai's ProgressCallback (50 and more), which shows the names of the columns.
    order = 80

    def __init__(self, row: dict[str, float]) -> None:
        self.row = row

    def before_fit(self) -> None:
        """Show the row; other columns are not known yet."""
        if not hasattr(self.learn, "lr_finder"):
            cells = [self.row.get(name, "") for name in self.recorder.metric_names[1:]]
            self.learn.logger(["start", *cells])


def is_better(monitor: str, one: float, other: float) -> bool:
    """Tell whether one value of a column is better than another; NaN is worse than any."""
    if math.isnan(one) or math.isnan(other):
        return math.isnan(other) and not math.isnan(one)
    return one > other if monitor in RISING else one < other


def best_row(monitor: str, rows: Sequence[dict[str, float]]) -> int:
    """Return the position of the row that is best in a column, the first of equal ones."""
    best = 0
    for number, row in enumerate(rows):
        if is_better(monitor, row.get(monitor, math.nan), rows[best].get(monitor, math.nan)):
            best = number
    return best


def check_monitor(monitor: str, columns: Sequence[str]) -> None:
    """Refuse a column that the table does not have.

    Raises:
        InvalidInputError: There is no such column; the sentence lists them.
    """
    if not isinstance(monitor, str) or monitor not in columns:
        raise InvalidInputError(
            f"monitor is {shown(monitor)}, which is not measured; give one of {', '.join(columns)}."
        )
