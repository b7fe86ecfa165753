"""What is known of a model beside its networks: shown, measured and saved."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from fastai.data.core import DataLoaders
from fastai.torch_core import subplots
from torch import Tensor, nn

from geotranslate.checks import folder_path, whole_number
from geotranslate.chips.bands import DataCard, Direction
from geotranslate.data.launcher import own_device
from geotranslate.data.loaders import data_card, validates_pairs
from geotranslate.data.plotting import RgbBands, draw_table
from geotranslate.errors import InvalidInputError, ModelFileError, said
from geotranslate.metrics.measures import Measures, Palette
from geotranslate.metrics.scores import Metrics
from geotranslate.networks.backbone import BackboneUNet
from geotranslate.networks.weightless import (
    Shapes,
    computes_buffers,
    is_weightless,
    without_weights,
)
from geotranslate.prediction.inference import Inference
from geotranslate.prediction.predictor import Predictor
from geotranslate.schema import Fields, record
from geotranslate.training.adversarial_pair import AdversarialPair
from geotranslate.training.baselines import baseline_errors
from geotranslate.translators.card import (
    Card,
    SavedFolder,
    compare_weights,
    load_weights,
    read_card,
    save_model,
    saved_sha256,
)
from geotranslate.translators.description import describe
from geotranslate.translators.measuring import measure, validation_batches

if TYPE_CHECKING:
    from typing_extensions import Self


class Model(Predictor):
    """A predictor with its pair of networks, data and history: it can be measured and saved.

    Args:
        data: Loaders from `prepare_data`; a data card alone for a model that only translates.
        pair: The networks.
        stride: Factor by which the generator shrinks images inside, px.
        radius: How far it sees, px; None for the whole image.
        options: Arguments that rebuild the model from its card.
    """

    fields: ClassVar[Fields] = {}
    """The options of the class with their types and ranges."""

    def __init__(
        self,
        data: DataLoaders | DataCard,
        pair: AdversarialPair,
        stride: int,
        radius: int | None,
        options: dict[str, Any],
    ) -> None:
        self.data: DataLoaders | None = None if isinstance(data, DataCard) else data
        self.pair, self.options = pair, options
        super().__init__(self._network(), data_card(data), stride, radius)
        self.history: list[dict[str, float]] = []
        self.metrics = Metrics()
        self.baselines: dict[str, float] = {}
        """Mean absolute errors of simpler translations of the validation pairs, by name."""
        self._folder: Path | None = None
        if not is_weightless(pair):
            self._place()

    def __repr__(self) -> str:
        return str(describe(self._card(), self.pair))

    def _repr_html_(self) -> str:
        return describe(self._card(), self.pair)._repr_html_()

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
        if data is None and way is self:
            self.metrics = found
        return found

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the model into a folder: `model.safetensors` and `card.json`; return the folder.

        Raises:
            InvalidInputError: `path` is no path of a folder.
            RasterFileError: The folder cannot be written.
        """
        folder = folder_path("path", path)
        save_model(folder, self._card(), self._weights())
        return folder

    def _card(self) -> Card:
        return Card(
            type(self).__name__,
            self.options,
            self.card,
            self.history,
            self.metrics,
            self.baselines,
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

        Memory is taken for the networks once the weights are known to be theirs.

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
            options = record(cls.fields)("options", card.options)
            average = any(name.startswith("average.") for name in shapes)
            with without_weights():
                model = cls._made(data, options, average)
            compare_weights(model.pair, shapes, path)
            weights = read()
            if computes_buffers(model.pair):
                model = cls._made(data, options, average)
            load_weights(model.pair, weights, path)
            model._place()
            for module in model.pair.modules():
                if isinstance(module, BackboneUNet):
                    module.check_encoder()
        except InvalidInputError as error:
            raise ModelFileError(
                f"The card of {path} does not describe a {cls.__name__} of this version: "
                f"{said(error)}. Save the model again."
            ) from error
        return model

    @classmethod
    def _made(cls, data: DataLoaders | DataCard, options: dict[str, Any], average: bool) -> Self:
        model = cls(data, **options)  # type: ignore[call-arg]
        if average:
            model._average(0.0)
        return model

    def _place(self) -> None:
        """Bring the networks to the device of the data."""
        device = own_device() if self.data is None else self.data.device
        # Channels beside each other: what convolutions are fastest with.
        self.pair.to(device).to(memory_format=torch.channels_last)

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
            if not card.differences(self._card()):
                return self._folder
        return None

    def _average(self, decay: float | None) -> None:
        """Translate with an average of the generator's weights from now on; None for without."""
        self.pair.average_with(decay)
        if not is_weightless(self.pair):
            self.pair.to(self.inference.device)
        self.inference = Inference(self._network(), self.card, self.stride, self.inference.radius)

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
