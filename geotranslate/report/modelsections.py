"""Sections about a model and its training data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from fastai.data.core import DataLoaders
from torch import Tensor, nn

from geotranslate.chips.bands import DataCard, Direction, Side
from geotranslate.chips.split import ground_of
from geotranslate.data import PairDataset
from geotranslate.data.loaders import PairLoaders
from geotranslate.networks.onehot import TwoWay, unwrapped
from geotranslate.prediction.inference import torch_inference
from geotranslate.prediction.predictor import Predictor
from geotranslate.raster.grid import Grid
from geotranslate.report.charts import SplitMap, ground_by_part, split_map
from geotranslate.report.coloring import Coloring, Pixels, color_of_side, number_text
from geotranslate.report.content import DataSection, Sample, Table, plural
from geotranslate.report.pyramid import halved, picture_uri

SAMPLES = 4
"""Number of validation pairs that are drawn."""
LARGEST_SAMPLE = 256
"""Longest side of their pictures, px."""


def model_table(name: str, predictor: Predictor, epochs: int) -> Table:
    """Return the facts of a model.

    Args:
        name: Name of its class.
        predictor: Predictor of the direction of the report.
        epochs: Number of epochs of its training.
    """
    card = predictor.card
    rows = [
        ("Model", name),
        ("Source", side_text(card.source)),
        ("Target", side_text(card.target)),
        ("Generator", _network(torch_inference(predictor.inference).generator)),
        ("Training", _pairs(card, epochs)),
        ("Chips", f"{card.chip_size} x {card.chip_size} px{_ground(card)}"),
    ]
    if card.factor != 1:
        rows.append(("Target pixels", f"{card.factor} for each source pixel along an axis"))
    crs = card.crs or "no CRS"
    rows.append(("CRS of the chips", crs if len(crs) < 40 else crs.split('"')[1]))
    return Table("Model", tuple(rows), numeric=False)


def options_table(config: Any) -> Table:
    """Return the arguments that rebuild a model."""
    rows = tuple((name, str(value)) for name, value in asdict(config).items())
    return Table("Arguments of the model", rows, ("Argument", "Value"), numeric=False)


def data_section(
    data: DataLoaders | None,
    predictor: Predictor,
    scenes: Sequence[tuple[str, Grid]],
    rgb_bands: tuple[int, ...] | None,
) -> DataSection | None:
    """Return the description of training data; None without data.

    Args:
        data: Loaders from `prepare_data`.
        predictor: Predictor of the direction of the report.
        scenes: Names and grids of the scenes, for the map.
        rgb_bands: Bands to draw, from 0.
    """
    if not isinstance(data, PairLoaders):
        return None
    # The folders are those of one machine.
    lines = tuple(line for line in data.summary().lines if line[0] != "folder")
    same = data.card.train_pairs == predictor.card.train_pairs
    notes = () if same else ("This is not the data that the model was trained with.",)
    summary = Table("Training data", lines, notes=notes, numeric=False)
    return DataSection(summary, _maps(data, scenes), _samples(data, predictor, rgb_bands))


def shares_of_ground(data: DataLoaders | None, grid: Grid) -> dict[str, float]:
    """Return the shares of a scene that are ground of each part of the split, 0 to 1."""
    if not isinstance(data, PairLoaders) or grid.crs is None:
        return {}
    splits = data.split if isinstance(data.split, tuple) else (data.split,)
    found: dict[str, float] = {}
    for part, split in zip(data.folder.divided, splits, strict=True):
        outlines = ground_of(part)
        if outlines is None or outlines.crs is None:
            continue
        scene = grid.footprint_in(outlines.crs)
        for name, ground in ground_by_part(outlines, split).items():
            share = float(ground.intersection(scene).area / scene.area)
            found[name] = max(share, found.get(name, 0.0))
    return found


def side_text(side: Side) -> str:
    """Return bands, dtype and classes of a side in words."""
    names = ", ".join(name for name in side.band_names if name)
    classes = "" if side.classes is None else f", {side.classes.count}"
    return f"{plural(side.bands, 'band')}{f' ({names})' if names else ''} of {side.dtype}{classes}"


def _network(network: nn.Module) -> str:
    weights = sum(weight.numel() for weight in network.parameters())
    inner = unwrapped(network)
    parts = [*inner.children()] if isinstance(inner, TwoWay) else [inner]
    return f"{' and '.join(type(part).__name__ for part in parts)} of {weights:,} weights"


def _pairs(card: DataCard, epochs: int) -> str:
    noun = "pair" if card.paired else "chip"
    return (
        f"{plural(epochs, 'epoch')}, {plural(len(card.train_pairs), noun)} for training and "
        f"{len(card.validation_pairs):,} for validation, seed {card.seed}"
    )


def _ground(card: DataCard) -> str:
    if card.ground_size is None:
        return ""
    along, down = (number_text(side) for side in card.ground_size)
    return f" of {along} m" if along == down else f" of {along} x {down} m"


def _maps(data: PairLoaders, scenes: Sequence[tuple[str, Grid]]) -> tuple[SplitMap, ...]:
    splits = data.split if isinstance(data.split, tuple) else (data.split,)
    found = []
    for part, split in zip(data.folder.divided, splits, strict=True):
        outlines = ground_of(part)
        if outlines is not None:
            title = part.side if len(splits) > 1 else ""
            found.append(split_map(title, outlines, split, scenes))
    return tuple(found)


def _samples(
    data: PairLoaders, predictor: Predictor, rgb_bands: tuple[int, ...] | None
) -> tuple[Sample, ...]:
    """Return pictures of validation pairs, evenly spread; none without pairs or going back."""
    items = data.valid_ds
    direction: Direction = "AtoB"
    if not isinstance(items, PairDataset) or not len(items) or predictor.direction != direction:
        return ()
    places = sorted({round(i * (len(items) - 1) / (SAMPLES - 1)) for i in range(SAMPLES)})
    card = predictor.card
    rows, names = [], []
    for place in places:
        source, target = items[place]
        inference = torch_inference(predictor.inference)
        translated = inference.scaled(source.as_subclass(Tensor)[None])[0]
        sides = (card.source, source), (card.target, translated), (card.target, target)
        rows.append([_unscaled(side, tensor.numpy()) for side, tensor in sides])
        names.append(items.pairs[place].name)
    values = [[data[:, valid] for data, valid in row] for row in rows]
    targets = [each for row in values for each in row[1:]]
    given = color_of_side(card.source, [row[0] for row in values], rgb_bands)
    made = color_of_side(card.target, targets, rgb_bands)
    return tuple(
        Sample(
            name,
            tuple(
                picture_uri(coloring, _small(coloring, coloring.scaled(*pixels)))
                for coloring, pixels in zip((given, made, made), row, strict=True)
            ),
            row[0][0].shape[2],
            row[0][0].shape[1],
        )
        for name, row in zip(names, rows, strict=True)
    )


def _unscaled(side: Side, scaled: Any) -> tuple[Any, Any]:
    """Return values in the side's units and where they are valid."""
    valid = np.isfinite(scaled).all(axis=0)
    values = side.scaling.unscale(np.nan_to_num(scaled).astype(np.float32))
    return (values if side.classes is None else np.rint(values)), valid


def _small(coloring: Coloring, pixels: Pixels) -> Pixels:
    """Return pixels halved until they are not too large."""
    while max(pixels.shape[:2]) > LARGEST_SAMPLE:
        pixels = halved(pixels, classes=coloring.numbers is not None)
    return pixels
