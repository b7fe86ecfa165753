"""Callbacks that follow the best value of a column: early stopping and saved models."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from fastai.callback import tracker
from fastai.callback.core import CancelFitException

from geotranslate.data import is_main_process
from geotranslate.training.callbacks.history import RISING, best_row
from geotranslate.training.run_folder import tolerate_write_errors

CheckpointKind = bool | Literal["all"] | int


class EarlyStoppingCallback(tracker.EarlyStoppingCallback):
    """fastai's early stopping over the rows of the history, including an interrupted run.

    fastai's own counts the epochs of one run, and counts a missing value as a bad epoch.

    Args:
        rows: Rows of the history.
        first: Position of this training's first row.
        monitor: Column to follow.
        patience: Epochs to wait.
    """

    # After all files of the last epoch are written: checkpoint, model, picture and log.
    order = 100

    def __init__(
        self, rows: Sequence[dict[str, float]], first: int, monitor: str, patience: int
    ) -> None:
        comparison = np.greater if monitor in RISING else np.less
        super().__init__(monitor, comp=comparison, patience=patience)
        self.rows, self.first = rows, first

    @property
    def is_over(self) -> bool:
        """Whether the last row is at least `patience` epochs after the best one.

        Rows before the first value do not count; they come from an idle discriminator.
        """
        mine = self.rows[self.first :]
        values = [row.get(self.monitor, math.nan) for row in mine]
        if all(map(math.isnan, values)):
            return False
        return len(mine) - 1 - best_row(self.monitor, mine) >= self.patience

    def after_epoch(self) -> None:
        """Compare the last row with the best one."""
        if self.is_over:
            if is_main_process():
                print(  # noqa: T201
                    f"Stopped: {self.monitor} has not become better for {self.patience} epochs."
                )
            raise CancelFitException


class SaveModelCallback(tracker.SaveModelCallback):
    """Save the state of the training after every epoch, the best model, and others on request.

    fastai's own pickles only the weights, loads the best ones when the training ends, and forgets
    the best value of an interrupted run.

    Args:
        write_state: Function that writes the state after a number of epochs of this training.
        save_model: Function that saves the model in a folder.
        folder: Folder of checkpoints and models.
        kind: True for state and best model; "all" also for the model of every epoch, a number n
            for the model of every n-th epoch.
        rows: Rows of the history.
        first: Position of this training's first row.
        best: Position of the first row that counts for the best model, and the monitored column.
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
        super().__init__(best[1])
        self.write_state, self.save_model, self.folder = write_state, save_model, folder
        self.kind, self.rows, self.first, self.begin = kind, rows, first, begin
        self.best_from = best[0]

    def before_fit(self) -> None:
        """Write the initial state, for an interruption in the first epoch."""
        if self.begin:
            self._write(0)

    def after_epoch(self) -> None:
        """Save models, then the state, so that a saved state implies saved models."""
        done = len(self.rows) - self.first
        every = 1 if self.kind == "all" else 0 if self.kind is True else int(self.kind)
        rows = self.rows[self.best_from :]
        # Without validation pairs, the last model is the best known one.
        unmeasured = math.isnan(self.rows[-1].get("valid_loss", 0.0))
        if unmeasured or best_row(self.monitor, rows) == len(rows) - 1:
            self._save("best")
        if every and done % every == 0:
            self._save(f"epoch_{len(self.rows):04d}")
        self._write(done)

    def after_fit(self) -> None:
        """Keep the last weights, where fastai loads the best ones."""

    def _save(self, name: str) -> None:
        with tolerate_write_errors("the model before it stays"):
            self.save_model(self.folder / name)

    def _write(self, done: int) -> None:
        with tolerate_write_errors("the checkpoint before it stays"):
            self.write_state(done)
