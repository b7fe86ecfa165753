"""One call of `fit`: its callbacks, moving average and files, and the resumption of a run."""

from __future__ import annotations

import os
import random
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from torch import Tensor
from torch.utils.data import Subset

from geotranslate.chips.bands import DataCard
from geotranslate.data.loaders import is_main_process, validates_pairs
from geotranslate.errors import InvalidInputError, ModelFileError, warn
from geotranslate.metrics.scores import Metrics
from geotranslate.training.batchsize import fitting_batch_size, has_own_memory
from geotranslate.training.callbacks.diagnostics import Diagnostics
from geotranslate.training.callbacks.ema import EMACallback
from geotranslate.training.callbacks.history import (
    CSVLogger,
    SampleImages,
    StartRow,
    TensorBoardCallback,
)
from geotranslate.training.callbacks.loggers import StepLogger, wandb_callback
from geotranslate.training.callbacks.trackers import SaveModelCallback
from geotranslate.training.checkpoints import Checkpoint, facts_in
from geotranslate.training.distributed import Processes
from geotranslate.training.fitting import FitOptions
from geotranslate.training.learner import AdversarialPair
from geotranslate.training.reproducibility import compiled, fit_context, memory_errors
from geotranslate.training.run_folder import sole_training
from geotranslate.training.start import START, baseline_errors
from geotranslate.translators.config import FitDefaults, TranslatorConfig
from geotranslate.translators.saved_models.card import Card, card_in


class Trainable(Protocol):
    """Interface of models that can be trained."""

    learn: Learner
    pair: AdversarialPair
    card: DataCard
    history: list[dict[str, float]]
    metrics: Metrics
    baselines: dict[str, float]
    fits_start: bool
    draws_anew: bool
    fit_defaults: FitDefaults

    _next: DataCard | None

    @property
    def config_class(self) -> type[TranslatorConfig]:
        """Class of the model's arguments."""

    @property
    def name(self) -> str:
        """Name of the model's class."""

    @property
    def available_metrics(self) -> list[str]:
        """Columns of the progress table that can be the `monitor`."""

    def saved_card(self) -> Card:
        """Return the model's card."""

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Save the model in a folder."""

    def _loaders(self) -> DataLoaders:
        """Return the data, or raise an error if the model was loaded without."""

    def _go_on_with(self, card: DataCard) -> None:
        """Begin a training on other data than that of the former training."""

    def _fit_start(self, progress: bool) -> None:
        """Fit the start of the generator, unless it has been fitted."""

    def _average(self, decay: float | None) -> None:
        """Translate with an average of the generator's weights; without one if None."""

    def _drawn(self, pairs: Any, rows: int) -> Any:
        """Return a figure of the first of some validation pairs."""


def run(model: Trainable, data: DataLoaders, options: FitOptions) -> None:
    """Train a model, or continue its training, in one process or several.

    Args:
        model: The model.
        data: Loaders of its data.
        options: Options of the training.

    Raises:
        InvalidInputError: The data has no pairs for training, or none for early stopping.
        TrainingError: Losses or weights are not finite, or the generator cannot be compiled.
        ModelFileError: The checkpoint belongs to another training or is damaged.
        RasterFileError: Nothing can be written to the folder.
    """
    if not len(data.train):
        raise InvalidInputError(
            "The data has no pairs for training, as val_split_pct is 1; prepare it with less."
        )
    if options.early_stopping and not len(data.valid_ds):
        raise InvalidInputError(
            "early_stopping needs pairs for validation, and the data has none; leave it out, or "
            "prepare the data with a val_split_pct above 0."
        )
    processes = Processes.join(data.device)
    if model.draws_anew:
        # A model that was loaded begins with other draws than the training before.
        torch.manual_seed(model.card.seed + len(model.history))
        model.draws_anew = False
    with processes.led(sole_training(options.folder) if options.writes else nullcontext()):
        _choose_batch_size(model, data, options, processes)
        done = processes.agreed(resume_from(model, options.folder) if options.resume else 0)
        if not options.is_over(done, model.history):
            _train(model, data, options, done, processes)
            processes.wait()


def _choose_batch_size(
    model: Trainable, data: DataLoaders, options: FitOptions, processes: Processes
) -> None:
    """Set the batch size of data that were prepared with "auto", on a GPU.

    A training that is resumed keeps its own.
    """
    if not getattr(data, "chooses_batch_size", False):
        return
    found = Checkpoint.newest(options.folder) if options.resume else None
    if found is not None and (size := found.batch_size):
        data.set_batch_size(size)
    elif has_own_memory(data.device):
        data.set_batch_size(processes.least(fitting_batch_size(model.learn, options.precision)))


def checkpoint_in(
    folder: Path, translator: str, config: type[TranslatorConfig]
) -> tuple[Card, dict[str, Tensor]]:
    """Return the card and the weights of the last checkpoint in a folder.

    Args:
        folder: Folder of a training.
        translator: Name of the expected class.
        config: Configuration of that class.

    Raises:
        ModelFileError: There is no checkpoint, it is damaged, or it belongs to another class.
    """
    found = Checkpoint.newest(folder)
    if found is None:
        raise ModelFileError(f"There is no checkpoint in {folder}; give the folder of a fit.")
    card = card_in(found.facts, folder, translator, config)
    if card.translator != translator:
        raise ModelFileError(
            f"The checkpoint in {folder} is that of a {card.translator}; load it with "
            f"{card.translator}.from_checkpoint."
        )
    return card, found.weights


def resume_from(model: Trainable, folder: Path, *, as_begun: bool = True) -> int:
    """Restore a model from the last checkpoint and return the number of finished epochs.

    Args:
        model: The model.
        folder: Folder of the training; without a checkpoint there, the result is 0.
        as_begun: Whether batches and augmentation have to be the same as in the checkpoint.

    Raises:
        ModelFileError: The checkpoint belongs to another training or is damaged.
    """
    found = Checkpoint.newest(folder)
    if found is None:
        return 0
    card = card_in(found.facts, folder, model.name, model.config_class)
    other = card.differences(model.saved_card())
    if as_begun:
        other += found.other_batches(model.learn)
    if other:
        raise ModelFileError(
            f"The checkpoint in {folder} is that of another training: another "
            f"{' and another '.join(other)}. Give what it was begun with, or another folder."
        )
    model._average(found.facts.get("ema", 0.0) if found.has_average else None)
    found.restore(model.learn)
    model.history[:], model.metrics = card.history, Metrics()
    model.baselines, model.fits_start = dict(card.baselines), False
    return int(found.facts["epochs"])


def _train(
    model: Trainable, data: DataLoaders, options: FitOptions, done: int, processes: Processes
) -> None:
    """Train the remaining epochs.

    Raises:
        TrainingError: Losses or weights are not finite, or the generator cannot be compiled.
    """
    progress = options.progress and is_main_process()
    extra = [*options.callbacks]
    if done == 0 and not model.history:
        extra += _begin(model, data, progress=progress)
    diagnostics = Diagnostics(model.history, model.baselines)
    extra += [*options.training_callbacks(model.learn, done, model.history), diagnostics]
    extra += processes.callbacks(model.history)
    extra += _recorders(model, data, options, done)
    extra += _ema_callbacks(model, options.ema)
    model.metrics = Metrics()
    faster = compiled(model.pair.generator) if options.compile else nullcontext()
    with fit_context(model.learn, extra, progress), processes.sharing(data), faster:
        model.learn.fit(options.epochs - done, options.rates(model.learn)[0], cbs=extra)
    if diagnostics.error is not None:
        raise diagnostics.error


def _ema_callbacks(model: Trainable, decay: float | None) -> list[Callback]:
    """Start, continue or drop the average of the weights; None keeps the present state."""
    if decay is None:
        decay = model.pair.decay if model.history else model.fit_defaults.ema
    model._average(decay or None)
    if not decay or model.pair.average is None:
        return []
    return [EMACallback(model.pair.average, model.pair.generator, decay)]


def _begin(model: Trainable, data: DataLoaders, *, progress: bool) -> list[Callback]:
    """Fit the start of the generator and measure the baselines."""
    model._fit_start(progress)
    if not validates_pairs(data):
        return []
    with memory_errors(data.valid.bs):
        model.baselines = baseline_errors(data.valid, model.card.target, model.pair.generator)
    if START not in model.baselines:
        return []
    return [StartRow({"mae": model.baselines[START]})]


def _recorders(
    model: Trainable, data: DataLoaders, options: FitOptions, done: int
) -> list[Callback]:
    """Return the callbacks that write pictures, logs and checkpoints; none in other processes.

    Args:
        model: The model.
        data: Loaders of its data.
        options: Options of the training, whose folder exists.
        done: Epochs of the training that are in the history.

    Raises:
        MissingPackageError: TensorBoard or wandb is not installed.
    """
    found: list[Callback] = []
    if not is_main_process():
        return found
    folder, rows = options.folder, model.history
    if options.sample_every:
        # Without validation pairs, training pairs are drawn.
        pairs = data.valid_ds if len(data.valid_ds) else data.train_ds
        draw, pictures = partial(_draw_sample, model, pairs, options), folder / "samples"
        found.append(SampleImages(draw, pictures, options.sample_every, rows))
    if options.log_every:
        found.append(StepLogger(folder / "steps.csv", options.log_every, rows))
    if options.tensorboard:
        found.append(TensorBoardCallback(folder / "tensorboard", rows))
    if options.wandb:
        found.append(wandb_callback(folder, model.saved_card().options))
    if options.checkpoint:
        found += _savers(model, options, done)
    return found


def _draw_sample(model: Trainable, pairs: Any, options: FitOptions) -> Any:
    """Draw validation pairs: the first, chosen ones, or others for each epoch."""
    given = options.sample_pairs
    places = tuple(range(min(given, len(pairs)))) if isinstance(given, int) else given
    if options.sample_random:
        # Its own generator, as pictures must not change the training.
        drawn = random.Random(f"{model.card.seed} {len(model.history)}")
        places = tuple(drawn.sample(range(len(pairs)), min(len(places), len(pairs))))
    return model._drawn(Subset(pairs, places), len(places))


def _savers(model: Trainable, options: FitOptions, done: int) -> list[Callback]:
    folder, monitor, rows = options.folder, options.monitor, model.history
    best = _best_since(folder, model, monitor, done), monitor
    # The initial state only has to replace another training's checkpoint, or keep former epochs.
    begin = not done and (bool(rows) or facts_in(folder) is not None)

    def write_state(epochs: int) -> None:
        Checkpoint.of(model.learn, epochs, model.saved_card().to_json(), best).write(folder)

    first, kind = len(rows) - done, options.checkpoint
    saver = SaveModelCallback(write_state, model.save, folder, kind, rows, first, best, begin)
    return [CSVLogger(rows, folder / "history.csv"), saver]


def _best_since(folder: Path, model: Trainable, monitor: str, done: int) -> int:
    """Return the first row of the history that counts for the best model in a folder.

    If a model is trained again in its folder, its best model is only replaced by a better one.
    Warns if the folder holds another training, which is overwritten.

    Args:
        folder: Folder of the training.
        model: The model, with its history.
        monitor: Column that determines the best model.
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
