"""The data card of training chips, and warnings about targets that cannot be reproduced."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geotranslate.chips.bands import (
    ClassesLike,
    DataCard,
    Quantiles,
    ScalingLike,
    Side,
    Statistics,
    band_classes,
    check_band_classes,
    classes_of,
    scaling_of,
)
from geotranslate.chips.chip import Chip
from geotranslate.chips.pair_set import FoundChips
from geotranslate.chips.split import Split
from geotranslate.errors import warn
from geotranslate.raster.degrees import box_of
from geotranslate.raster.grid import Grid
from geotranslate.raster.ground import ground_of

MOST_MEASURED = 64
"""Most training chips of which the pixel size on the ground is measured."""
MOST_SPREAD = 1.05
"""Ratio of the largest pixel to the smallest one up to which chips have one pixel size."""

SAMPLED = 256
"""Most chips whose samples give the quantiles of a side."""


def make_card(
    chips: FoundChips,
    splits: tuple[Split, Split],
    *,
    scalings: tuple[ScalingLike, ScalingLike],
    classes: tuple[ClassesLike, ClassesLike],
    chip_size: int,
    resize_to: int | None,
    seed: int,
    paired: bool,
) -> DataCard:
    """Make the data card of chips, which a model keeps.

    Args:
        chips: The chips.
        splits: Split of the source chips and split of the target chips, equal for pairs.
        scalings: Kinds of scaling of source and target, or kinds by layer.
        classes: Whether the values of source and target are classes; None to find out; or the
            class numbers of layers.
        chip_size: Side of the tensors, px.
        resize_to: Side that chips are resampled to first, px.
        seed: Seed of the split and of the training.
        paired: Whether a training source and its target show one place.

    Raises:
        InvalidInputError: Classes or scaling are not possible with these chips.
    """
    source = describe("source", chips.sources, measured(splits[0]), scalings[0], classes[0])
    target = describe("target", chips.targets, measured(splits[1]), scalings[1], classes[1])
    warn_of_target(target, scalings[1], [chips.targets[i] for i in measured(splits[1])])
    # Either chip of a pair may be the georeferenced one.
    here, there = chips.grids
    sides = training_grids(chips, splits)
    sizes = [
        (same_everywhere(_grounds(side, resize_to)), _ratio(side, resize_to)) for side in sides
    ]
    ground, ratio = sizes[0]
    target_ground, target_ratio = (None, None) if there is None else sizes[1]
    return DataCard(
        source=source,
        target=target,
        chip_size=chip_size,
        resize_to=resize_to,
        crs=None if here.crs is None else here.crs.to_string(),
        resolution=_resolution(here, resize_to),
        train_pairs=chips.names([split.train for split in splits]),
        validation_pairs=chips.names([split.validation for split in splits]),
        seed=seed,
        paired=paired,
        target_crs=None if there is None else "" if there.crs is None else there.crs.to_string(),
        target_resolution=None if there is None else _resolution(there, resize_to),
        ground_size=ground,
        resize_ratio=ratio,
        target_ground_size=target_ground,
        target_resize_ratio=target_ratio,
        factor=chips.factor,
        footprint=box_of(itertools.chain(*sides)),
    )


def _resolution(grid: Grid, resize_to: int | None) -> tuple[float, float] | None:
    if grid.crs is None:
        return None
    across, down = grid.resolution
    if resize_to is None:
        return across, down
    return across * grid.width / resize_to, down * grid.height / resize_to


def measured(split: Split) -> tuple[int, ...]:
    """Return the positions of the chips that a card describes: for training, if there are any."""
    return split.train or split.validation


def training_grids(
    chips: FoundChips, splits: tuple[Split, Split]
) -> tuple[Sequence[Grid], Sequence[Grid]]:
    """Return the grids of the training chips of both sides; pairs have one grid for both."""
    members = [side.members for side in chips.divided]
    source, target = (
        [side[i].grid for i in measured(split)]
        for side, split in zip((members[0], members[-1]), splits, strict=True)
    )
    return source, target


def _grounds(grids: Sequence[Grid], resize_to: int | None) -> list[tuple[float, float] | None]:
    """Return the pixel sizes in training of some of the chips, meters."""
    found = []
    for grid in grids[:: -(-len(grids) // MOST_MEASURED) or 1]:
        size = ground_of(grid)
        if size is not None and resize_to is not None:
            size = size[0] * grid.width / resize_to, size[1] * grid.height / resize_to
        found.append(size)
    return found


def _ratio(grids: Sequence[Grid], resize_to: int | None) -> tuple[float, float] | None:
    if resize_to is None:
        return None
    shapes = {(grid.width, grid.height) for grid in grids}
    return same_everywhere([(resize_to / width, resize_to / height) for width, height in shapes])


def same_everywhere(
    sizes: Sequence[tuple[float, float] | None],
) -> tuple[float, float] | None:
    """Return the median of sizes, or None if one is unknown or they differ by 5% or more."""
    known = [size for size in sizes if size is not None]
    if not known or len(known) < len(sizes):
        return None
    across, down = zip(*known, strict=True)
    if max(max(side) / min(side) for side in (across, down)) >= MOST_SPREAD:
        return None
    return median(across), median(down)


def describe(
    name: str,
    chips: Sequence[Chip],
    training: Sequence[int],
    scaling: ScalingLike,
    classes: ClassesLike,
) -> Side:
    """Return the card of a side; warn where its nodata values or units differ.

    Args:
        name: "source" or "target".
        chips: All chips of the side, which decide whether its values are classes.
        training: Positions of the training chips, which alone decide means and scaling.
        scaling: Kind of scaling, or kinds by layer.
        classes: Whether the values are classes, None to find out, or the class numbers of layers.

    Raises:
        InvalidInputError: Classes or scaling are not possible with these chips.
    """
    first = chips[training[0]]
    used = [chips[i] for i in training]
    total = Statistics.total([chip.statistics for chip in used], first.bands)
    by_band = band_classes(classes, first.band_names) if name == "source" else None
    whole: Any = classes if by_band is None else False
    found = classes_of(name, whole, [chip.classes for chip in chips], first.bands)
    if by_band is not None:
        check_band_classes(by_band, first.band_names, samples_of(used))
    _warn_of_measures(name, [first, *chips])
    return Side(
        bands=first.bands,
        dtype=first.dtype,
        nodata=_nodata(name, [first, *chips]),
        band_names=first.band_names,
        indexes=first.indexes,
        file_bands=first.file_bands,
        classes=found,
        mean=tuple(map(float, total.mean)),
        scaling=scaling_of(
            name,
            scaling,
            total,
            first.dtype,
            first.band_names,
            classes=found is not None,
            class_bands=by_band,
        ),
        extent=_extent(total),
        median=tuple(total.percentiles((50,))[0].tolist()) if total.count else None,
        band_facts=first.band_facts,
        quantiles=None if found is not None else quantiles_of(used),
        class_bands=by_band,
    )


def quantiles_of(chips: Sequence[Chip]) -> Quantiles | None:
    """Return the quantiles of some chips, from at most `SAMPLED` that are evenly spread.

    None if they have no valid pixel.
    """
    return Quantiles.of(np.stack(samples_of(chips)))


def samples_of(chips: Sequence[Chip]) -> list[NDArray[np.float32]]:
    """Return values of every band of some chips, from at most `SAMPLED` that are evenly spread."""
    count = min(len(chips), SAMPLED)
    parts = [chips[i * len(chips) // count].statistics for i in range(count)]
    bands = range(chips[0].bands)
    return [np.concatenate([part.sample(band) for part in parts]) for band in bands]


def _extent(total: Statistics) -> tuple[tuple[float, float], ...] | None:
    if not total.count:
        return None
    return tuple(zip(total.minimum.tolist(), total.maximum.tolist(), strict=True))


def _nodata(name: str, chips: Sequence[Chip]) -> float | None:
    """Return the first nodata value, or None."""
    # Compared as text, because NaN is not equal to itself. Chips without a nodata value may have a
    # mask.
    values = {f"{chip.nodata:.9g}": chip.nodata for chip in chips if chip.nodata is not None}
    if len(values) > 1:
        warn(
            f"The {name} chips differ in their nodata value ({', '.join(values)}): each chip is "
            f"read by its own, but the model keeps {next(iter(values))} alone. Export them again "
            "from rasters with one nodata value.",
        )
    return next(iter(values.values()), None)


def _warn_of_measures(name: str, chips: Sequence[Chip]) -> None:
    """Warn where equal stored values mean different measured ones."""
    measures = list(dict.fromkeys(chip.band_facts.measure for chip in chips))
    if len(measures) > 1:
        shown = (
            ", ".join(
                f"{noun} {', '.join(map(str, dict.fromkeys(values)))}"
                for noun, values in zip(("scale", "offset", "unit"), measure, strict=True)
                if values
            )
            for measure in measures[:2]
        )
        warn(
            f"The {name} chips differ in scale, offset or unit "
            f"({' / '.join(text or 'none' for text in shown)}), but their stored values are taken "
            "as they are. Bring their rasters to one scale and export them again.",
        )


def warn_of_target(target: Side, scaling: ScalingLike, training: Sequence[Chip]) -> None:
    """Warn of a target that a translator cannot reproduce.

    Args:
        target: The side.
        scaling: Kind of its scaling, or kinds by layer.
        training: Its training chips.
    """
    # With two classes, a mixture cannot be mistaken for a third one.
    if target.classes is not None and len(target.classes.values) not in (1, 2):
        warn(
            f"The target's values are taken for {target.classes.count}, which a translator mixes "
            "as if they were quantities. Give a target that shows them in colors (gdal_translate "
            "-expand rgb, where there is a color table), or pass target_classes=False if they "
            "are quantities.",
        )
    total = Statistics.total([chip.statistics for chip in training], target.bands)
    low, high = target.scaling.low, target.scaling.high
    if not target.scaling.bounded:
        return
    if (total.minimum < low).any() or (total.maximum > high).any():
        warn(
            f"target_scaling={scaling!r} maps some training values beyond -1..1, which a "
            "translator cannot reach: its output is clipped there. target_scaling='auto' clips "
            "nothing.",
        )
