"""Divide pairs into training and validation so that the two never share ground."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import geopandas as gpd
from shapely import prepare
from shapely.geometry import Polygon

from geotranslate.chips.ground import Ground
from geotranslate.errors import InvalidInputError

SplitMethod = Literal["auto", "random", "block", "folder"]

TRAIN, VALIDATION = "train", "val"
"""What the `split` column of polygons and footprints says."""
TEST = "test"
LABELS = {
    **{"train": TRAIN, "training": TRAIN, "test": TEST, "testing": TEST},
    **{"val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION},
}
"""What labels mean, in any case and with blanks around them."""


def known_label(value: object) -> str | None:
    """Return what a label means; None for none of ours."""
    return LABELS.get(value.strip().lower()) if isinstance(value, str) else None


@dataclass(frozen=True, slots=True)
class Split:
    """Positions of the pairs used for training and validation, and of those used for neither."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    left_out: tuple[int, ...] = ()

    @classmethod
    def of_labels(cls, labels: Sequence[object]) -> Split:
        """Return the split that a label for each pair says; others than ours are left out.

        Raises:
            InvalidInputError: No pair is labelled for training, or none for validation.
        """
        places: dict[str | None, list[int]] = {TRAIN: [], VALIDATION: [], None: []}
        for position, label in enumerate(labels):
            meant = known_label(label)
            places[meant if meant in places else None].append(position)
        for label in (TRAIN, VALIDATION):
            if not places[label]:
                found = ", ".join(sorted({repr(found) for found in labels})[:5])
                raise InvalidInputError(
                    f"The split labels no pair {label!r} (found {found}); label pairs {TRAIN!r} "
                    f"and {VALIDATION!r}, or choose split='random' or 'block'."
                )
        return cls(*(tuple(places[label]) for label in (TRAIN, VALIDATION, None)))

    def within(self, positions: Sequence[int], count: int) -> Split:
        """Return the split of `count` pairs that this one is of those at some positions."""
        train, validation = (
            tuple(positions[i] for i in part) for part in (self.train, self.validation)
        )
        return Split(train, validation, _others(count, {*train, *validation}))


def split_pairs(
    count: int,
    share: float,
    seed: int,
    footprints: Sequence[Polygon] | None = None,
    chip_size: int = 1,
    *,
    method: str = "auto",
    buffer: float = 0.0,
) -> Split:
    """Choose validation pairs reproducibly: at least one, and at least one for training.

    `random` takes them anywhere. `block` takes a random pair and those nearest to it, so that
    they form one patch. Training pairs that share ground with a validation pair are left out;
    for `block` also those nearer than a pixel and the buffer. `auto` is `block` where chips
    overlap and `random` elsewhere.

    Args:
        count: Number of pairs, at least 2.
        share: Share of them to validate on, 0 to 1.
        seed: Same seed, same split.
        footprints: Outlines on the ground, in one CRS; None where chips are not georeferenced.
        method: See above.
        chip_size: Side of the chips, px, which tells how large a pixel is.
        buffer: Least distance between training and validation chips in CRS units.

    Raises:
        InvalidInputError: None is left to train on, or `block` is asked for without footprints.
    """
    if method not in ("auto", "random", "block") or not 0 <= buffer < math.inf:
        raise InvalidInputError(
            f"split is {method!r} with buffer {buffer}; give one of "
            f"{', '.join(get_args(SplitMethod))} and a buffer of 0 or more."
        )
    chance = random.Random(seed)
    wanted = min(max(round(count * share), 1), count - 1)
    if footprints is None:
        if method == "block":
            raise InvalidInputError(
                "split='block' needs chips with a CRS, and these have none; choose 'random'."
            )
        validation = set(chance.sample(range(count), wanted))
        return Split(_others(count, validation), tuple(sorted(validation)))
    ground = Ground(footprints)
    if method == "random" or (method == "auto" and not len(ground.overlaps())):
        validation = set(chance.sample(range(count), wanted))
        near = _near(ground, validation, buffer)
    else:
        validation = set(ground.nearest(chance.randrange(count), wanted))
        pixel = max(outline.area for outline in footprints) ** 0.5 / chip_size
        near = ground.within(validation, pixel + buffer)
    near -= validation
    train = _others(count, validation | near)
    if not train:
        raise InvalidInputError(
            f"Each of the {count} chips overlaps a validation chip on the ground or lies within "
            "the buffer, so none is left to train on; export more chips, with a larger stride, "
            "or lower val_split_pct."
        )
    return Split(train, tuple(sorted(validation)), tuple(sorted(near)))


def split_by_polygons(
    footprints: Sequence[Polygon], areas: gpd.GeoDataFrame, column: str, buffer: float = 0.0
) -> Split:
    """Give each chip the label of the polygons that hold it wholly; others are left out.

    Args:
        footprints: Outlines of the chips, in the CRS of the areas.
        areas: Polygons.
        column: Their column of labels, "train" or "val", in any case.
        buffer: Least distance between training and validation chips in CRS units.

    Raises:
        InvalidInputError: The column is missing, or no chip lies in one kind of polygon.
    """
    if column not in areas.columns:
        names = ", ".join(str(name) for name in areas.columns)
        raise InvalidInputError(
            f"The split polygons have no column {column!r} (but {names}); add one that says "
            f"{TRAIN!r} or {VALIDATION!r}."
        )
    meant = areas[column].map(known_label)
    merged = {label: areas[meant == label].union_all() for label in (VALIDATION, TRAIN)}
    for area in merged.values():
        prepare(area)
    inner = [outline.buffer(-1e-6 * outline.length) for outline in footprints]
    labels = [
        next((label for label, area in merged.items() if area.covers(outline)), None)
        for outline in inner
    ]
    return keep_apart(Split.of_labels(labels), footprints, buffer)


def keep_apart(split: Split, footprints: Sequence[Polygon], buffer: float = 0.0) -> Split:
    """Leave out the training pairs that share ground with a validation pair, or are too near.

    Args:
        split: What someone chose.
        footprints: Outlines of the chips, in one CRS.
        buffer: Least distance between training and validation chips in CRS units.

    Raises:
        InvalidInputError: None is left to train on, or the buffer is no distance.
    """
    if not 0 <= buffer < math.inf:
        raise InvalidInputError(f"buffer is {buffer}; give a distance of 0 or more.")
    near = _near(Ground(footprints), split.validation, buffer) & set(split.train)
    train = tuple(i for i in split.train if i not in near)
    if not train:
        raise InvalidInputError(
            "Every training chip of the split overlaps a validation chip on the ground or lies "
            "within the buffer; keep the two apart, or lower the buffer."
        )
    return Split(train, split.validation, tuple(sorted({*split.left_out, *near})))


def _near(ground: Ground, chips: Collection[int], buffer: float) -> set[int]:
    """Return the chips that share ground with some, or are nearer to them than the buffer."""
    shared = ground.sharing(chips)
    return shared | ground.within(chips, buffer) if buffer else shared


def _others(count: int, taken: set[int]) -> tuple[int, ...]:
    return tuple(i for i in range(count) if i not in taken)
