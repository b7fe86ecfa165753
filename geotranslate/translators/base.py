"""What every translator can do: train, show, measure and save."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import partial
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
from fastai.optimizer import OptimWrapper
from fastai.torch_core import default_device, subplots
from torch import Tensor

from geotranslate.checks import number, whole_number
from geotranslate.chips.datacard import DataCard
from geotranslate.errors import InvalidInputError, ModelFileError
from geotranslate.training.adversary import AdversarialPair
from geotranslate.training.callbacks import History
from geotranslate.training.losses import masked_l1
from geotranslate.training.metrics.measures import Measures, Palette, epoch_metrics
from geotranslate.training.metrics.report import Metrics
from geotranslate.training.tensors import RgbBands, draw_table
from geotranslate.translators.card import (
    Card,
    load_weights,
    read_card,
    read_model,
    save_model,
    saved_sha256,
)
from geotranslate.translators.measuring import measure
from geotranslate.translators.prediction import Predictor

if TYPE_CHECKING:
    from typing_extensions import Self

LEARNING_RATE = 2e-4
BETAS = (0.5, 0.999)


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
        self._folder: Path | None = None
        pair.to(default_device() if self.data is None else self.data.device)
        self.learn = Learner(
            DataLoaders() if self.data is None else self.data,
            pair,
            loss_func=masked_l1,
            lr=LEARNING_RATE,
            # fastai's own Adam has other defaults and a Python loop over the parameters.
            opt_func=partial(OptimWrapper, opt=torch.optim.Adam, betas=BETAS, fused=True),
            splitter=AdversarialPair.parameter_groups,
            moms=(BETAS[0],) * 3,
            metrics=[*metrics, ValueMetric(self._validation_l1, "valid_l1")],
            cbs=[*callbacks, History(self.history)],
            # Not beside the chips, which belong to the user.
            path=Path(),
        )

    def fit(self, epochs: int = 10, lr: float | None = None, *, progress: bool = True) -> Self:
        """Train for so many passes over the training pairs and return the model.

        Shows a progress bar and a row of losses per epoch, which `history` keeps. Called again,
        it goes on with the same weights and optimizer state.

        Args:
            epochs: Passes over the training pairs.
            lr: Learning rate of both networks; 2e-4 by default.
            progress: Whether to show the bar and the rows.

        Raises:
            InvalidInputError: The model was loaded without data, `epochs` is below 1 or `lr` is not
                above 0.
        """
        self._loaders()
        whole_number("epochs", epochs, 1)
        rate = LEARNING_RATE if lr is None else number("lr", lr, above=0)
        with ExitStack() as quiet:
            if not progress:
                quiet.enter_context(self.learn.no_bar())
                quiet.enter_context(self.learn.no_logging())
            self.learn.fit(epochs, rate)
        return self

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

    @property
    def available_metrics(self) -> list[str]:
        """Names of what is worth following while `fit` runs: `valid_l1` and the epoch's measures.

        They are those of `ValidationMeasures`.
        """
        return ["valid_l1", *epoch_metrics(self.card.target)]

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the model into a folder: `model.safetensors` and `card.json`; return the folder.

        Raises:
            RasterFileError: The folder cannot be written.
        """
        folder = Path(path)
        card = Card(type(self).__name__, self.options, self.card, self.history, self.metrics)
        save_model(folder, card, self._weights())
        return folder

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
