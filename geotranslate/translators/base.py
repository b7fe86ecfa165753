"""What every translator can do: train, show, measure and save."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Importing these gives learners their progress bar, lr_find and the fit_... methods.
import fastai.callback.progress
import fastai.callback.schedule  # noqa: F401
import numpy as np
import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from fastai.learner import Learner, ValueMetric
from fastai.torch_core import subplots
from torch import Tensor

from geotranslate.checks import number, whole_number
from geotranslate.chips.datacard import DataCard
from geotranslate.errors import InvalidInputError, ModelFileError
from geotranslate.memory import reused_memory
from geotranslate.training.adversary import AdversarialPair
from geotranslate.training.averaging import Averaging
from geotranslate.training.checkpoints import Checkpoint
from geotranslate.training.fitting import Training, memory_said, quiet
from geotranslate.training.history import (
    EpochMean,
    History,
    HistoryFile,
    Patience,
    Watch,
    check_monitor,
)
from geotranslate.training.launcher import is_main_process, launched, own_device
from geotranslate.training.losses import masked_l1
from geotranslate.training.metrics.measures import Measures, Palette
from geotranslate.training.metrics.report import Metrics
from geotranslate.training.optimizer import BETAS, make_optimizer
from geotranslate.training.precision import TrainingPrecision
from geotranslate.training.processes import Processes
from geotranslate.training.records import CheckpointKind, Keeper, SampleSheets, TensorBoard
from geotranslate.training.schedule import Schedule
from geotranslate.training.tensors import RgbBands, draw_table
from geotranslate.training.validation import Validation
from geotranslate.translators.card import (
    Card,
    load_weights,
    read_card,
    read_model,
    save_model,
    saved_sha256,
)
from geotranslate.translators.inference import Inference
from geotranslate.translators.measuring import measure
from geotranslate.translators.prediction import Predictor

if TYPE_CHECKING:
    from typing_extensions import Self

LEARNING_RATE = 2e-4


class Translator(Predictor):
    """A predictor that can be trained, measured and saved.

    Subclasses build the networks and say what their game is; all else is here. The fastai
    `Learner` is public as `learn`.

    Args:
        data: Loaders from `prepare_data`; a data card alone for a model that only translates.
        pair: The networks.
        stride: Factor by which the generator shrinks images inside, px.
        radius: How far it sees, px; None for the whole image.
        options: Arguments that rebuild the translator from its card.
        callbacks: fastai callbacks of the game.
        metrics: Columns of the progress table, beside the L1 of the validation pairs.
    """

    def __init__(
        self,
        data: DataLoaders | DataCard,
        pair: AdversarialPair,
        *,
        stride: int,
        radius: int | None,
        options: dict[str, Any],
        callbacks: Sequence[Callback],
        metrics: Sequence[Any],
    ) -> None:
        self.data: DataLoaders | None = None if isinstance(data, DataCard) else data
        super().__init__(pair.generator, data_card(data), stride, radius)
        self.pair, self.options = pair, options
        self.history: list[dict[str, float]] = []
        self.metrics = Metrics()
        validation = Validation(self.card.target)
        self._folder: Path | None = None
        # Channels beside each other: what convolutions are fastest with.
        device = own_device() if self.data is None else self.data.device
        pair.to(device).to(memory_format=torch.channels_last)
        self.learn = Learner(
            DataLoaders() if self.data is None else self.data,
            pair,
            loss_func=masked_l1,
            lr=LEARNING_RATE,
            opt_func=make_optimizer,
            splitter=AdversarialPair.parameter_groups,
            moms=(BETAS[0],) * 3,
            metrics=[
                *metrics,
                ValueMetric(self._validation_l1, "valid_l1"),
                *validation.columns,
            ],
            cbs=[*callbacks, validation, History(self.history)],
            # Not beside the chips, which belong to the user.
            path=Path(),
        )
        self.learn.recorder.smooth_loss = EpochMean()

    def fit(
        self,
        epochs: int = 10,
        lr: float | Sequence[float] | None = None,
        *,
        schedule: Schedule = "constant",
        early_stopping: bool | int = False,
        checkpoint: CheckpointKind = True,
        monitor: str = "valid_l1",
        precision: TrainingPrecision = "auto",
        accumulate: int = 1,
        clip: float | None = None,
        ema: float = 0.0,
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
            lr: Learning rate, or those of generator and discriminator; 2e-4 by default.
            schedule: `constant`; `linear_decay` to 0 over the second half; or `one_cycle`. The
                momentum stays as it is.
            early_stopping: True to stop when `monitor` has not become better for 5 epochs, or
                their number.
            checkpoint: True to keep in `folder`, after every epoch, all that `resume` needs
                (`last.safetensors`, and the one before) and the model that is best by `monitor`
                (`best`); "all" for every epoch's model as well, a number for that of every so
                many; False for nothing.
            monitor: Column of the table, see `available_metrics`.
            precision: "float32", "bfloat16", "float16" with scaled gradients, or "auto" for the
                fastest that the machine multiplies.
            accumulate: Batches whose gradients make one step.
            clip: Largest norm of the generator's gradients.
            ema: Share that a moving average of the generator's weights keeps at every step, for
                example 0.999; it then translates, validates and is saved beside the generator. 0
                for none.
            compile: Whether to compile the networks (torch.compile), which takes a minute first.
            sample_every: Epochs between pictures of the same validation pairs in
                `folder/samples`; 0 for none.
            tensorboard: Whether to log for TensorBoard in `folder/tensorboard`.
            callbacks: Further fastai callbacks, of every process.
            folder: Where checkpoints, `history.csv`, pictures and logs go.
            resume: Whether to go on where an interrupted training in `folder` was; it ends as it
                would have. Without a checkpoint there it begins.
            progress: Whether to show the bar and the rows.

        Raises:
            InvalidInputError: The model was loaded without data, an argument is impossible, or
                the memory does not hold a batch.
            MissingPackageError: There are several processes, but no Accelerate.
            ModelFileError: The checkpoint is that of another model, or damaged.
            TrainingError: The losses are not finite.
        """
        data = self._loaders()
        training = Training.of(
            epochs,
            lr,
            schedule,
            early_stopping,
            checkpoint,
            monitor,
            precision,
            accumulate,
            clip,
            default=LEARNING_RATE,
            groups=len(self.pair.parameter_groups()),
            device=data.device,
        )
        check_monitor(monitor, self.available_metrics)
        if number("ema", ema, least=0, below=1):
            self._average(ema)
        processes = Processes.join(data.device)
        records = Path(folder)
        done = processes.agreed(self._resume(records) if resume else 0)
        if done >= training.epochs:
            return self
        first = len(self.history) - done
        watch = Watch(self.history)
        extra = [*callbacks, *training.callbacks(self.learn, done), watch]
        extra += processes.callbacks(self.history)
        if self.pair.average is not None and ema:
            extra.append(Averaging(self.pair.average, self.pair.generator))
        if training.patience:
            extra.append(Patience(self.history, first, monitor, training.patience))
        whole_number("sample_every", sample_every, 0)
        if is_main_process():
            if sample_every:
                pictures = records / "samples"
                extra.append(SampleSheets(self.show_results, pictures, sample_every, self.history))
            if tensorboard:
                extra.append(TensorBoard(records / "tensorboard", self.history))
            if checkpoint:
                extra += self._keepers(records, checkpoint, first, monitor)
        if compile:
            self.pair.generator.compile()
        with ExitStack() as stack:
            stack.enter_context(memory_said(getattr(data.train, "bs", 1)))
            stack.enter_context(reused_memory())
            stack.enter_context(processes.sharing(data))
            if not (progress and is_main_process()):
                stack.enter_context(quiet(self.learn))
            self.learn.fit(training.epochs - done, training.rates[0], cbs=extra)
        if watch.error is not None:
            raise watch.error
        processes.wait()
        return self

    @property
    def available_metrics(self) -> list[str]:
        """Columns of the progress table of `fit`: what `monitor` can be."""
        return [metric.name for metric in self.learn.metrics]

    def lr_find(self) -> float:
        """Draw the loss over rising learning rates, and return the rate where it falls steepest.

        The weights stay as they are. In an adversarial game this is a rough guide: both networks
        get the rate, and the loss is the generator's.

        Raises:
            InvalidInputError: The model was loaded without data, or a launcher started several
                processes.
        """
        self._loaders()
        if launched() > 1:
            raise InvalidInputError(
                f"lr_find runs in one process, not in {launched()}; find the rate without the "
                "launcher, and give it to fit(lr=...)."
            )
        return float(self.learn.lr_find().valley)

    def _keepers(
        self, folder: Path, kind: CheckpointKind, first: int, monitor: str
    ) -> list[Callback]:
        def write_state(epochs: int) -> None:
            Checkpoint.of(self.learn, epochs, self._card().to_json()).write(folder)

        keeper = Keeper(write_state, self.save, folder, kind, self.history, first, monitor)
        return [HistoryFile(self.history, folder / "history.csv"), keeper]

    def _average(self, decay: float) -> None:
        """Average the generator's weights from now on, and translate with the average."""
        self.pair.average_with(decay).to(next(self.pair.parameters()).device)
        self.inference = Inference(
            self.pair.translating, self.card, self.stride, self.inference.radius
        )

    @classmethod
    def from_checkpoint(cls, folder: str | os.PathLike[str], data: DataLoaders) -> Self:
        """Return the model of the last checkpoint in a folder of `fit`, to be trained on.

        `fit(..., resume=True)` then goes on where it was.

        Args:
            folder: The `folder` of the training.
            data: Loaders of the same data.

        Raises:
            ModelFileError: There is no checkpoint, it is damaged, or that of other data or another
                class.
        """
        found = Checkpoint.newest(Path(folder))
        if found is None:
            raise ModelFileError(f"There is no checkpoint in {folder}; give the folder of a fit.")
        card = Card.from_json(found.facts["card"])
        if card.translator != cls.__name__:
            raise ModelFileError(
                f"The checkpoint in {folder} is that of a {card.translator}; load it with "
                f"{card.translator}.from_checkpoint."
            )
        model = cls(data, **card.options)
        model._resume(Path(folder))
        return model

    def _resume(self, folder: Path) -> int:
        """Put the model into the state of the last checkpoint; return the epochs that are done."""
        found = Checkpoint.newest(folder)
        if found is None:
            return 0
        card = Card.from_json(found.facts["card"])
        mine = self._card()
        other = [
            name
            for name, one, two in (
                ("translator", card.translator, mine.translator),
                ("arguments of the model", card.options, mine.options),
                ("data", card.data, mine.data),
            )
            if one != two
        ]
        if other:
            raise ModelFileError(
                f"The checkpoint in {folder} is that of another training: another "
                f"{' and another '.join(other)}. Give what it was begun with, or another folder."
            )
        if found.has_average and self.pair.average is None:
            self._average(0.0)
        found.restore(self.learn)
        self.history[:] = card.history
        return int(found.facts["epochs"])

    def show_results(self, rows: int = 2, rgb_bands: RgbBands | None = None) -> Any:
        """Draw source, translation and target of the first validation pairs; return the figure.

        Args:
            rows: How many pairs.
            rgb_bands: Three bands to draw as colours or one to draw in grey, by number from 1, on
                the sides that have them; by default the first three, or the first of fewer.

        Raises:
            InvalidInputError: The model was loaded without data, or no side has the bands.
        """
        dataset = self._loaders().valid_ds
        shown = [dataset[i] for i in range(min(rows, len(dataset)))]
        table = [
            (source, self.inference.scaled(source[None])[0], target) for source, target in shown
        ]
        titles = ("source", "translation", "target")
        sides = (self.card.source, self.card.target, self.card.target)
        return draw_table(table, titles, sides=sides, rgb_bands=rgb_bands)

    def plot_losses(self) -> Any:
        """Draw every column of the progress table over the epochs; return the figure.

        Raises:
            InvalidInputError: The model has not been trained.
        """
        if not self.history:
            raise InvalidInputError("There are no losses to plot yet; call fit first.")
        names = list(self.history[-1])
        figure, axes = subplots(1, len(names), figsize=(3 * len(names), 2.6))
        for axis, name in zip(np.ravel(axes), names, strict=True):
            losses = [row.get(name, np.nan) for row in self.history]
            axis.plot(range(1, len(losses) + 1), losses)
            axis.set(title=name, xlabel="epoch")
        figure.tight_layout()
        return figure

    def compute_metrics(
        self,
        metrics: Sequence[str] | None = None,
        *,
        data: DataLoaders | None = None,
        palette: Palette | None = None,
    ) -> Metrics:
        """Measure the translations of validation pairs against their targets.

        The answer is kept in `metrics` and saved with the model, unless it is of other data.

        Both are in the target's units, translations rounded and clipped to its dtype, over pixels
        valid on both sides. See `Errors`, `Structure`, `Spectra`, `ClassAgreement` and
        `Photographs` for what the measures are.

        Args:
            metrics: Names of measures; by default all that the target has, but not `lpips` and
                `fid`, whose networks have to be there: geotranslate downloads nothing.
            data: Loaders of `prepare_data`, to measure on their validation pairs; by default
                those of the training.
            palette: For a target that shows classes in colours, those of each class in all
                bands, in its units: pixels are then assigned to the nearest one, as they are to
                the nearest value where the target's values are classes.

        Returns:
            The measures by name, with `count`, the number of values compared, among them.

        Raises:
            InvalidInputError: The model was loaded without data and none is given, the data is
                unlike that of the training, the target has no such measure, or packages or
                weights are missing.
        """
        loaders = self._loaders() if data is None else data
        measures = Measures(self.card.target, metrics, palette)
        found = measure(self.inference, loaders, data_card(loaders), measures)
        if data is None:
            self.metrics = found
        return found

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the model into a folder: `model.safetensors` and `card.json`; return the folder.

        Raises:
            RasterFileError: The folder cannot be written.
        """
        folder = Path(path)
        save_model(folder, self._card(), self._weights())
        return folder

    def _card(self) -> Card:
        return Card(type(self).__name__, self.options, self.card, self.history, self.metrics)

    @classmethod
    def from_model(cls, path: str | os.PathLike[str]) -> Self:
        """Load a saved model to translate with; nothing in its files is run.

        Raises:
            ModelFileError: It is missing, damaged, no model of geotranslate or of another class.
        """
        card, weights = read_model(path)
        if card.translator != cls.__name__:
            raise ModelFileError(
                f"{path} is a {card.translator} model; load it with {card.translator}.from_model."
            )
        try:
            model = cls(card.data, **card.options)  # type: ignore[call-arg]
        except (TypeError, ValueError) as error:
            raise ModelFileError(
                f"The card of {path} does not describe a {cls.__name__} of this version: {error}. "
                "Save the model again."
            ) from error
        if any(name.startswith("average.") for name in weights):
            model._average(0.0)
        load_weights(model.pair, weights, path)
        model.history.extend(card.history)
        model.metrics = card.metrics
        model._folder = Path(path).absolute()
        return model

    def _weights(self) -> dict[str, Tensor]:
        return self.pair.state_dict()

    def saved_folder(self, digest: str) -> Path | None:
        """Return the folder that the model was loaded from, while it holds just this model.

        Args:
            digest: SHA-256 of the weights as they are now.
        """
        if self._folder is None or saved_sha256(self._folder) != digest:
            return None
        with suppress(ModelFileError):
            card = read_card(self._folder)
            if (card.options, card.data) == (self.options, self.card):
                return self._folder
        return None

    def _validation_l1(self) -> float:
        # The learner's loss is the plain L1; fastai has just averaged it.
        return float(self.learn.recorder.loss.value)

    def _loaders(self) -> DataLoaders:
        if self.data is None:
            raise InvalidInputError(
                "The model was loaded without data, to translate only; for training and "
                "measuring, make one from prepare_data."
            )
        return self.data


def data_card(data: DataLoaders | DataCard) -> DataCard:
    """Return the data card, bare or of loaders.

    Raises:
        InvalidInputError: The loaders are not from `prepare_data`.
    """
    card = data if isinstance(data, DataCard) else getattr(data, "card", None)
    if not isinstance(card, DataCard):
        raise InvalidInputError(
            f"data is {type(data).__name__} without a data card; give what prepare_data returns."
        )
    return card
