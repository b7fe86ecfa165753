"""Base class of all translators, with training, measuring, saving and loading."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from torch import Tensor, nn

from geotranslate.checks import folder_path
from geotranslate.chips.bands import DataCard, Direction
from geotranslate.data.loaders import data_card, launched, own_device, validates_pairs
from geotranslate.data.plotting import RgbBands
from geotranslate.errors import InvalidInputError, ModelFileError
from geotranslate.metrics import Metrics, Palette
from geotranslate.networks.weightless import Shapes, is_weightless, shapes_of
from geotranslate.prediction.inference import Inference
from geotranslate.prediction.predictor import Predictor, by_predictor
from geotranslate.prediction.workers import Loader
from geotranslate.training.callbacks.gan import GANCallback
from geotranslate.training.callbacks.history import NEITHER
from geotranslate.training.callbacks.precision import TrainingPrecision
from geotranslate.training.callbacks.schedule import Schedule
from geotranslate.training.callbacks.trackers import CheckpointKind
from geotranslate.training.callbacks.validation import ColumnsCallback, ValidationMetrics
from geotranslate.training.fitting import FitOptions
from geotranslate.training.learner import AdversarialPair, make_learner
from geotranslate.training.objectives import Objective
from geotranslate.training.reproducibility import fit_context, restored
from geotranslate.training.start import fit_start, start_of
from geotranslate.translators import modelfolder
from geotranslate.translators.card import Card
from geotranslate.translators.config import FitDefaults, TranslatorConfig
from geotranslate.translators.display import describe, draw_history, draw_pairs
from geotranslate.translators.measuring import measure
from geotranslate.translators.trainingrun import checkpoint_in, resume_from, run

if TYPE_CHECKING:
    from typing_extensions import Self

WITHOUT_DATA = (
    "The model was loaded without data, to translate only; for training and measuring, make one "
    "from prepare_data."
)


class Translator:
    """Base class of models that translate rasters and can be trained, measured and saved.

    A translator has a `Predictor`, which translates; a fastai `Learner`, public as `learn`, which
    trains; and the card of its data. Subclasses build the networks and their objective.

    Args:
        data: Loaders from `prepare_data`, or a data card for a model that only translates.
        pair: The networks.
        config: Arguments that rebuild the translator.
        objective: Losses of the networks; None to train with the L1 loss alone.
        checks: Additional callbacks with columns of the progress table.
        gan_after: Share of the training after which the discriminator is used.
        defaults: Defaults of `fit`, and the betas of Adam.
    """

    config_class: ClassVar[type[TranslatorConfig]]
    """Class of the configuration."""

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
        """Mean absolute errors of baselines on the validation pairs, by name."""
        self.fits_start = start_of(pair.generator) is not None
        """Whether the start has to be fitted before the first step."""
        self._folder: Path | None = None
        if not is_weightless(pair):
            self._place()
        found: list[Any] = [*checks]
        if objective is not None and pair.discriminator is not None:
            found.insert(0, GANCallback(pair.discriminator, objective, gan_after))
        if validates_pairs(data):
            found.append(ValidationMetrics(self.card.target))
        self.learn = make_learner(self.data, pair, found, self.history, defaults.betas)

    predict = by_predictor(Predictor.predict)
    predict_raster = by_predictor(Predictor.predict_raster)
    towards = by_predictor(Predictor.towards)

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
        decay_epochs: int | None = None,
        warmup: float | None = None,
        betas: tuple[float, float] | None = None,
        weight_decay: float = 0.0,
        early_stopping: bool | int = False,
        checkpoint: CheckpointKind = True,
        monitor: str | None = None,
        precision: TrainingPrecision = "auto",
        accumulate: int = 1,
        clip: float | None = None,
        ema: float | None = None,
        compile: bool = False,
        sample_every: int = 0,
        sample_pairs: int | Sequence[int] = 2,
        sample_random: bool = False,
        log_every: int = 0,
        tensorboard: bool = False,
        wandb: bool = False,
        callbacks: Sequence[Callback] = (),
        folder: str | os.PathLike[str] = "training",
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Train for a number of epochs and return the model.

        Shows a progress bar and, for each epoch, a row of losses and metrics, which `history`
        keeps. Another call continues with the same weights and optimizer state.

        If `accelerate launch` or `torchrun` starts several processes, they train together: each
        process uses its own GPU, or the CPU, and its share of the pairs, and gradients are
        averaged. Every process measures all validation pairs; only the first writes and shows.

        Args:
            epochs: Passes over the training pairs.
            lr: Learning rate, or a pair of rates for generator and discriminator; by default set by
                the recipe or the paper (2e-4).
            schedule: "constant", "linear_decay" to 0 over the second half, "cosine" to 0 after a
                short warm-up, "one_cycle", or "step", to a tenth after each quarter; by default set
                by the recipe or the paper. A scheduler of `lr` in `callbacks` replaces it.
            decay_epochs: Last epochs of "linear_decay" or "cosine", in which the rate falls;
                before, it is constant. For "step", the epochs between its falls.
            warmup: First epochs, in which the rate rises to `lr`; by default the schedule's own.
            betas: Decays of Adam's means of the gradients and of their squares; by default set by
                the recipe or the paper, (0.5, 0.999).
            weight_decay: Share of the weights, times the learning rate, by which each step shrinks
                them, as in AdamW; not for biases and normalizations.
            early_stopping: True to stop if `monitor` has not improved for 5 epochs, or that number
                of epochs.
            checkpoint: True keeps in `folder` everything that `resume` needs (`last.safetensors`
                and the previous one) and the best model by `monitor` (`best`); "all" also keeps the
                model of every epoch; a number n keeps the model of every n-th epoch; False keeps
                nothing.
            monitor: One of `available_metrics`; by default `valid_l1`, or without validation pairs
                the cycle error `valid_cycle`.
            precision: "float32", "bfloat16", "float16" with scaled gradients, or "auto" for the
                fastest one that the hardware supports.
            accumulate: Number of batches per optimizer step; the last step of an epoch may have
                fewer.
            clip: Largest norm of the generator's gradients.
            ema: Decay of the exponential moving average of the generator's weights, which is used
                for translation and validation and is saved with the generator. 0 turns it off and
                drops an existing average. By default the decay of the previous training, if any,
                else the recipe's or 0.999.
            compile: Whether to compile the generator first (torch.compile), which takes a minute.
            sample_every: Epochs between pictures of validation pairs in `folder/samples`; 0 for
                none.
            sample_pairs: Number of pairs in a picture, the first ones, or a list of their places
                in `data.valid_ds`, from 0.
            sample_random: Whether each picture shows other pairs, drawn at random.
            log_every: Steps between rows of `folder/steps.csv`, which has the learning rates and
                all losses of single steps; 0 for no such file.
            tensorboard: Whether to log for TensorBoard in `folder/tensorboard`.
            wandb: Whether to log to Weights & Biases by fastai's callback: to the current run, or
                to a new one in the project "geotranslate".
            callbacks: Additional fastai callbacks, used in every process.
            folder: Folder for checkpoints, `history.csv`, pictures and logs; only one training can
                use it at a time.
            resume: Whether to continue an interrupted training in `folder`; the result is the same
                as without the interruption. Starts from the beginning if there is no checkpoint.
            progress: Whether to show the bar and the rows.

        Raises:
            InvalidInputError: The model was loaded without data, an argument is invalid, or a batch
                does not fit in memory.
            MissingPackageError: Accelerate, TensorBoard or wandb is needed and not installed.
            RasterFileError: Nothing can be written to `folder`, or another training writes to it.
            ModelFileError: The checkpoint belongs to another model, data or batches, or is damaged.
            TrainingError: Losses or weights are not finite, or the generator cannot be compiled.
        """
        data = self._loaders()
        options = FitOptions(
            epochs=epochs,
            lr=self.fit_defaults.lr if lr is None else lr,
            schedule=self.fit_defaults.schedule if schedule is None else schedule,
            decay_epochs=decay_epochs,
            warmup=warmup,
            betas=self.fit_defaults.betas if betas is None else betas,
            weight_decay=weight_decay,
            early_stopping=early_stopping,
            checkpoint=checkpoint,
            monitor=self.fit_defaults.monitor if monitor is None else monitor,
            precision=precision,
            accumulate=accumulate,
            clip=clip,
            ema=ema,
            compile=compile,
            sample_every=sample_every,
            sample_pairs=sample_pairs,
            sample_random=sample_random,
            log_every=log_every,
            tensorboard=tensorboard,
            wandb=wandb,
            callbacks=callbacks,
            folder=folder_path("folder", folder),
            resume=resume,
            progress=progress,
        )
        options.check_model(self.learn, self.available_metrics)
        options.check_samples(len(data.valid_ds))
        run(self, data, options)
        return self

    def _fit_start(self, progress: bool) -> None:
        if self.fits_start:
            fit_start(self.pair.generator, self._loaders(), self.card.seed, progress=progress)
            self.fits_start = False

    @property
    def available_metrics(self) -> list[str]:
        """Columns of the progress table that can be the `monitor` of `fit`."""
        return [metric.name for metric in self.learn.metrics if metric.name not in NEITHER]

    def lr_find(self) -> float:
        """Plot the loss over increasing learning rates and return the rate of steepest descent.

        The weights do not change, even if it is interrupted. In adversarial training the result is
        a rough guide: both networks use the rate, and the loss is the generator's.

        Raises:
            InvalidInputError: The model was loaded without data, a launcher started several
                processes, or a batch does not fit in memory.
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
            rows: Number of pairs.
            rgb_bands: Three bands to draw as colors or one to draw in gray, by number from 1, on
                the sides that have them; by default the first three, or the first of fewer.

        Raises:
            InvalidInputError: The model was loaded without data, `rows` is not a number of pairs,
                or no side has the bands.
        """
        return self._drawn(self._loaders().valid_ds, rows, rgb_bands)

    def _drawn(self, pairs: Any, rows: int, rgb_bands: RgbBands | None = None) -> Any:
        """Draw the first of some pairs; return the figure."""
        return draw_pairs(self.predictor, pairs, rows, rgb_bands)

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
        """Compare translations of the validation pairs with their targets.

        Values are compared in the target's units at pixels where both are valid; translations are
        rounded and clipped to the target's dtype. See `Errors`, `Structure`, `Spectra`,
        `ClassAgreement` and `Photographs` for the measures. The result also contains
        `skill_over_constant` and, if the generator has a start, `skill_over_start`: 1 means no
        error, 0 the mean absolute error of the training median or the start, and negative values
        are worse.

        Unless `data` is given, the result is kept in `metrics` and saved with the model until it is
        trained again.

        Args:
            metrics: Names of measures; by default all that the target has except `lpips` and `fid`,
                whose weights must be installed; geotranslate downloads nothing.
            data: Loaders whose validation pairs are measured; by default the loaders of the
                training.
            palette: Colors of the classes in all bands, in the target's units; pixels belong to
                the nearest one.
            direction: "BtoA" to compare translations of targets with sources, for models trained in
                both directions; this result is not kept.

        Returns:
            The measures by name, and `count`, the number of values compared.

        Raises:
            InvalidInputError: The model was loaded without data and none is given, the data differs
                from the training data, the target has no such measure, or packages or weights are
                missing.
        """
        way = self.towards(direction)
        found = measure(way, self._loaders() if data is None else data, metrics, palette)
        if data is None and way is self.predictor:
            self.metrics = found
        return found

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Save the model as `model.safetensors` and `card.json` in a folder and return the folder.

        Raises:
            InvalidInputError: `path` is not the path of a folder.
            RasterFileError: The folder cannot be written.
        """
        folder = folder_path("path", path)
        modelfolder.save_model(folder, self.saved_card(), self.pair.state_dict())
        return folder

    def digest(self) -> str:
        """Return the SHA-256 of the weights, as in the `card.json` of a saved model."""
        return modelfolder.weights_sha256(self.pair.state_dict())

    def saved_folder(self, digest: str) -> Path | None:
        """Return the folder that the model was loaded from, if it still holds the same model."""
        known = self._folder is not None and modelfolder.holds(
            self._folder, digest, self.saved_card()
        )
        return self._folder if known else None

    @property
    def loader(self) -> Loader:
        """Function by which workers load the model."""
        return self.load_inference

    @classmethod
    def load_inference(cls, folder: Path, digest: str, direction: Direction) -> Inference:
        """Return the inference of a saved model whose weights have the digest.

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
        """Load a saved model for translation; no code from its files is executed.

        Raises:
            InvalidInputError: `path` is not the path of a folder.
            ModelFileError: The model is missing or damaged, was not saved by geotranslate, or has
                another class.
        """
        saved = modelfolder.SavedFolder.open(path)
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
        """Rebuild a model from its card and saved weights; see `with_weights`."""
        average = any(name.startswith("average.") for name in shapes)
        make: Callable[[], Self] = partial(cls._made, data, card, average)
        model = modelfolder.with_weights(make, shapes, read, path)
        model._place()
        return model

    @classmethod
    def _made(cls, data: DataLoaders | DataCard, card: Card, average: bool) -> Self:
        model = cls(data, **asdict(cls.config_class.from_card(card.options)))
        if average:
            model._average(0.0)
        return model

    def _place(self) -> None:
        """Move the networks to the device of the data."""
        device = own_device() if self.data is None else self.data.device
        # Convolutions are fastest with channels last.
        self.pair.to(device).to(memory_format=torch.channels_last)

    @classmethod
    def from_checkpoint(cls, folder: str | os.PathLike[str], data: DataLoaders) -> Self:
        """Load the last checkpoint from a folder of `fit`, to continue training.

        `fit(..., resume=True)` then continues the interrupted training; without `resume`, a new
        training begins, which may use other batches and augmentation.

        Args:
            folder: The `folder` of the training.
            data: Loaders of the same data.

        Raises:
            ModelFileError: There is no checkpoint, it is damaged, or it belongs to other data or
                another class.
        """
        path = folder_path("folder", folder)
        data_card(data)
        card, weights = checkpoint_in(path, cls.__name__, cls.config_class)
        model = cls._rebuilt(data, card, shapes_of(weights), lambda: weights, folder)
        resume_from(model, path, as_begun=False)
        return model

    def _average(self, decay: float | None) -> None:
        """Translate with an average of the generator's weights from now on; without one if None."""
        self.pair.average_with(decay)
        if not is_weightless(self.pair):
            self.pair.to(self.predictor.inference.device)
        self._renew()

    def _renew(self) -> None:
        """Give the predictors the network that translates."""
        self.predictor.renew(self._network())

    def _network(self) -> nn.Module:
        """Return the network that translates from source to target outside of training."""
        return self.pair.translating

    def _loaders(self) -> DataLoaders:
        if self.data is None:
            raise InvalidInputError(WITHOUT_DATA)
        return self.data
