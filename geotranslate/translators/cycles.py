"""The way there and back of validation chips: measured and drawn."""

from __future__ import annotations

from collections.abc import Sequence

from fastai.data.core import DataLoaders
from torch import Tensor

from geotranslate.metrics.measures import Measures, Palette, metric_names
from geotranslate.metrics.scores import Metrics, Scores
from geotranslate.prediction.inference import Inference
from geotranslate.prediction.predictor import Predictor
from geotranslate.training.objectives import filled
from geotranslate.translators.measuring import fill_of, validation_batches

FID = "fid"
PREFIX = "cycle_"


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
        palette: Colours of the classes, for chips that show some.

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
