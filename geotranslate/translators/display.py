"""Description of a model as text and as a table in notebooks; figures of losses and results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from fastai.torch_core import subplots
from torch import Tensor, nn

from geotranslate.checks import whole_number
from geotranslate.chips.bands import Side
from geotranslate.data.plotting import RgbBands, draw_table
from geotranslate.errors import InvalidInputError, warn
from geotranslate.networks.onehot import TwoWay, unwrapped
from geotranslate.prediction.inference import torch_inference
from geotranslate.prediction.predictor import Predictor
from geotranslate.tables import Summary
from geotranslate.training.learner import AdversarialPair
from geotranslate.translators.saved_models.card import Card


def describe(card: Card, pair: AdversarialPair) -> Summary:
    """Return a summary of a model.

    Args:
        card: The model's card.
        pair: The model's networks.
    """
    lines = [
        ("model", card.translator),
        ("source", _side(card.data.source)),
        ("target", _side(card.data.target)),
        ("chips", f"{card.data.chip_size} x {card.data.chip_size} px"),
        ("generator", _network(pair.generator)),
        ("discriminator", _network(pair.discriminator)),
    ]
    if "recipe" in card.options:
        lines.append(("recipe", _recipe(card)))
    if pair.average is not None:
        lines.append(("translates with", "an average of the generator's weights"))
    lines.append(("epochs", str(len(card.history))))
    if card.history:
        row = card.history[-1]
        lines.append(("last epoch", ", ".join(f"{name} {row[name]:.4g}" for name in row)))
    return Summary(tuple(lines))


def _recipe(card: Card) -> str:
    """Return the recipe of a Pix2Pix with its losses and the kind of the target."""
    options, target = card.options, card.data.target
    start = "a fitted start, then " if options["start"] == "pixel" else ""
    losses = "L1 alone"
    if options["lambda_gan"]:
        losses = "L1 and a discriminator"
        if options["gan_after"]:
            losses += f" from {options['gan_after']:.0%} of a training on"
    return f"{options['recipe']} (the target holds {target.kind}): {start}{losses}"


def _side(side: Side) -> str:
    names = ", ".join(name for name in side.band_names if name)
    bands = f"{side.bands} band{'s' if side.bands != 1 else ''}"
    classes = "" if side.classes is None else f", {side.classes.count}"
    return f"{bands}{f' ({names})' if names else ''} of {side.dtype}{classes}"


def _network(network: nn.Module | None) -> str:
    if network is None:
        return "none"
    weights = sum(weight.numel() for weight in network.parameters())
    network = unwrapped(network)
    several = isinstance(network, TwoWay | nn.ModuleDict)
    parts = [*network.children()] if several else [network]
    return f"{' and '.join(type(part).__name__ for part in parts)} of {weights:,} weights"


def draw_history(history: Sequence[Mapping[str, float]]) -> Any:
    """Draw every column of the progress table over the epochs; return the figure.

    Raises:
        InvalidInputError: The history is empty.
    """
    if not history:
        raise InvalidInputError("There are no losses to plot yet; call fit first.")
    names = list(history[-1])
    figure, axes = subplots(1, len(names), figsize=(3 * len(names), 2.6))
    for axis, name in zip(np.ravel(axes), names, strict=True):
        losses = [row.get(name, np.nan) for row in history]
        axis.plot(range(1, len(losses) + 1), losses)
        axis.set(title=name, xlabel="epoch")
    figure.tight_layout()
    return figure


def rows_of(wanted: int | None, there: int) -> int:
    """Return the number of rows to draw, 2 by default; warn if there are fewer than wanted.

    Raises:
        InvalidInputError: `wanted` is not a whole number of at least 1.
    """
    if wanted is None:
        return min(2, there)
    if whole_number("rows", wanted, 1) > there:
        warn(f"rows is {wanted}, but this part of the data has {there}; all of them are drawn.")
    return min(wanted, there)


def draw_pairs(
    predictor: Predictor,
    pairs: Sequence[tuple[Tensor, Tensor]],
    rows: int | None,
    rgb_bands: RgbBands | None,
) -> Any:
    """Draw source, translation and target of the first pairs; return the figure.

    Args:
        predictor: Predictor of the translations.
        pairs: Sources and targets in -1..1.
        rows: Number of pairs, 2 by default.
        rgb_bands: Three bands for colors or one for gray, by number from 1.

    Raises:
        InvalidInputError: `rows` is not a number of pairs, or no side has the bands.
    """
    shown = [pairs[i] for i in range(rows_of(rows, len(pairs)))]
    translate, card = torch_inference(predictor.inference).scaled, predictor.card
    table = [(source, translate(source[None])[0], target) for source, target in shown]
    titles = ("source", "translation", "target")
    sides = (card.source, card.target, card.target)
    return draw_table(table, titles, sides=sides, rgb_bands=rgb_bands)
