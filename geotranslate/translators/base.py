"""Base class of all translators, with training, measuring, saving and loading."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from fastai.data.core import DataLoaders
from torch import nn

from geotranslate.checks import folder_path
from geotranslate.chips.bands import DataCard, Direction
from geotranslate.data.loaders import Part, data_card, launched, own_device, validates_pairs
from geotranslate.data.plotting import RgbBands
from geotranslate.errors import InvalidInputError, ModelFileError
from geotranslate.interop.export import export
from geotranslate.interop.hub import from_pretrained, push_to_hub, save_pretrained
from geotranslate.interop.stacmodel import to_stac
from geotranslate.metrics import Metrics, Palette
from geotranslate.migration import checks_arguments
from geotranslate.networks.onehot import encoders
from geotranslate.networks.weightless import is_weightless
from geotranslate.prediction.inference import Inference, torch_inference
from geotranslate.prediction.predictor import Predictor, by_predictor
from geotranslate.prediction.workers import Loader
from geotranslate.report import report
from geotranslate.training.callbacks.gan import GANCallback
from geotranslate.training.callbacks.history import NEITHER
from geotranslate.training.callbacks.validation import ColumnsCallback, ValidationMetrics
from geotranslate.training.learner import AdversarialPair, make_learner
from geotranslate.training.objectives import Objective
from geotranslate.training.reproducibility import fit_context, restored
from geotranslate.training.start import fit_start, start_of
from geotranslate.translators.config import FitDefaults, TranslatorConfig
from geotranslate.translators.display import describe, draw_history, draw_pairs
from geotranslate.translators.loading import Device, load_checkpoint, load_saved
from geotranslate.translators.runs.fit import fit
from geotranslate.translators.runs.measuring import items_of, measure, part_of
from geotranslate.translators.runs.scene_evaluation import evaluate
from geotranslate.translators.saved_models import modelfolder
from geotranslate.translators.saved_models.card import Card

if TYPE_CHECKING:
    from typing_extensions import Self


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
        self.draws_anew = True
        """Whether the next training begins with random numbers from the seed."""
        self._folder: Path | None = None
        self._next: DataCard | None = None
        """Card of the next training, if the model was loaded with other data."""
        if not is_weightless(pair):
            self._place()
        found: list[Any] = [*checks]
        if objective is not None and pair.discriminator is not None:
            found.insert(0, GANCallback(pair.discriminator, objective, gan_after))
        if validates_pairs(data):
            found.append(ValidationMetrics(self.card.target))
        self.learn = make_learner(self.data, pair, found, self.history, defaults.betas)

    fit = fit
    evaluate = evaluate
    report = report
    export = export
    to_stac = to_stac
    save_pretrained = save_pretrained
    push_to_hub = push_to_hub
    from_pretrained = classmethod(from_pretrained)
    predict = by_predictor(Predictor.predict)
    predict_raster = by_predictor(Predictor.predict_raster)
    towards = by_predictor(Predictor.towards)

    @property
    def name(self) -> str:
        """Name of the class."""
        return type(self).__name__

    @checks_arguments
    def freeze(self) -> None:
        """Freeze the encoder of the generator, batch normalization aside, until `unfreeze`.

        Then only the decoder learns, which suits few pairs and a model that was loaded. The encoder
        consists of the layers that halve the image; in a coarse-to-fine generator, it is the coarse
        network. A model of both directions has two generators.
        """
        for network in encoders(self.pair.generator):
            network.freeze()

    @checks_arguments
    def unfreeze(self) -> None:
        """Unfreeze what `freeze` or `pretrained_path` has frozen."""
        for network in encoders(self.pair.generator):
            network.unfreeze()

    def _fit_start(self, progress: bool) -> None:
        if self.fits_start:
            fit_start(self.pair.generator, self._loaders(), self.card.seed, progress=progress)
            self.fits_start = False

    @property
    def available_metrics(self) -> list[str]:
        """Columns of the progress table that can be the `monitor` of `fit`."""
        return [metric.name for metric in self.learn.metrics if metric.name not in NEITHER]

    @checks_arguments
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

    @checks_arguments
    def show_results(
        self,
        rows: int | None = None,
        rgb_bands: RgbBands | None = None,
        *,
        data: DataLoaders | None = None,
        which: Part | None = None,
    ) -> Any:
        """Draw source, translation and target of the first pairs of a part; return the figure.

        Args:
            rows: Number of pairs, 2 by default; warns if there are fewer.
            rgb_bands: Three bands to draw as colors or one to draw in gray, by number from 1, on
                the sides that have them; by default the first three, or the first of fewer.
            data: Loaders whose pairs are drawn; by default the loaders of the training.
            which: Part of the data, as in `compute_metrics`.

        Raises:
            InvalidInputError: The model was loaded without data and none is given, `rows` is not a
                number of pairs, or no side has the bands.
        """
        pairs = items_of(self.card, self._loaders(data), self.data, which)
        return self._drawn(pairs, rows, rgb_bands)

    def _drawn(self, pairs: Any, rows: int | None, rgb_bands: RgbBands | None = None) -> Any:
        """Draw the first of some pairs; return the figure."""
        return draw_pairs(self.predictor, pairs, rows, rgb_bands)

    @checks_arguments
    def plot_losses(self) -> Any:
        """Draw every column of the progress table over the epochs; return the figure.

        Raises:
            InvalidInputError: The model has not been trained.
        """
        return draw_history(self.history)

    @checks_arguments
    def compute_metrics(
        self,
        metrics: Sequence[str] | None = None,
        *,
        data: DataLoaders | None = None,
        palette: Palette | None = None,
        direction: Direction = "AtoB",
        which: Part | None = None,
    ) -> Metrics:
        """Compare translations of pairs with their targets.

        Values are compared in the target's units at pixels where both are valid; translations are
        rounded and clipped to the target's dtype. See `Errors`, `Structure`, `Spectra`,
        `ClassAgreement` and `Photographs` for the measures. The result also contains
        `skill_over_constant` and, if the generator has a start, `skill_over_start`: 1 means no
        error, 0 the mean absolute error of the training median or the start, and negative values
        are worse.

        The result for the validation pairs of the training is kept in `metrics` and saved with the
        model until it is trained again.

        Args:
            metrics: Names of measures; by default all that the target has except `lpips` and `fid`,
                whose weights must be installed; geotranslate downloads nothing.
            data: Loaders whose pairs are measured; by default the loaders of the training.
            palette: Colors of the classes in all bands, in the target's units; pixels belong to
                the nearest one.
            direction: "BtoA" to compare translations of targets with sources, for models trained in
                both directions; this result is not kept.
            which: Part of the data: "train", "val", "test" or "all". By default "val" for the data
                of the training, else "all".

        Returns:
            The measures by name, and `count`, the number of values compared.

        Raises:
            InvalidInputError: The model was loaded without data and none is given, the data differs
                from the training data, the target has no such measure, or packages or weights are
                missing.
        """
        way = self.towards(direction)
        loaders = self._loaders(data)
        part = part_of(self.card, loaders, self.data, which)
        found = measure(way, loaders, metrics, palette, part)
        if data is None and part == "val" and way is self.predictor and self._next is None:
            self.metrics = found
        return found

    @checks_arguments
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
        return torch_inference(model.towards(direction).inference)

    def saved_card(self) -> Card:
        """Return the card that is saved with the weights."""
        return Card(
            self.name, asdict(self.config), self.card, self.history, self.metrics, self.baselines
        )

    @classmethod
    @checks_arguments
    def from_model(
        cls,
        path: str | os.PathLike[str],
        data: DataLoaders | None = None,
        device: Device | None = None,
    ) -> Self:
        """Load a saved model; no code from its files is executed.

        With `data`, the model can also be shown, measured and trained. It keeps its arguments and
        scalings, so `fit` is a fine-tuning from its weights, with a new optimizer. Unless the data
        is that of the former training, the history then begins anew.

        Args:
            path: Folder that `save` wrote, or the `card.json` in it.
            data: Loaders from `prepare_data`; None for a model that only translates.
            device: Device of torch, "cpu" or "cuda:1" for example; by default that of the data, or
                a GPU if there is one.

        Raises:
            InvalidInputError: `path` is not the path of a folder, there is no such device, or the
                data has other bands, dtypes or classes than the model.
            ModelFileError: The model is missing or damaged, was not saved by geotranslate, or has
                another class.
        """
        return load_saved(cls, path, data, device)

    def _describe(self, card: DataCard) -> None:
        """Give the model and its predictors the card of their training data."""
        self.card = card
        self._renew()

    def _go_on_with(self, card: DataCard) -> None:
        """Begin a training on other data than that of the former training."""
        self._describe(card)
        self._next, self.metrics, self.baselines = None, Metrics(), {}
        self.history.clear()

    def _place(self) -> None:
        """Move the networks to the device of the data."""
        device = own_device() if self.data is None else self.data.device
        # Convolutions are fastest with channels last.
        self.pair.to(device).to(memory_format=torch.channels_last)

    @classmethod
    @checks_arguments
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
        return load_checkpoint(cls, folder, data)

    def _average(self, decay: float | None) -> None:
        """Translate with an average of the generator's weights from now on; without one if None."""
        self.pair.average_with(decay)
        if not is_weightless(self.pair):
            self.pair.to(torch_inference(self.predictor.inference).device)
        self._renew()

    def _renew(self) -> None:
        """Give the predictors the network that translates."""
        now = torch_inference(self.predictor.inference)
        self.predictor.inference = now.renewed(self._network(), self.card)

    def _network(self) -> nn.Module:
        """Return the network that translates from source to target outside of training."""
        return self.pair.translating

    def _loaders(self, given: DataLoaders | None = None) -> DataLoaders:
        if given is not None:
            return given
        if self.data is None:
            raise InvalidInputError(
                "The model was loaded without data, to translate only; load it with data: "
                "from_model(path, data)."
            )
        return self.data
