"""The base of all translators: networks that are trained, measured, saved and that translate."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, ParamSpec, TypeVar

import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from torch import Tensor, nn

from geotranslate.checks import folder_path, whole_number
from geotranslate.chips.bands import DataCard, Direction
from geotranslate.data import (
    RgbBands,
    data_card,
    draw_table,
    is_main_process,
    launched,
    own_device,
    validates_pairs,
)
from geotranslate.errors import InvalidInputError, ModelFileError, said
from geotranslate.metrics import Measures, Metrics, Palette
from geotranslate.networks.weightless import (
    Shapes,
    is_weightless,
    shapes_of,
)
from geotranslate.prediction.inference import Inference
from geotranslate.prediction.predictor import Predictor
from geotranslate.prediction.workers import Loader
from geotranslate.training.adversarial_pair import AdversarialPair
from geotranslate.training.baselines import START, baseline_errors, start_of
from geotranslate.training.callbacks import (
    NEITHER,
    CheckpointKind,
    ColumnsCallback,
    Diagnostics,
    EMACallback,
    GANCallback,
    Schedule,
    StartRow,
    TrainingPrecision,
    ValidationMetrics,
)
from geotranslate.training.checkpoints import Checkpoint
from geotranslate.training.contexts import compiled, fit_context, memory_errors, restored
from geotranslate.training.distributed import Processes
from geotranslate.training.fitting import FitOptions
from geotranslate.training.learner import make_learner
from geotranslate.training.objectives import Objective
from geotranslate.training.run_folder import sole_training
from geotranslate.training.start import fit_start
from geotranslate.translators.card import Card, card_in
from geotranslate.translators.config import FitDefaults, TranslatorConfig
from geotranslate.translators.display import describe, draw_history
from geotranslate.translators.measuring import measure, validation_batches
from geotranslate.translators.modelfolder import (
    SavedFolder,
    read_card,
    save_model,
    saved_sha256,
    weights_sha256,
    with_weights,
)
from geotranslate.translators.recording import recorders

if TYPE_CHECKING:
    from typing_extensions import Self

P = ParamSpec("P")
R = TypeVar("R")


def _by_predictor(
    method: Callable[Concatenate[Predictor, P], R],
) -> Callable[Concatenate[Translator, P], R]:
    """Return a method of translators that their predictor carries out."""

    @functools.wraps(method)
    def call(translator: Translator, /, *args: P.args, **options: P.kwargs) -> R:
        return method(translator.predictor, *args, **options)

    return call


class Translator:
    """A model that is trained, measured and saved, and that translates.

    It has a `Predictor`, which translates; a fastai `Learner`, which trains and is public as
    `learn`; and the card of its data. Subclasses build the networks and their objective.

    Args:
        data: Loaders from `prepare_data`; a data card alone for a model that only translates.
        pair: The networks.
        config: Arguments that rebuild the translator.
        objective: Losses of the networks; None to train by the L1 alone.
        checks: Callbacks that measure the validation chips, beside the measures of pairs; each has
            `columns` of the progress table.
        gan_after: Share of a training before which the discriminator rests.
        defaults: Defaults of `fit`, and the betas of Adam.
    """

    config_class: ClassVar[type[TranslatorConfig]]
    """The class of its configuration."""

    def __init__(
        self,
        data: DataLoaders | DataCard,
        pair: AdversarialPair,
        config: TranslatorConfig,
        *,
        objective: Objective | None,
        checks: Sequence[ColumnsCallback] = (),
        gan_after: float = 0.0,
        defaults: FitDefaults = FitDefaults(),
    ) -> None:
        self.data: DataLoaders | None = None if isinstance(data, DataCard) else data
        self.card = data_card(data)
        self.pair, self.config, self.fit_defaults = pair, config, defaults
        network: Any = self._network()
        inference = Inference(network, self.card, network.stride, network.radius)
        self.predictor = Predictor(inference, self)
        self.history: list[dict[str, float]] = []
        self.metrics = Metrics()
        self.baselines: dict[str, float] = {}
        """Mean absolute errors of simpler translations of the validation pairs, by name."""
        self.fits_start = start_of(pair.generator) is not None
        """Whether the start is fitted before the first step."""
        self._folder: Path | None = None
        if not is_weightless(pair):
            self._place()
        found: list[Any] = [*checks]
        if objective is not None and pair.discriminator is not None:
            found.insert(0, GANCallback(pair.discriminator, objective, gan_after))
        if validates_pairs(data):
            found.append(ValidationMetrics(self.card.target))
        self.learn = make_learner(self.data, pair, found, self.history, defaults.betas)

    predict = _by_predictor(Predictor.predict)
    predict_raster = _by_predictor(Predictor.predict_raster)
    towards = _by_predictor(Predictor.towards)

    @property
    def name(self) -> str:
        """Name of the class."""
        return type(self).__name__

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
            lr=self.fit_defaults.lr if lr is None else lr,
            schedule=self.fit_defaults.schedule if schedule is None else schedule,
            early_stopping=early_stopping,
            checkpoint=checkpoint,
            monitor=self.fit_defaults.monitor if monitor is None else monitor,
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
        with fit_context(self.learn, extra, progress), processes.sharing(data), faster:
            self.learn.fit(options.epochs - done, options.rates(self.learn)[0], cbs=extra)
        if diagnostics.error is not None:
            raise diagnostics.error

    def _ema_callbacks(self, decay: float | None) -> list[Callback]:
        """Start, continue or drop the average of the weights, None for the one there is."""
        if decay is None:
            decay = self.pair.decay if self.history else self.fit_defaults.ema
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
        with memory_errors(data.valid.bs):
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
        with fit_context(self.learn), restored(self.learn):
            return float(self.learn.lr_find().valley)

    def __repr__(self) -> str:
        return str(describe(self.saved_card(), self.pair))

    def _repr_html_(self) -> str:
        return describe(self.saved_card(), self.pair)._repr_html_()

    def show_results(self, rows: int = 2, rgb_bands: RgbBands | None = None) -> Any:
        """Draw source, translation and target of the first validation pairs; return the figure.

        Args:
            rows: How many pairs.
            rgb_bands: Three bands to draw as colours or one to draw in grey, by number from 1, on
                the sides that have them; by default the first three, or the first of fewer.

        Raises:
            InvalidInputError: The model was loaded without data, `rows` is no number of pairs, or
                no side has the bands.
        """
        dataset = self._loaders().valid_ds
        shown = [dataset[i] for i in range(min(whole_number("rows", rows, 1), len(dataset)))]
        translate = self.predictor.inference.scaled
        table = [(source, translate(source[None])[0], target) for source, target in shown]
        titles = ("source", "translation", "target")
        sides = (self.card.source, self.card.target, self.card.target)
        return draw_table(table, titles, sides=sides, rgb_bands=rgb_bands)

    def plot_losses(self) -> Any:
        """Draw every column of the progress table over the epochs; return the figure.

        Raises:
            InvalidInputError: The model has not been trained.
        """
        return draw_history(self.history)

    def compute_metrics(
        self,
        metrics: Sequence[str] | None = None,
        *,
        data: DataLoaders | None = None,
        palette: Palette | None = None,
        direction: Direction = "AtoB",
    ) -> Metrics:
        """Measure the translations of validation pairs against their targets.

        Beside the measures stand `skill_over_constant` and, where the generator has a start,
        `skill_over_start`: 1 for no error, 0 for the mean absolute error of the training median or
        of the start, less than 0 where the model is worse.

        The answer is kept in `metrics` and saved with the model, unless it is of other data, until
        the model is trained on.

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
            direction: "BtoA" to translate the targets and compare with the sources, by models
                that were trained to; that answer is not kept.

        Returns:
            The measures by name, with `count`, the number of values compared, among them.

        Raises:
            InvalidInputError: The model was loaded without data and none is given, the data is
                unlike that of the training, the target has no such measure, or packages or
                weights are missing.
        """
        way = self.towards(direction)
        loaders = self._loaders() if data is None else data
        if not validates_pairs(loaders):
            raise InvalidInputError(
                "The data is unpaired: its validation chips have no targets to be compared with. "
                "Give loaders of pairs."
            )
        measures = Measures(way.card.target, metrics, palette)
        found = measure(way.inference, loaders, measures, direction)
        if "mae" in found and way.card.target.classes is None:
            batches = validation_batches(way.card, loaders, direction)
            found = found.over(baseline_errors(batches, way.card.target, way.inference.generator))
        if data is None and way is self.predictor:
            self.metrics = found
        return found

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the model into a folder: `model.safetensors` and `card.json`; return the folder.

        Raises:
            InvalidInputError: `path` is no path of a folder.
            RasterFileError: The folder cannot be written.
        """
        folder = folder_path("path", path)
        save_model(folder, self.saved_card(), self._weights())
        return folder

    def digest(self) -> str:
        """Return the SHA-256 of the weights, as it stands in the `card.json` of a saved model."""
        return weights_sha256(self._weights())

    def saved_folder(self, digest: str) -> Path | None:
        """Return the folder that the model was loaded from, while it holds just this model.

        Args:
            digest: SHA-256 of the weights as they are now.
        """
        if self._folder is None or saved_sha256(self._folder) != digest:
            return None
        with suppress(ModelFileError):
            card = read_card(self._folder)
            if not card.differences(self.saved_card()):
                return self._folder
        return None

    @property
    def loader(self) -> Loader:
        """A function that workers load the model by."""
        return self.load_inference

    @classmethod
    def load_inference(cls, folder: Path, digest: str, direction: Direction) -> Inference:
        """Load what a saved model translates with.

        Args:
            folder: Where it is.
            digest: SHA-256 of its weights.
            direction: From source to target, or back.

        Raises:
            ModelFileError: The folder cannot be read, or holds other weights.
        """
        model = cls.from_model(folder)
        if model.digest() != digest:
            raise ModelFileError(
                f"The model {folder} was renewed while a scene was translated with it; start again."
            )
        return model.towards(direction).inference

    def saved_card(self) -> Card:
        """Return the card that is saved with the weights."""
        return Card(
            self.name, asdict(self.config), self.card, self.history, self.metrics, self.baselines
        )

    @classmethod
    def from_model(cls, path: str | os.PathLike[str]) -> Self:
        """Load a saved model to translate with; nothing in its files is run.

        Raises:
            InvalidInputError: `path` is no path of a folder.
            ModelFileError: It is missing, damaged, no model of geotranslate or of another class.
        """
        saved = SavedFolder.open(path)
        card = saved.card
        if card.translator != cls.__name__:
            raise ModelFileError(
                f"{path} is a {card.translator} model; load it with {card.translator}.from_model."
            )
        model = cls._rebuilt(card.data, card, saved.shapes(), saved.weights, path)
        model.history.extend(card.history)
        model.metrics, model.baselines = card.metrics, dict(card.baselines)
        model._folder = Path(path).absolute()
        return model

    @classmethod
    def _rebuilt(
        cls,
        data: DataLoaders | DataCard,
        card: Card,
        shapes: Shapes,
        read: Callable[[], dict[str, Tensor]],
        path: object,
    ) -> Self:
        """Return the model of a card with saved weights.

        Args:
            data: Loaders or the data card that it is made for.
            card: What it was.
            shapes: Those of the weights.
            read: Returns the weights.
            path: What the card is of, for sentences.

        Raises:
            ModelFileError: The card does not describe such a model, or the weights are of another.
        """
        try:
            config = cls.config_class.from_card(card.options)
            average = any(name.startswith("average.") for name in shapes)
            model = with_weights(lambda: cls._made(data, config, average), shapes, read, path)
        except InvalidInputError as error:
            raise ModelFileError(
                f"The card of {path} does not describe a {cls.__name__} of this version: "
                f"{said(error)}. Save the model again."
            ) from error
        model._place()
        return model

    @classmethod
    def _made(cls, data: DataLoaders | DataCard, config: TranslatorConfig, average: bool) -> Self:
        model = cls(data, **asdict(config))
        if average:
            model._average(0.0)
        return model

    def _place(self) -> None:
        """Bring the networks to the device of the data."""
        device = own_device() if self.data is None else self.data.device
        # Channels beside each other: what convolutions are fastest with.
        self.pair.to(device).to(memory_format=torch.channels_last)

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
        card = card_in(found.facts, path, cls.__name__, cls.config_class)
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
        card = card_in(found.facts, folder, self.name, self.config_class)
        other = card.differences(self.saved_card())
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

    def _weights(self) -> dict[str, Tensor]:
        return self.pair.state_dict()

    def _average(self, decay: float | None) -> None:
        """Translate with an average of the generator's weights from now on; None for without."""
        self.pair.average_with(decay)
        if not is_weightless(self.pair):
            self.pair.to(self.predictor.inference.device)
        self._renew()

    def _renew(self) -> None:
        """Tell the predictors which networks translate."""
        self.predictor.renew(self._network())

    def _network(self) -> nn.Module:
        """Return what translates from source to target outside of training."""
        return self.pair.translating

    def _loaders(self) -> DataLoaders:
        if self.data is None:
            raise InvalidInputError(
                "The model was loaded without data, to translate only; for training and "
                "measuring, make one from prepare_data."
            )
        return self.data
