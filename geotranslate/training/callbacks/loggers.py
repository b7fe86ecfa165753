"""Callbacks that log single steps, and to Weights & Biases."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastai.callback.core import Callback

from geotranslate.errors import MissingPackageError
from geotranslate.training.callbacks.gan import GANCallback
from geotranslate.training.run_folder import tolerate_write_errors, whole_file

RATES = "lr", "lr_discriminator"
"""Columns of the learning rates."""
PROJECT = "geotranslate"
"""Project of the runs in Weights & Biases that `fit` begins."""


class StepLogger(Callback):
    """Write learning rates and losses of every n-th step of a training to a CSV file.

    Steps are batches of all epochs of the history, from 1. After an interruption, the rows of the
    epochs that are repeated are replaced.

    Args:
        path: The file.
        every: Steps between rows.
        rows: Rows of the history, one for each epoch.
    """

    # After Recorder (50), like other logs; `run_valid` is off because validation takes no steps.
    order, run_valid = 54, False

    def __init__(self, path: Path, every: int, rows: Sequence[Mapping[str, float]]) -> None:
        self.path, self.every, self.rows = path, every, rows
        self.table: list[dict[str, Any]] = []

    def before_fit(self) -> None:
        """Keep the rows of former epochs."""
        self.table = []
        if not self.rows or not self.path.is_file():
            return
        with (
            tolerate_write_errors("former steps are missing in its table"),
            self.path.open(newline="", encoding="utf-8") as file,
        ):
            known = [row for row in csv.DictReader(file) if (row.get("epoch") or "").isdigit()]
            self.table = [row for row in known if int(row["epoch"]) <= len(self.rows)]

    def after_batch(self) -> None:
        """Note a step."""
        step = len(self.rows) * self.n_iter + self.iter + 1
        if step % self.every:
            return
        rates = [hyper["lr"] for hyper in self.opt.hypers]
        self.table.append(
            {"step": step, "epoch": len(self.rows) + 1}
            | dict(zip(RATES, rates, strict=False))
            | {"loss": float(self.learn.loss.detach())}
            | self._losses()
        )

    def _losses(self) -> dict[str, float]:
        """Return the last losses of the objective, as the columns of the progress table."""
        found = next((cb for cb in self.learn.cbs if isinstance(cb, GANCallback)), None)
        losses = {} if found is None else found.losses
        return {name: float(values[-1].detach()) for name, values in losses.items() if values}

    def after_train(self) -> None:
        """Write the table after the steps of an epoch."""
        names = list(dict.fromkeys(name for row in self.table for name in row))
        with tolerate_write_errors("these steps are missing in its table"):
            with (
                whole_file(self.path) as partial,
                partial.open("w", newline="", encoding="utf-8") as file,
            ):
                table = csv.DictWriter(file, names)
                table.writeheader()
                table.writerows(self.table)


def wandb_callback(folder: Path, settings: Mapping[str, Any]) -> Callback:
    """Return fastai's callback for Weights & Biases, without its predictions and models.

    It logs to the current run; without one, a run in the project `geotranslate` is begun and
    finished. The configuration of the run is that of the model; fastai's own describes every chip,
    and draws random numbers that a training without it would not draw.

    Args:
        folder: Folder for the files of a run that is begun.
        settings: Configuration of the run.

    Raises:
        MissingPackageError: wandb is not installed.
    """
    try:
        import wandb
        from fastai.callback.wandb import WandbCallback
    except ImportError as error:
        raise MissingPackageError(
            "wandb is asked for but not installed; run pip install 'geotranslate[wandb]'."
        ) from error

    class Wandb(WandbCallback):
        def __init__(self) -> None:
            super().__init__(log=None, log_preds=False, log_model=False)
            self.begun = False

        def before_fit(self) -> None:
            if wandb.run is None:
                folder.mkdir(parents=True, exist_ok=True)
                wandb.init(project=PROJECT, dir=str(folder))
                self.begun = True
            wandb.config.update(dict(settings), allow_val_change=True)
            self.learn.gather_args = dict
            try:
                super().before_fit()
            finally:
                del self.learn.gather_args

        def after_fit(self) -> None:
            super().after_fit()
            if self.begun:
                wandb.finish()

    return Wandb()
