"""Models rebuilt from saved folders and from checkpoints."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from fastai.data.core import DataLoaders
from torch import Tensor

from geotranslate.checks import folder_path
from geotranslate.chips.bands import DataCard
from geotranslate.data import data_card
from geotranslate.data.loaders import checked_device
from geotranslate.errors import InvalidInputError, ModelFileError
from geotranslate.networks.weightless import Shapes, shapes_of
from geotranslate.translators.runs.measuring import in_scalings_of
from geotranslate.translators.runs.trainingrun import checkpoint_in, resume_from
from geotranslate.translators.saved_models.card import Card
from geotranslate.translators.saved_models.modelfolder import SavedFolder, with_weights

Device = str | torch.device


def load_saved(
    kind: Any, path: str | os.PathLike[str], data: DataLoaders | None, device: Device | None
) -> Any:
    """Load a saved model of a class, see `Translator.from_model`."""
    place = checked_device("device", device)
    if place is not None and data is not None:
        raise InvalidInputError(
            f"device is {device}, but the data says where the model is; give device to "
            "prepare_data, or load the model without data."
        )
    saved = SavedFolder.open(path)
    card = saved.card
    if card.translator != kind.__name__:
        raise ModelFileError(
            f"{path} is a {card.translator} model; load it with {card.translator}.from_model."
        )
    given = card.data if data is None else in_scalings_of(card.data, data)
    model = _rebuilt(kind, given, card, saved.shapes(), saved.weights, path)
    if place is not None:
        model.pair.to(place)
    model.history.extend(card.history)
    model.metrics, model.baselines = card.metrics, dict(card.baselines)
    model._folder = Path(path).absolute()
    # Cards of earlier versions have no footprint.
    if replace(model.card, footprint=card.data.footprint).to_json() != card.data.to_json():
        # The saved card describes the model until it is trained on the new data.
        model._next = model.card
        model._describe(card.data)
    return model


def load_checkpoint(kind: Any, folder: str | os.PathLike[str], data: DataLoaders) -> Any:
    """Load the last checkpoint of a class, see `Translator.from_checkpoint`."""
    path = folder_path("folder", folder)
    data_card(data)
    card, weights = checkpoint_in(path, kind.__name__, kind.config_class)
    model = _rebuilt(kind, data, card, shapes_of(weights), lambda: weights, folder)
    resume_from(model, path, as_begun=False)
    model.draws_anew = False
    return model


def _rebuilt(
    kind: Any,
    data: DataLoaders | DataCard,
    card: Card,
    shapes: Shapes,
    read: Callable[[], dict[str, Tensor]],
    path: object,
) -> Any:
    """Rebuild a model from its card and saved weights; see `with_weights`."""
    average = any(name.startswith("average.") for name in shapes)
    make = partial(_made, kind, data, card, average=average)
    model = with_weights(make, shapes, read, path)
    model._place()
    return model


def _made(kind: Any, data: DataLoaders | DataCard, card: Card, *, average: bool) -> Any:
    model = kind(data, **asdict(kind.config_class.from_card(card.options)))
    if average:
        model._average(0.0)
    return model
