"""Logs of a training: the table of its rows, pictures and TensorBoard."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fastai.callback import progress
from fastai.callback.core import Callback

from geotranslate.errors import MissingPackageError
from geotranslate.training.run_folder import tolerate_write_errors, whole_file


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
        """Write the table anew, so that it is right after an interruption as well."""
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
        draw: Returns the figure.
        folder: Folder of the pictures, which are named by epoch.
        every: Epochs between them.
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
