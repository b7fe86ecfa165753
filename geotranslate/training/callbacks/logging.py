"""What a training leaves in its folder: the history, pictures, models, logs."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from fastai.callback.core import Callback

from geotranslate.errors import MissingPackageError
from geotranslate.training.callbacks.history import best_row
from geotranslate.training.run_folder import going_on, whole_file

CheckpointKind = bool | Literal["all"] | int


class HistoryFile(Callback):
    """Write all rows to a table of comma separated values after every epoch.

    Args:
        rows: The rows.
        path: The file.
    """

    order = 52

    def __init__(self, rows: Sequence[dict[str, float]], path: Path) -> None:
        self.rows, self.path = rows, path

    def after_epoch(self) -> None:
        """Write the table anew, so that it is right after an interruption as well."""
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        with going_on("model.history has all rows"), whole_file(self.path) as partial:
            with partial.open("w", newline="", encoding="utf-8") as file:
                table = csv.DictWriter(file, ["epoch", *names])
                table.writeheader()
                for number, row in enumerate(self.rows, 1):
                    table.writerow({"epoch": number, **row})


class SampleSheets(Callback):
    """Draw source, translation and target of the same validation pairs every few epochs.

    Args:
        draw: Returns the figure.
        folder: Where the pictures go, by epoch.
        every: Epochs between them.
        rows: Rows of the history, of which there is one for each epoch.
    """

    order = 64

    def __init__(
        self, draw: Callable[[], Any], folder: Path, every: int, rows: Sequence[Any]
    ) -> None:
        self.draw, self.folder, self.every, self.rows = draw, folder, every, rows

    def after_epoch(self) -> None:
        """Draw a sheet if it is time."""
        if len(self.rows) % self.every:
            return
        from matplotlib import pyplot

        figure = self.draw()
        path = self.folder / f"epoch_{len(self.rows):04d}.png"
        with going_on("this picture is missing"), whole_file(path) as partial:
            figure.savefig(partial, dpi=80, format="png")
        pyplot.close(figure)


class Keeper(Callback):
    """Save the state of the training after every epoch, the best model, and others if asked for.

    Args:
        write_state: Writes the state after so many epochs of this training.
        save_model: Saves the model into a folder.
        folder: Where all goes.
        kind: True for state and best model, "all" for every epoch's model as well, a number for
            that of every so many epochs.
        rows: Rows of the history.
        first: Position of this training's first row.
        best: Position of the row from which on the best model is judged, and the column.
        begin: Whether to write the state before the first epoch too.
    """

    # After everything that may draw random numbers: the next epoch starts from here.
    order = 90

    def __init__(
        self,
        write_state: Callable[[int], None],
        save_model: Callable[[Path], Any],
        folder: Path,
        kind: CheckpointKind,
        rows: Sequence[dict[str, float]],
        first: int,
        best: tuple[int, str],
        begin: bool,
    ) -> None:
        self.write_state, self.save_model, self.folder = write_state, save_model, folder
        self.kind, self.rows, self.first, self.best, self.begin = kind, rows, first, best, begin

    def before_fit(self) -> None:
        """Write what an interruption in the first epoch shall come back to."""
        if self.begin:
            self._write(0)

    def after_epoch(self) -> None:
        """Write what is asked for, models first: a state says that its models are there."""
        done = len(self.rows) - self.first
        every = 1 if self.kind == "all" else 0 if self.kind is True else int(self.kind)
        judged, monitor = self.best
        if best_row(monitor, self.rows[judged:]) == len(self.rows) - judged - 1:
            self._save("best")
        if every and done % every == 0:
            self._save(f"epoch_{len(self.rows):04d}")
        self._write(done)

    def _save(self, name: str) -> None:
        with going_on("the model before it stays"):
            self.save_model(self.folder / name)

    def _write(self, done: int) -> None:
        with going_on("the checkpoint before it stays"):
            self.write_state(done)


class TensorBoard(Callback):
    """Log every column of the table for TensorBoard.

    Args:
        folder: Where the log goes.
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
        with going_on("this epoch is missing in the log"):
            for name, value in self.rows[-1].items():
                self._writer.add_scalar(name, value, len(self.rows))

    def after_fit(self) -> None:
        """Complete the log."""
        with going_on("the log is not complete"):
            self._writer.close()
