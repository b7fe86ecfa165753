"""Errors of simpler translations, which a model should beat."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from geotranslate.chips.bands import Side
from geotranslate.metrics import Measures
from geotranslate.networks.onehot import OneHot
from geotranslate.networks.pixel import PixelNetwork

CONSTANT, START = "constant", "start"
"""Names of the baselines: the training median of every band, and the generator's start."""


def baseline_errors(
    batches: Iterable[tuple[Tensor, Tensor]], target: Side, generator: nn.Module | None
) -> dict[str, float]:
    """Return the mean absolute errors of a constant and of a generator's start, in target units.

    Args:
        batches: Sources and targets in -1..1.
        target: What is known of the target; without a median there is no constant.
        generator: The generator, whose start is measured if it has one.
    """
    start = None if generator is None else start_of(generator)
    constant = _median(target)
    sums: dict[str, Measures] = {}
    with torch.inference_mode():
        for source, truth in batches:
            source, truth = (side.as_subclass(Tensor) for side in (source, truth))
            found = {}
            if constant is not None:
                found[CONSTANT] = constant.to(truth.device).expand_as(truth)
            if start is not None and generator is not None:
                found[START] = start(seen_by(generator, source))
            for name, translation in found.items():
                sums.setdefault(name, Measures(target, ("mae",))).add(translation, truth)
    return {name: measures.results()["mae"] for name, measures in sums.items()}


def start_of(generator: nn.Module) -> PixelNetwork | None:
    """Return the start that a generator adds to, None where it has none."""
    inner = generator.network if isinstance(generator, OneHot) else generator
    start = getattr(inner, "start", None)
    return start if isinstance(start, PixelNetwork) else None


def seen_by(generator: nn.Module, source: Tensor) -> Tensor:
    """Return the input bands of a generator's network: one for each class, or the source."""
    return generator.bands(source, torch.float32) if isinstance(generator, OneHot) else source


def _median(target: Side) -> Tensor | None:
    if target.median is None:
        return None
    values = np.array(target.median, np.float32)[None, :, None, None]
    return torch.from_numpy(target.scaling.scale(values))
