"""Likeness of a scene to the training data: its distance, and what the distance means."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from rasterio.windows import Window

from geotranslate.chips.bands import Quantiles, Side
from geotranslate.prediction.imageinference import ImageInference
from geotranslate.raster.pipeline import Drift
from geotranslate.raster.reader import RasterReader, fill_gaps

NEAR = 0.2
"""Distance below which no remedy is named."""
LEAST_VALID = 0.5
"""Smallest share of valid pixels of a window whose features are measured."""


def scene_features(source: RasterReader, inference: ImageInference) -> float | None:
    """Return the distance of a scene's first features from those of training.

    They are measured in nine windows of the size of a chip, always the same ones.

    Args:
        source: The scene, with the bands of the model.
        inference: ImageInference of the model for this scene.

    Returns:
        The distance, see `ImageInference.features`; None for a network without running statistics,
        and for a scene that is smaller than a chip or has few valid pixels.
    """
    resampling, stride = inference.resampling, inference.stride
    ratio = 1.0 if resampling is None else max(resampling.ratios)
    size = math.ceil(inference.card.chip_size / ratio / stride) * stride
    room = source.grid.height - size, source.grid.width - size
    if min(room) < 0:
        return None
    rows, cols = (sorted({step * most // 2 for step in range(3)}) for most in room)
    windows = (source.read(Window(col, row, size, size)) for row in rows for col in cols)
    tiles = [tile for tile in windows if tile[1].mean() >= LEAST_VALID]
    if not tiles:
        return None
    fill = inference.card.source.fill
    filled = np.stack([fill_gaps(*tile, fill) for tile in tiles])
    return inference.features(filled, np.stack([valid for _, valid in tiles]))


def drift_of(
    name: str,
    found: Quantiles | None,
    source: Side,
    scenes: Mapping[str, Mapping[str, float]],
    *,
    normalizes: bool,
    features: float | None = None,
) -> Drift | None:
    """Return the distance of a scene from the training data; None if it is not known.

    Args:
        name: Name of the scene.
        found: Its quantiles.
        source: Source side of the model.
        scenes: Distances and errors of validation scenes, by name.
        normalizes: Whether the statistics of normalization layers can be mixed.
        features: Distance of its first features, see `scene_features`.
    """
    bands = None if found is None else source.distances(found)
    if not bands:
        return None
    distance = sum(bands) / len(bands)
    each = f" (by band: {', '.join(f'{band:.2f}' for band in bands)})" if len(bands) > 1 else ""
    sentences = [
        f"{name} is {distance:.2f} standard deviations from the training data{each}.",
        _compared(distance, scenes),
        *_of_features(features, scenes, alike=distance < NEAR),
        "" if distance < NEAR else _remedies(normalizes),
    ]
    return Drift(bands, " ".join(sentence for sentence in sentences if sentence), features)


def _compared(distance: float, scenes: Mapping[str, Mapping[str, float]]) -> str:
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


def _of_features(
    features: float | None, scenes: Mapping[str, Mapping[str, float]], *, alike: bool
) -> list[str]:
    """Return the distance of first features in words, beside those of validation scenes."""
    if features is None:
        return []
    known = sorted(scores["features"] for scores in scenes.values() if "features" in scores)
    if len(known) < 2:
        return [f"The features of the first levels are {features:.2f} away."]
    said = (
        f"The features of the first levels are {features:.2f} away, in validation {known[0]:.2f} "
        f"to {known[-1]:.2f}."
    )
    if not alike or features <= known[-1]:
        return [said]
    return [
        f"{said} As its values are like those of training, compare its sharpness and the size of "
        "things in it with those of the training chips, and see resolution."
    ]


def _remedies(normalizes: bool) -> str:
    quick = "match='training'" + (" or norm_stats=0.25" if normalizes else "")
    return (
        f"If its light differs more than its ground, compare the result with one by {quick}, or "
        "train with augment='strong' or look_like=[...] and this scene."
    )
