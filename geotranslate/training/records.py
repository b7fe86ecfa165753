"""What a training leaves in its folder beside the history: pictures, models, logs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from fastai.callback.core import Callback

from geotranslate.errors import GeotranslateWarning, InvalidInputError, RasterFileError
from geotranslate.training.history import best_row

CheckpointKind = bool | Literal["all"] | int


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

        self.folder.mkdir(parents=True, exist_ok=True)
        figure = self.draw()
        figure.savefig(self.folder / f"epoch_{len(self.rows):04d}.png", dpi=80)
        pyplot.close(figure)


class Keeper(Callback):
    """Save the state of the training after every epoch, the best model, and others if asked for.

    A disk that is full costs the newest checkpoint and a warning, never the training.

    Args:
        write_state: Writes the state after so many epochs of this training.
        save_model: Saves the model into a folder.
        folder: Where all goes.
        kind: True for state and best model, "all" for every epoch's model as well, a number for
            that of every so many epochs.
        rows: Rows of the history.
        first: Position of this training's first row.
        monitor: Column that says which model is best.
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
        monitor: str,
    ) -> None:
        self.write_state, self.save_model, self.folder = write_state, save_model, folder
        self.kind, self.rows, self.first, self.monitor = kind, rows, first, monitor

    def after_epoch(self) -> None:
        """Write what is asked for."""
        done = len(self.rows) - self.first
        every = 1 if self.kind == "all" else 0 if self.kind is True else int(self.kind)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.write_state(done)
            if best_row(self.monitor, self.rows[self.first :]) == done - 1:
                self.save_model(self.folder / "best")
            if every and done % every == 0:
                self.save_model(self.folder / f"epoch_{len(self.rows):04d}")
        except (RasterFileError, OSError) as error:
            warnings.warn(
                f"{error} The training goes on; the checkpoint before it stays.",
                GeotranslateWarning,
                stacklevel=2,
            )


class TensorBoard(Callback):
    """Log every column of the table for TensorBoard.

    Args:
        folder: Where the log goes.
        rows: Rows of the history.

    Raises:
        InvalidInputError: TensorBoard is not installed.
    """

    order = 65

    def __init__(self, folder: Path, rows: Sequence[dict[str, float]]) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise InvalidInputError(
                "tensorboard is asked for but not installed; run pip install "
                "'geotranslate[tensorboard]'."
            ) from error
        self._writer, self.rows = SummaryWriter(str(folder)), rows

    def after_epoch(self) -> None:
        """Log the last row."""
        for name, value in self.rows[-1].items():
            self._writer.add_scalar(name, value, len(self.rows))

    def after_fit(self) -> None:
        """Complete the log."""
        self._writer.close()
