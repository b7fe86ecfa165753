"""Measure a generator on validation pairs."""

from __future__ import annotations

import numpy as np
from fastai.data.core import DataLoaders
from torch import Tensor, from_numpy

from geotranslate.chips.datacard import DataCard, Side
from geotranslate.errors import InvalidInputError
from geotranslate.training.metrics.measures import Measures
from geotranslate.training.metrics.report import Metrics
from geotranslate.translators.inference import Inference


def measure(
    inference: Inference, loaders: DataLoaders, card: DataCard, measures: Measures
) -> Metrics:
    """Translate the validation pairs of loaders and compare them with their targets.

    Args:
        inference: The generator.
        loaders: Their pairs are in -1..1 by the scalings of their own card.
        card: That of the loaders.
        measures: Those of the generator's target.

    Raises:
        InvalidInputError: The pairs have other bands or dtypes than the generator's card, or hold
            quantities for its classes.
    """
    ours = inference.card
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
        translated = inference.scaled(as_sources_of(source, card.source, ours.source))
        measures.add(translated, _rescaled(target, card.target, ours.target))
    return measures.results()


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
    return from_numpy(new.scaling.scale(values)).to(scaled.device)


def _rescaled(scaled: Tensor, old: Side, new: Side) -> Tensor:
    """Return a batch in -1..1 of one scaling in that of another."""
    if old.scaling == new.scaling:
        return scaled
    values = old.scaling.unscale(scaled.cpu().numpy())
    return from_numpy(new.scaling.scale(values)).to(scaled.device)
