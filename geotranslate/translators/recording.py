"""What a fit writes into its folder, and what another training has there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar, Protocol

from fastai.callback.core import Callback
from fastai.learner import Learner

from geotranslate.data import is_main_process
from geotranslate.errors import warn
from geotranslate.training.callbacks import (
    CSVLogger,
    SampleImages,
    SaveModelCallback,
    TensorBoardCallback,
)
from geotranslate.training.checkpoints import Checkpoint, facts_in
from geotranslate.training.fitting import FitOptions
from geotranslate.translators.card import Card, card_in
from geotranslate.translators.config import TranslatorConfig


class Trained(Protocol):
    """A model as the recorders of its training see it."""

    learn: Learner
    history: list[dict[str, float]]
    config_class: ClassVar[type[TranslatorConfig]]

    @property
    def name(self) -> str:
        """Name of its class."""

    def saved_card(self) -> Card:
        """Return its card."""

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it into a folder."""

    def show_results(self, rows: int = 2) -> Any:
        """Return a figure of validation chips."""


def recorders(model: Trained, options: FitOptions, done: int) -> list[Callback]:
    """Return the callbacks that write pictures, logs and checkpoints, in the main process alone.

    Args:
        model: The model.
        options: Options of the training, whose folder exists.
        done: Epochs of the training that are in the history.

    Raises:
        MissingPackageError: TensorBoard is not installed.
    """
    found: list[Callback] = []
    if not is_main_process():
        return found
    folder, rows = options.folder, model.history
    if options.sample_every:
        draw, pictures = model.show_results, folder / "samples"
        found.append(SampleImages(draw, pictures, options.sample_every, rows))
    if options.tensorboard:
        found.append(TensorBoardCallback(folder / "tensorboard", rows))
    if options.checkpoint:
        found += _savers(model, options, done)
    return found


def _savers(model: Trained, options: FitOptions, done: int) -> list[Callback]:
    folder, monitor, rows = options.folder, options.monitor, model.history
    best = _judged_from(folder, model, monitor, done), monitor
    # Where nothing can be mistaken for this training's, it begins anew without a state too.
    begin = not done and (bool(rows) or facts_in(folder) is not None)

    def write_state(epochs: int) -> None:
        Checkpoint.of(model.learn, epochs, model.saved_card().to_json(), best).write(folder)

    first, kind = len(rows) - done, options.checkpoint
    saver = SaveModelCallback(write_state, model.save, folder, kind, rows, first, best, begin)
    return [CSVLogger(rows, folder / "history.csv"), saver]


def _judged_from(folder: Path, model: Trained, monitor: str, done: int) -> int:
    """Return the row of the history from which on the best model in a folder is judged.

    A model that is trained again in its folder replaces its best one by a better one alone. Warns
    where the folder holds another training, which is lost.

    Args:
        folder: Where the training shall write.
        model: What is trained, with its history.
        monitor: Column that the best model is judged by.
        done: Epochs of the training that are in the history.
    """
    card, facts = model.saved_card(), facts_in(folder)
    first = len(card.history) - done
    if facts is None:
        return first
    held = card_in(facts, folder, model.name, model.config_class)
    # As text, because NaN is not equal to itself.
    if held.differences(card) or repr(held.history) != repr(card.history[: len(held.history)]):
        warn(
            f"The folder {folder} holds a training of {len(held.history)} epochs that this one "
            "does not go on from; its checkpoint, best model and history are replaced. To go on "
            "with it, stop and give resume=True; to keep it, give another folder.",
        )
        return first
    begun, column = facts["best"]
    return int(begun) if column == monitor else first
