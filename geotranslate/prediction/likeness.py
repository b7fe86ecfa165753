"""Likeness of a scene to the training data: its distance, and what the distance means."""

from __future__ import annotations

from collections.abc import Mapping

from geotranslate.chips.bands import Quantiles, Side
from geotranslate.metrics import Scores
from geotranslate.raster.pipeline import Drift

NEAR = 0.2
"""Distance below which no remedy is named."""


def drift_of(
    name: str,
    found: Quantiles | None,
    source: Side,
    scenes: Mapping[str, Scores],
    *,
    normalizes: bool,
) -> Drift | None:
    """Return the distance of a scene from the training data; None if it is not known.

    Args:
        name: Name of the scene.
        found: Its quantiles.
        source: Source side of the model.
        scenes: Distances and errors of validation scenes, by name.
        normalizes: Whether the statistics of normalization layers can be mixed.
    """
    if found is None or source.quantiles is None:
        return None
    bands = source.quantiles.distances(found)
    distance = sum(bands) / len(bands)
    each = f" (by band: {', '.join(f'{band:.2f}' for band in bands)})" if len(bands) > 1 else ""
    sentences = [
        f"{name} is {distance:.2f} standard deviations from the training data{each}.",
        _compared(distance, scenes),
        "" if distance < NEAR else _remedies(normalizes),
    ]
    return Drift(bands, " ".join(sentence for sentence in sentences if sentence))


def _compared(distance: float, scenes: Mapping[str, Scores]) -> str:
    """Return the errors of validation scenes near and far from the training data."""
    known = sorted(
        (scores["distance"], scores["mae"], name)
        for name, scores in scenes.items()
        if {"distance", "mae"} <= scores.keys()
    )
    if len(known) < 2:
        return ""
    nearest = known[0]
    like = min(known, key=lambda scene: abs(scene[0] - distance))
    shown = " and ".join(
        f"{error:.4g} on {name}, {far:.2f} away"
        for far, error, name in dict.fromkeys((nearest, like))
    )
    beyond = " It is farther than any of the validation scenes." if distance > known[-1][0] else ""
    return f"Mean absolute errors in validation: {shown}.{beyond}"


def _remedies(normalizes: bool) -> str:
    quick = "match='training'" + (" or norm_stats=0.25" if normalizes else "")
    return (
        f"If its light differs more than its ground, compare the result with one by {quick}, or "
        "train with augment='strong' or look_like=[...] and this scene."
    )
