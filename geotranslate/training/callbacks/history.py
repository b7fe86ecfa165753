"""Callbacks that record the progress of a training and write it to files."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fastai.callback import progress
from fastai.callback.core import Callback
from fastai.learner import AvgLoss, Learner

from geotranslate.checks import shown
from geotranslate.errors import InvalidInputError, MissingPackageError
from geotranslate.training.run_folder import tolerate_write_errors, whole_file

RISING = ("psnr", "ssim", "ms_ssim", "r2", "accuracy", "f1", "iou")
"""Metrics for which higher is better."""

NEITHER = ("std_ratio",)
"""Columns for which neither higher nor lower is better."""


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
        # fastai has no losses of an empty validation.
        row = {
            name: math.nan if value is None else float(value)
            for name, value in zip(names, values, strict=False)
        }
        self.rows.append(row)


class StartRow(Callback):
    """Show the metrics of a generator's start as the first row of the progress table.

    Args:
        row: The metrics by column name.
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
    """Raise an error if the table does not have a column.

    Raises:
        InvalidInputError: There is no such column; the sentence lists them.
    """
    if not isinstance(monitor, str) or monitor not in columns:
        raise InvalidInputError(
            f"monitor is {shown(monitor)}, which is not measured; give one of {', '.join(columns)}."
        )


class CSVLogger(progress.CSVLogger):
    """Write all rows to a table of comma separated values after every epoch.

    fastai's own keeps a file open, which a resumed training would continue in the middle of an
    epoch, and ends the training when the disk is full.

    Args:
        rows: Rows of the history.
        path: The file.
    """

    order = 52

    def __init__(self, rows: Sequence[dict[str, float]], path: Path) -> None:
        super().__init__(path)
        self.rows = rows

    def before_fit(self) -> None:
        """Leave the file as it is until the first epoch is done."""

    def after_epoch(self) -> None:
        """Rewrite the whole table, so that it is also right after an interruption."""
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        with tolerate_write_errors("model.history has all rows"), whole_file(self.fname) as partial:
            with partial.open("w", newline="", encoding="utf-8") as file:
                table = csv.DictWriter(file, ["epoch", *names])
                table.writeheader()
                for number, row in enumerate(self.rows, 1):
                    table.writerow({"epoch": number, **row})

    def after_fit(self) -> None:
        """Leave the file as it is."""


class SampleImages(Callback):
    """Draw source, translation and target of the same validation pairs every few epochs.

    Args:
        draw: Function that returns the figure.
        folder: Folder of the pictures, which are named by epoch.
        every: Epochs between pictures.
        rows: Rows of the history, one for each epoch.
    """

    order = 64

    def __init__(
        self, draw: Callable[[], Any], folder: Path, every: int, rows: Sequence[Any]
    ) -> None:
        self.draw, self.folder, self.every, self.rows = draw, folder, every, rows

    def after_epoch(self) -> None:
        """Draw a picture after every so many epochs."""
        if len(self.rows) % self.every:
            return
        from matplotlib import pyplot

        figure = self.draw()
        path = self.folder / f"epoch_{len(self.rows):04d}.png"
        with tolerate_write_errors("this picture is missing"), whole_file(path) as partial:
            figure.savefig(partial, dpi=80, format="png")
        pyplot.close(figure)


# Not fastai's: its module cannot be imported without tensorboard, and it logs every batch and
# traces the model, which draws random numbers that a resumed training would not draw.
class TensorBoardCallback(Callback):
    """Log every column of the table for TensorBoard.

    Args:
        folder: Folder of the log.
        rows: Rows of the history.

    Raises:
        MissingPackageError: TensorBoard is not installed.
    """

    order = 65

    def __init__(self, folder: Path, rows: Sequence[dict[str, float]]) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingPackageError(
                "tensorboard is asked for but not installed; run pip install "
                "'geotranslate[tensorboard]'."
            ) from error
        self._writer, self.rows = SummaryWriter(str(folder)), rows

    def after_epoch(self) -> None:
        """Log the last row."""
        with tolerate_write_errors("this epoch is missing in the log"):
            for name, value in self.rows[-1].items():
                self._writer.add_scalar(name, value, len(self.rows))

    def after_fit(self) -> None:
        """Complete the log."""
        with tolerate_write_errors("the log is not complete"):
            self._writer.close()
