"""Errors of validation pairs by the scene that they were cut from."""

from __future__ import annotations

import os
from typing import Any

import torch
from fastai.data.core import DataLoaders
from torch import Tensor

from geotranslate.chips.bands import Quantiles, Side
from geotranslate.chips.cardmaker import quantiles_of
from geotranslate.chips.scenes import scenes_of
from geotranslate.errors import GeotranslateError, warn
from geotranslate.metrics import Measures, Scores
from geotranslate.networks.features import feature_distance
from geotranslate.prediction.inference import torch_inference
from geotranslate.prediction.predictor import Predictor

MOST_SCENES, MOST_PAIRS = 32, 16
"""Most scenes, and most pairs of each, that are measured."""


def errors_by_scene(predictor: Predictor, loaders: DataLoaders) -> dict[str, Scores]:
    """Return the errors of validation pairs by scene, with the distances of the scenes.

    `mae` is the mean absolute error in the target's units, `distance` that of the scene's sources
    from the training data, and `features` that of their first features, see `Drift`. Empty unless
    the pairs are of several known scenes, and if the loaders have other scalings than the
    predictor.

    Args:
        predictor: Predictor from source to target.
        loaders: Loaders of pairs.
    """
    known, card = predictor.card.source.quantiles, getattr(loaders, "card", None)
    sides = (predictor.card.source, predictor.card.target)
    if known is None or card is None or (card.source, card.target) != sides:
        return {}
    dataset: Any = loaders.valid_ds
    chips = [pair.source for pair in dataset.pairs]
    try:
        names = scenes_of(chips)
    except GeotranslateError as error:
        warn(f"The errors of single scenes are not measured: {error}")
        return {}
    scenes = sorted({name for name in names if name is not None})[:MOST_SCENES]
    if len(scenes) < 2:
        return {}
    found = {}
    for scene in scenes:
        pairs = [i for i, name in enumerate(names) if name == scene]
        quantiles = quantiles_of([chips[i] for i in pairs])
        if quantiles is not None:
            measured = _measured(predictor, dataset, pairs)
            found[os.path.basename(scene)] = {
                "distance": _mean_distance(predictor.card.source, quantiles),
                **measured,
            }
    return found


def _mean_distance(known: Side, other: Quantiles) -> float:
    distances = known.distances(other) or (0.0,)
    return sum(distances) / len(distances)


def _measured(predictor: Predictor, dataset: Any, pairs: list[int]) -> Scores:
    """Return the error of some pairs, and the distance of their first features if it is known."""
    inference = torch_inference(predictor.inference)
    measures = Measures(predictor.card.target, ("mae",))
    count = min(len(pairs), MOST_PAIRS)
    sources = []
    for number in range(count):
        pair = dataset[pairs[number * len(pairs) // count]]
        source, truth = (side.as_subclass(Tensor)[None] for side in pair)
        measures.add(inference.scaled(source), truth)
        sources.append(source)
    images = torch.cat(sources).to(inference.device)
    features = feature_distance(inference.original, images, torch.ones_like(images[:, :1]))
    error = {"mae": measures.results()["mae"]}
    return error if features is None else error | {"features": features}
