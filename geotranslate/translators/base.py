"""What every translator can do: train, and go on with it, beside all that a model can."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders

from geotranslate.checks import folder_path
from geotranslate.chips.bands import DataCard
from geotranslate.data.launcher import is_main_process, launched
from geotranslate.data.loaders import data_card, validates_pairs
from geotranslate.errors import InvalidInputError, ModelFileError
from geotranslate.metrics.scores import Metrics
from geotranslate.networks.weightless import shapes_of
from geotranslate.training.adversarial_pair import AdversarialPair
from geotranslate.training.baselines import START, baseline_errors, start_of
from geotranslate.training.callbacks.diagnostics import Diagnostics
from geotranslate.training.callbacks.ema import DECAY, EMACallback
from geotranslate.training.callbacks.gan import GANCallback
from geotranslate.training.callbacks.history import NEITHER, StartRow
from geotranslate.training.callbacks.precision import TrainingPrecision
from geotranslate.training.callbacks.schedule import Schedule
from geotranslate.training.callbacks.trackers import CheckpointKind
from geotranslate.training.callbacks.validation import ColumnsCallback, ValidationMetrics
from geotranslate.training.checkpoints import Checkpoint
from geotranslate.training.contexts import compiled, memory_said, put_back, surroundings
from geotranslate.training.distributed import Processes
from geotranslate.training.fitting import FitOptions
from geotranslate.training.learner import make_learner
from geotranslate.training.objectives import Objective
from geotranslate.training.optimizer import BETAS, LEARNING_RATE
from geotranslate.training.run_folder import sole_training
from geotranslate.training.start import fit_start
from geotranslate.translators.card import card_in
from geotranslate.translators.model import Model
from geotranslate.translators.recording import recorders

if TYPE_CHECKING:
    from typing_extensions import Self


class Translator(Model):
    """A predictor that can be trained, measured and saved.

    Subclasses build the networks and give their objective; all else is here. The fastai
    `Learner` is public as `learn`.

    Args:
        data: Loaders from `prepare_data`; a data card alone for a model that only translates.
        pair: The networks.
        stride: Factor by which the generator shrinks images inside, px.
        radius: How far it sees, px; None for the whole image.
        options: Arguments that rebuild the translator from its card.
        objective: Losses of the networks; None to train by the L1 alone.
        checks: Callbacks that measure the validation chips, beside the measures of pairs; each has
            `columns` of the progress table.
        betas: Those of Adam.
        gan_after: Share of a training before which the discriminator rests.
    """

    own_schedule: Schedule = "constant"
    """What `schedule` of `fit` is by default."""
    own_rate = LEARNING_RATE
    """What `lr` of `fit` is by default."""
    own_decay = DECAY
    """What `ema` of `fit` is by default."""
    own_monitor = "valid_l1"
    """What `monitor` of `fit` is by default."""

    def __init__(
        self,
        data: DataLoaders | DataCard,
        pair: AdversarialPair,
        *,
        stride: int,
        radius: int | None,
        options: dict[str, Any],
        objective: Objective | None,
        checks: Sequence[ColumnsCallback] = (),
        betas: tuple[float, float] = BETAS,
        gan_after: float = 0.0,
    ) -> None:
        super().__init__(data, pair, stride, radius, options)
        found: list[Any] = [*checks]
        if objective is not None and pair.discriminator is not None:
            found.insert(0, GANCallback(pair.discriminator, objective, gan_after))
        if validates_pairs(data):
            found.append(ValidationMetrics(self.card.target))
        self.fits_start = start_of(pair.generator) is not None
        """Whether the start is fitted before the first step."""
        self.learn = make_learner(self.data, pair, found, self.history, betas)

    def fit(
        self,
        epochs: int = 10,
        lr: float | Sequence[float] | None = None,
        *,
        schedule: Schedule | None = None,
        early_stopping: bool | int = False,
        checkpoint: CheckpointKind = True,
        monitor: str | None = None,
        precision: TrainingPrecision = "auto",
        accumulate: int = 1,
        clip: float | None = None,
        ema: float | None = None,
        compile: bool = False,
        sample_every: int = 0,
        tensorboard: bool = False,
        callbacks: Sequence[Callback] = (),
        folder: str | os.PathLike[str] = "training",
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Train for so many passes over the training pairs and return the model.

        Shows a progress bar and a row of losses and measures per epoch, which `history` keeps.
        Called again, it goes on with the same weights and optimizer state. The measures of the
        validation pairs are in the target's units.

        In a script that `accelerate launch` or `torchrun` starts in several processes, they train
        together: each on its own GPU, or on the CPU, and its share of the pairs, with the mean of
        their gradients. Each measures all validation pairs; the first one writes and shows.

        Args:
            epochs: Passes over the training pairs.
            lr: Learning rate, or those of generator and discriminator; by default that of the
                translator's paper, 2e-4, or of the model's recipe.
            schedule: `constant`; `linear_decay` to 0 over the second half; `cosine` to 0 after a
                short rise; or `one_cycle`. The momentum stays as it is. By default that of the
                translator's paper, or of the model's recipe.
            early_stopping: True to stop when `monitor` has not become better for 5 epochs, or
                their number.
            checkpoint: True to keep in `folder`, after every epoch, all that `resume` needs
                (`last.safetensors`, and the one before) and the model that is best by `monitor`
                (`best`); "all" for every epoch's model as well, a number for that of every so
                many; False for nothing.
            monitor: Column of the table, see `available_metrics`; by default `valid_l1`, or without
                validation pairs the error of the way there and back.
            precision: "float32", "bfloat16", "float16" with scaled gradients, or "auto" for the
                fastest that the machine multiplies.
            accumulate: Batches of an epoch whose gradients make one step; its last may be fewer.
            clip: Largest norm of the generator's gradients.
            ema: Share that a moving average of the generator's weights keeps at every step; it
                translates, validates and is saved beside the generator. 0 for none: an average of
                a training before is dropped. By default 0.999, or that of the
                recipe, or as the model was trained before.
            compile: Whether to compile the generator (torch.compile) for this training, which
                takes a minute first.
            sample_every: Epochs between pictures of the same validation pairs in
                `folder/samples`; 0 for none.
            tensorboard: Whether to log for TensorBoard in `folder/tensorboard`.
            callbacks: Further fastai callbacks, of every process.
            folder: Where checkpoints, `history.csv`, pictures and logs go; one training at a time.
            resume: Whether to go on where an interrupted training in `folder` was; it ends as it
                would have. Without a checkpoint there it begins.
            progress: Whether to show the bar and the rows.

        Raises:
            InvalidInputError: The model was loaded without data, an argument is impossible, or
                the memory does not hold a batch.
            MissingPackageError: There are several processes, but no Accelerate; or TensorBoard is
                asked for and not installed.
            RasterFileError: Nothing can be written to `folder`, or another training writes to it.
            ModelFileError: The checkpoint is that of another model, data or batches, or damaged.
            TrainingError: Losses or weights are not finite, or the generator cannot be compiled.
        """
        data = self._loaders()
        options = FitOptions(
            epochs=epochs,
            lr=self.own_rate if lr is None else lr,
            schedule=self.own_schedule if schedule is None else schedule,
            early_stopping=early_stopping,
            checkpoint=checkpoint,
            monitor=self.own_monitor if monitor is None else monitor,
            precision=precision,
            accumulate=accumulate,
            clip=clip,
            ema=ema,
            compile=compile,
            sample_every=sample_every,
            tensorboard=tensorboard,
            callbacks=callbacks,
            folder=folder_path("folder", folder),
            resume=resume,
            progress=progress,
        )
        options.check_model(self.learn, self.available_metrics)
        processes = Processes.join(data.device)
        if not self.history:
            torch.manual_seed(self.card.seed)
        with processes.led(sole_training(options.folder) if options.writes else nullcontext()):
            done = processes.agreed(self._resume(options.folder) if options.resume else 0)
            if not options.is_over(done, self.history):
                self._train(options, done, processes)
                processes.wait()
        return self

    def _train(self, options: FitOptions, done: int, processes: Processes) -> None:
        """Train the epochs that are not done.

        Raises:
            TrainingError: Losses or weights are not finite, or the generator cannot be compiled.
        """
        data, progress = self._loaders(), options.progress and is_main_process()
        extra = [*options.callbacks]
        if done == 0 and not self.history:
            extra += self._begin(progress)
        diagnostics = Diagnostics(self.history, self.baselines)
        extra += [*options.training_callbacks(self.learn, done, self.history), diagnostics]
        extra += processes.callbacks(self.history)
        extra += recorders(self, options, done)
        extra += self._ema_callbacks(options.ema)
        self.metrics = Metrics()
        faster = compiled(self.pair.generator) if options.compile else nullcontext()
        with surroundings(self.learn, extra, progress), processes.sharing(data), faster:
            self.learn.fit(options.epochs - done, options.rates(self.learn)[0], cbs=extra)
        if diagnostics.error is not None:
            raise diagnostics.error

    def _ema_callbacks(self, decay: float | None) -> list[Callback]:
        """Start, continue or drop the average of the weights, None for the one there is."""
        if decay is None:
            decay = self.pair.decay if self.history else self.own_decay
        self._average(decay or None)
        if not decay or self.pair.average is None:
            return []
        return [EMACallback(self.pair.average, self.pair.generator, decay)]

    def _begin(self, progress: bool) -> list[Callback]:
        """Fit the start of the generator and measure what is simpler than the model."""
        self._fit_start(progress)
        data = self._loaders()
        if not validates_pairs(data):
            return []
        with memory_said(data.valid.bs):
            self.baselines = baseline_errors(data.valid, self.card.target, self.pair.generator)
        if START not in self.baselines:
            return []
        return [StartRow({"mae": self.baselines[START]})]

    def _fit_start(self, progress: bool) -> None:
        if self.fits_start:
            fit_start(self.pair.generator, self._loaders(), self.card.seed, progress=progress)
            self.fits_start = False

    @property
    def available_metrics(self) -> list[str]:
        """Columns of the progress table of `fit` that `monitor` can be."""
        return [metric.name for metric in self.learn.metrics if metric.name not in NEITHER]

    def lr_find(self) -> float:
        """Draw the loss over rising learning rates, and return the rate where it falls steepest.

        The weights stay as they are, also where it is interrupted. In adversarial training this is
        a rough guide: both networks get the rate, and the loss is the generator's.

        Raises:
            InvalidInputError: The model was loaded without data, a launcher started several
                processes, or the memory does not hold a batch.
        """
        self._loaders()
        if launched() > 1:
            raise InvalidInputError(
                f"lr_find runs in one process, not in {launched()}; find the rate without the "
                "launcher, and give it to fit(lr=...)."
            )
        self._fit_start(progress=True)
        with surroundings(self.learn), put_back(self.learn):
            return float(self.learn.lr_find().valley)

    @classmethod
    def from_checkpoint(cls, folder: str | os.PathLike[str], data: DataLoaders) -> Self:
        """Return the model of the last checkpoint in a folder of `fit`, to be trained on.

        `fit(..., resume=True)` then goes on where it was; without `resume` it trains further, which
        other batches and augmentation may do too.

        Args:
            folder: The `folder` of the training.
            data: Loaders of the same data.

        Raises:
            ModelFileError: There is no checkpoint, it is damaged, or that of other data or another
                class.
        """
        path = folder_path("folder", folder)
        data_card(data)
        found = Checkpoint.newest(path)
        if found is None:
            raise ModelFileError(f"There is no checkpoint in {folder}; give the folder of a fit.")
        card = card_in(found.facts, path, cls)
        if card.translator != cls.__name__:
            raise ModelFileError(
                f"The checkpoint in {folder} is that of a {card.translator}; load it with "
                f"{card.translator}.from_checkpoint."
            )
        weights = found.weights
        model = cls._rebuilt(data, card, shapes_of(weights), lambda: weights, folder)
        model._resume(path, as_begun=False)
        return model

    def _resume(self, folder: Path, *, as_begun: bool = True) -> int:
        """Put the model into the state of the last checkpoint; return the epochs that are done.

        As it was begun, the training goes on with batches of the same size and augmentation.
        """
        found = Checkpoint.newest(folder)
        if found is None:
            return 0
        card = card_in(found.facts, folder, type(self))
        other = card.differences(self._card())
        if as_begun:
            other += found.other_batches(self.learn)
        if other:
            raise ModelFileError(
                f"The checkpoint in {folder} is that of another training: another "
                f"{' and another '.join(other)}. Give what it was begun with, or another folder."
            )
        self._average(found.facts.get("ema", 0.0) if found.has_average else None)
        found.restore(self.learn)
        self.history[:], self.metrics = card.history, Metrics()
        self.baselines, self.fits_start = dict(card.baselines), False
        return int(found.facts["epochs"])
