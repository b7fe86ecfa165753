"""Metrics of a model: of pairs, and of the way there and back where there are none."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from fastai.data.core import DataLoaders
from torch import Tensor

from geotranslate.chips.bands import DataCard, Direction, Side
from geotranslate.data.loaders import data_card, validates_pairs
from geotranslate.errors import InvalidInputError
from geotranslate.metrics import Measures, Metrics, Palette, Scores, metric_names
from geotranslate.prediction.inference import Inference
from geotranslate.prediction.predictor import Predictor
from geotranslate.training.objectives import filled
from geotranslate.training.start import baseline_errors

FID = "fid"
PREFIX = "cycle_"


def measure(
    predictor: Predictor,
    loaders: DataLoaders,
    metrics: Sequence[str] | None,
    palette: Palette | None,
) -> Metrics:
    """Compare the translations of validation pairs with their targets.

    Args:
        predictor: Predictor in the direction that is measured.
        loaders: Loaders of pairs, which are in -1..1 by the scalings of their own card.
        metrics: Names of measures; None for all but those that need networks.
        palette: Colors of the classes, for targets that show some.

    Raises:
        InvalidInputError: The loaders are unpaired, the pairs have other bands or dtypes than the
            predictor's card, or quantities for its classes, or there is no such measure.
    """
    if not validates_pairs(loaders):
        raise InvalidInputError(
            "The data is unpaired: its validation chips have no targets to be compared with. "
            "Give loaders of pairs."
        )
    inference, target = predictor.inference, predictor.card.target
    measures = Measures(target, metrics, palette)
    for source, truth in validation_batches(predictor.card, loaders, predictor.direction):
        measures.add(inference.scaled(source), truth)
    found = measures.results()
    if "mae" in found and target.classes is None:
        batches = validation_batches(predictor.card, loaders, predictor.direction)
        found = found.over(baseline_errors(batches, target, inference.generator))
    return found


def validation_batches(
    ours: DataCard, loaders: DataLoaders, direction: Direction
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield what a model translates of loaders and what it is compared with, in its own scalings.

    Args:
        ours: The card of the model in that direction.
        loaders: Their batches are in -1..1 by the scalings of their own card.
        direction: "BtoA" where it translates the loaders' targets, which of pairs are then filled
            where they are invalid.

    Raises:
        InvalidInputError: The data has other bands or dtypes than the model's card, or quantities
            for its classes.
    """
    card, swap = data_card(loaders), direction == "BtoA"
    fill = fill_of(card.target)
    card = card.reversed() if swap else card
    for name, known, given in (
        ("source", ours.source, card.source),
        ("target", ours.target, card.target),
    ):
        if (known.bands, known.dtype) != (given.bands, given.dtype):
            raise InvalidInputError(
                f"The {name} of the data has {given.bands} x {given.dtype} but the model was "
                f"trained on {known.bands} x {known.dtype}; give pairs like those."
            )
    if ours.source.classes is not None and card.source.classes is None:
        raise InvalidInputError(
            "The model was trained on classes but the source of the data is quantities; give "
            "prepare_data source_classes=True, or other pairs."
        )
    for source, target in loaders.valid:
        pair = source.as_subclass(Tensor), target.as_subclass(Tensor)
        if swap:
            pair = swapped(*pair, fill) if card.paired else pair[::-1]
        yield (
            as_sources_of(pair[0], card.source, ours.source),
            _rescaled(pair[1], card.target, ours.target),
        )


def swapped(source: Tensor, target: Tensor, fill: Tensor) -> tuple[Tensor, Tensor]:
    """Return pairs the other way round: filled where they were NaN, NaN where they are filled.

    Args:
        source: `(n, bands, rows, cols)` in -1..1.
        target: The same, NaN where one of both is invalid.
        fill: `(bands, 1, 1)`: what targets hold where they are invalid.
    """
    holes = torch.isnan(target)
    found = torch.where(holes, fill.to(target.device), target)
    return found, source.masked_fill(holes.any(1, keepdim=True), math.nan)


def fill_of(side: Side) -> Tensor:
    """Return what every band holds where it is invalid, in -1..1, `(bands, 1, 1)`."""
    values = np.array(side.fill, np.float32)[None, :, None, None]
    return torch.from_numpy(side.scaling.scale(values)[0])


def as_sources_of(scaled: Tensor, old: Side, new: Side) -> Tensor:
    """Return a batch of sources in -1..1 of one side as that of another, gaps filled as its are.

    Args:
        scaled: `(n, bands, rows, cols)`.
        old: Their side.
        new: The other.
    """
    if not old.class_numbers or old.fill == new.fill:
        return _rescaled(scaled, old, new)
    values = old.scaling.unscale(scaled.cpu().numpy())
    values[np.abs(values - old.fill[0]) < 0.5] = new.fill[0]
    return torch.from_numpy(new.scaling.scale(values)).to(scaled.device)


def _rescaled(scaled: Tensor, old: Side, new: Side) -> Tensor:
    """Return a batch in -1..1 of one scaling in that of another."""
    if old.scaling == new.scaling:
        return scaled
    values = old.scaling.unscale(scaled.cpu().numpy())
    return torch.from_numpy(new.scaling.scale(values)).to(scaled.device)


def measure_cycle(
    there: Predictor,
    back: Predictor,
    loaders: DataLoaders,
    metrics: Sequence[str] | None,
    palette: Palette | None,
) -> Metrics:
    """Return the measures of the way there and back, and the FID of the translations.

    Args:
        there: What translates the chips.
        back: What brings them back.
        loaders: Their validation chips are measured.
        metrics: Names of measures; None for all but those that need networks.
        palette: Colors of the classes, for chips that show some.

    Raises:
        InvalidInputError: There is no such measure, or the chips are unlike those of the training.
    """
    names = None if metrics is None else metric_names(metrics)
    own = None if names is None else [name.removeprefix(PREFIX) for name in names if name != FID]
    ours, target = there.card.source, there.card.target
    cycle = Measures(ours, own, palette)
    likeness = Measures(target, [FID]) if names is not None and FID in names else None
    fill = fill_of(there.card.source)
    for source, other in validation_batches(there.card, loaders, there.direction):
        translated = there.inference.scaled(filled(source, fill))
        cycle.add(back.inference.scaled(translated), source)
        if likeness is not None:
            likeness.add(translated, other)
    found = cycle.results()
    return Metrics(
        _named(found.overall) | ({} if likeness is None else {FID: likeness.results()[FID]}),
        {band: _named(scores) for band, scores in found.per_band.items()},
        found.per_class,
        found.confusion,
    )


def _named(scores: Scores) -> Scores:
    return {name if name == "count" else PREFIX + name: value for name, value in scores.items()}


def cycle_rows(
    there: Inference, back: Inference, chips: Sequence[tuple[Tensor, Tensor]]
) -> list[tuple[Tensor, ...]]:
    """Return for each source and target the chip, its translation and that back again."""
    fill = fill_of(there.card.target)
    rows = []
    for source, target in chips:
        row: list[Tensor] = []
        for chip, first, second in ((source, there, back), (filled(target, fill), back, there)):
            translated = first.scaled(chip[None])
            row += [chip, translated[0], second.scaled(translated)[0]]
        rows.append(tuple(row))
    return rows
