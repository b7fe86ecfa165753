"""Metrics of models, over pairs or, for unpaired data, over round trips."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import torch
from fastai.data.core import DataLoaders
from torch import Tensor

from geotranslate.checks import choice, class_list
from geotranslate.chips.bands import DataCard, Direction, Side
from geotranslate.data.loaders import Part, data_card, validates_pairs
from geotranslate.errors import InvalidInputError
from geotranslate.metrics import Measures, Metrics, Palette, Scores, metric_names
from geotranslate.prediction.inference import Inference, torch_inference
from geotranslate.prediction.predictor import Predictor
from geotranslate.training.objectives import filled
from geotranslate.training.start import baseline_errors
from geotranslate.translators.runs.by_scene import errors_by_scene

FID = "fid"
PREFIX = "cycle_"


def measure(
    predictor: Predictor,
    loaders: DataLoaders,
    metrics: Sequence[str] | None,
    palette: Palette | None,
    which: Part = "val",
) -> Metrics:
    """Compare the translations of pairs with their targets.

    Args:
        predictor: Predictor of the direction to measure.
        loaders: Loaders of pairs, in -1..1 by the scalings of their own card.
        metrics: Names of measures; None for all except `lpips` and `fid`.
        palette: Colors of the classes, for targets that show classes in colors.
        which: Part of the pairs to measure.

    Raises:
        InvalidInputError: The loaders are unpaired, the pairs have other bands or dtypes than the
            predictor's card, or quantities instead of its classes, or there is no such measure.
    """
    if not validates_pairs(loaders):
        raise InvalidInputError(
            "The data is unpaired: its validation chips have no targets to be compared with. "
            "Give loaders of pairs."
        )
    inference, target = torch_inference(predictor.inference), predictor.card.target
    measures = Measures(target, metrics, palette)
    for source, truth in batches_of(predictor.card, loaders, predictor.direction, which):
        measures.add(inference.scaled(source), truth)
    found = measures.results()
    if "mae" in found and target.classes is None:
        batches = batches_of(predictor.card, loaders, predictor.direction, which)
        found = found.over(baseline_errors(batches, target, inference.generator))
        if predictor.direction == "AtoB":
            found = replace(found, per_scene=errors_by_scene(predictor, loaders))
    return found


def part_of(
    ours: DataCard, loaders: DataLoaders, own: DataLoaders | None, which: Part | None
) -> Part:
    """Return the part of the data to measure: by default all of data that was not trained on.

    Args:
        ours: Card of the model's training data.
        loaders: The data.
        own: Loaders of the training, if the model has them.
        which: Part that was asked for; None to choose.

    Raises:
        InvalidInputError: The loaders are not from `prepare_data`, or there is no such part.
    """
    if which is not None:
        part: Part = choice("which", which, get_args(Part))
        return part
    if loaders is own:
        return "val"
    # Names are often alike in two folders, means are not.
    known, given = (
        (card.train_pairs, card.validation_pairs, card.source.mean, card.target.mean)
        for card in (ours, data_card(loaders))
    )
    return "val" if known == given else "all"


def items_of(
    ours: DataCard, loaders: DataLoaders, own: DataLoaders | None, which: Part | None
) -> Sequence[tuple[Tensor, Tensor]]:
    """Return the items of a part of the data, see `part_of`, in a model's own scalings.

    Raises:
        InvalidInputError: As for `part_of`, or the data differs from the training data.
    """
    part = part_of(ours, loaders, own, which)
    if which is None and not len(loaders.valid_ds):
        part = "train"  # the samples of a training without validation
    alike = loaders if loaders is own else in_scalings_of(ours, loaders)
    found: Sequence[tuple[Tensor, Tensor]] = _part(alike, part).dataset
    return found


def _part(loaders: DataLoaders, which: Part) -> Any:
    """Return the loader of a part of the data."""
    return loaders.part(which)


def batches_of(
    ours: DataCard, loaders: DataLoaders, direction: Direction, which: Part = "val"
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield sources and targets of a part of loaders in a model's own scalings.

    Args:
        ours: Card of the model in this direction.
        loaders: Loaders, in -1..1 by the scalings of their own card.
        direction: "BtoA" to yield the loaders' targets as sources; in pairs, their invalid pixels
            are then filled.
        which: Part of the data.

    Raises:
        InvalidInputError: The data has other bands or dtypes than the model's card, or quantities
            instead of its classes.
    """
    card, swap = data_card(loaders), direction == "BtoA"
    fill = fill_of(card.target)
    card = card.reversed() if swap else card
    check_alike(ours, card)
    for source, target in _part(loaders, which):
        pair = source.as_subclass(Tensor), target.as_subclass(Tensor)
        if swap:
            pair = swapped(*pair, fill) if card.paired else pair[::-1]
        yield (
            as_sources_of(pair[0], card.source, ours.source),
            _rescaled(pair[1], card.target, ours.target),
        )


def swapped(source: Tensor, target: Tensor, fill: Tensor) -> tuple[Tensor, Tensor]:
    """Swap source and target of pairs: fill the former target, and set NaN in the former source.

    Args:
        source: `(n, bands, rows, cols)` in -1..1.
        target: The same, NaN where one of the two is invalid.
        fill: `(bands, 1, 1)`: values that replace invalid target pixels.
    """
    holes = torch.isnan(target)
    found = torch.where(holes, fill.to(target.device), target)
    return found, source.masked_fill(holes.any(1, keepdim=True), math.nan)


def in_scalings_of(ours: DataCard, loaders: DataLoaders) -> DataLoaders:
    """Return loaders of the same chips in the scalings of a model.

    Args:
        ours: Card of the model's training data.
        loaders: Loaders from `prepare_data`.

    Raises:
        InvalidInputError: The data has other bands, dtypes or classes than the model's card.
    """
    card = data_card(loaders)
    check_alike(ours, card)
    for name, known, given in (
        ("source", ours.source, card.source),
        ("target", ours.target, card.target),
    ):
        new = sorted({*given.class_numbers} - {*known.class_numbers})
        if known.classes is not None and new:
            raise InvalidInputError(
                f"The {name} of the data holds the classes {class_list(new)}, which the model does "
                "not know; give pairs of its classes, or begin with its weights: give "
                "pretrained_path to a new model."
            )
    both = card.source.scaled_like(ours.source), card.target.scaled_like(ours.target)
    return loaders.with_card(replace(card, source=both[0], target=both[1]))


def check_alike(ours: DataCard, card: DataCard) -> None:
    """Check that data has the bands, dtypes and kinds of values of a model's card.

    Raises:
        InvalidInputError: It has others.
    """
    for name, known, given in (
        ("source", ours.source, card.source),
        ("target", ours.target, card.target),
    ):
        if (known.bands, known.dtype) != (given.bands, given.dtype):
            raise InvalidInputError(
                f"The {name} of the data has {given.bands} x {given.dtype} but the model was "
                f"trained on {known.bands} x {known.dtype}; give pairs like those."
            )
    if ours.factor != card.factor:
        raise InvalidInputError(
            f"The targets of the data have {card.factor} times as many pixels along an axis as "
            f"their sources, but the model was trained on {ours.factor} times as many; give pairs "
            "like those."
        )
    if ours.source.classes is not None and card.source.classes is None:
        raise InvalidInputError(
            "The model was trained on classes but the source of the data is quantities; give "
            "prepare_data source_classes=True, or other pairs."
        )
    _check_class_bands(ours.source, card.source)


def _check_class_bands(known: Side, given: Side) -> None:
    """Check that each band with classes has classes that the model knows.

    Raises:
        InvalidInputError: One has others, or other bands have classes.
    """
    nothing = ((),) * known.bands
    pairs = zip(known.class_bands or nothing, given.class_bands or nothing, strict=True)
    for name, (ours, theirs) in zip(known.band_names, pairs, strict=True):
        if bool(ours) != bool(theirs) or not {*theirs} <= {*ours}:
            expected = f"the classes {class_list(ours)}" if ours else "quantities"
            held = f"the classes {class_list(theirs)}" if theirs else "quantities"
            raise InvalidInputError(
                f"The model was trained on {expected} in the band {name} of the source, but the "
                f"data has {held} there; give prepare_data source_classes with the layers and "
                "numbers that the model knows."
            )


def fill_of(side: Side) -> Tensor:
    """Return the values that replace invalid pixels of each band, `(bands, 1, 1)` in -1..1."""
    values = np.array(side.fill, np.float32)[None, :, None, None]
    return torch.from_numpy(side.scaling.scale(values)[0])


def as_sources_of(scaled: Tensor, old: Side, new: Side) -> Tensor:
    """Convert a batch of scaled sources from one side to another, including its fill values.

    Args:
        scaled: `(n, bands, rows, cols)` in -1..1.
        old: Side whose scaling and fill values the batch has.
        new: Side whose scaling and fill values the result has.
    """
    known = bool(old.class_numbers) or old.class_bands is not None
    bands = [i for i in old.categorical_bands if known and old.fill[i] != new.fill[i]]
    if not bands:
        return _rescaled(scaled, old, new)
    values = old.scaling.unscale(scaled.cpu().numpy())
    for band in bands:
        own = values[:, band]
        own[np.abs(own - old.fill[band]) < 0.5] = new.fill[band]
    return torch.from_numpy(new.scaling.scale(values)).to(scaled.device)


def _rescaled(scaled: Tensor, old: Side, new: Side) -> Tensor:
    """Convert a scaled batch from the scaling of one side to another."""
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
    which: Part = "val",
) -> Metrics:
    """Compare chips with their translations there and back; compute the FID of the translations.

    Args:
        there: Predictor that translates the chips.
        back: Predictor that translates them back.
        loaders: Loaders whose chips are measured.
        metrics: Names of measures; None for all except `lpips` and `fid`.
        palette: Colors of the classes, for chips that show classes in colors.
        which: Part of the chips to measure.

    Raises:
        InvalidInputError: There is no such measure, or the chips differ from the training chips.
    """
    names = None if metrics is None else metric_names(metrics)
    own = None if names is None else [name.removeprefix(PREFIX) for name in names if name != FID]
    ours, target = there.card.source, there.card.target
    cycle = Measures(ours, own, palette)
    likeness = Measures(target, [FID]) if names is not None and FID in names else None
    fill = fill_of(there.card.source)
    forth, again = torch_inference(there.inference), torch_inference(back.inference)
    for source, other in batches_of(there.card, loaders, there.direction, which):
        translated = forth.scaled(filled(source, fill))
        cycle.add(again.scaled(translated), source)
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
    """Return rows of source, translation and round trip, then the same for the target."""
    fill = fill_of(there.card.target)
    rows = []
    for source, target in chips:
        row: list[Tensor] = []
        for chip, first, second in ((source, there, back), (filled(target, fill), back, there)):
            translated = first.scaled(chip[None])
            row += [chip, translated[0], second.scaled(translated)[0]]
        rows.append(tuple(row))
    return rows
