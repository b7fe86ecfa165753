"""Methods that divide pairs: at random, by a patch, by labels or by polygons."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray
from shapely import (
    STRtree,
    area,
    centroid,
    covers,
    get_coordinates,
    intersection,
    prepare,
    union_all,
)
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from geotranslate.checks import shown
from geotranslate.chips.chip import Mask
from geotranslate.chips.layouts.base import TEST, TRAIN, VALIDATION, known_label
from geotranslate.chips.vectors import Ground
from geotranslate.errors import InvalidInputError

SplitMethod = Literal["auto", "random", "block", "folder"]

BLOCKS_TRIED = 24
"""Number of patches that are tried: few enough that another seed chooses another place."""
LEAST_VALID = 0.9
"""Smallest share of valid pixels of a patch, relative to the mean of all pairs."""
CORNER_SEGMENTS = 16


@dataclass(frozen=True, slots=True)
class Split:
    """Positions of pairs for training, for validation, and for neither."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    left_out: tuple[int, ...] = ()
    tests: tuple[int, ...] = ()
    """Those of `left_out` that are kept for tests."""
    masks: Mapping[int, Mask] = field(default_factory=dict, compare=False, repr=False)
    """Hidden pixels of the targets of training pairs, by position."""
    hidden: BaseGeometry | None = field(default=None, compare=False, repr=False)
    """Ground of these pixels, in the CRS of the outlines."""

    @property
    def held(self) -> tuple[int, ...]:
        """Positions of the pairs whose ground is not learned from: for validation and for tests."""
        return (*self.validation, *self.tests)

    @classmethod
    def of_labels(cls, labels: Sequence[object]) -> Split:
        """Return the split given by a label for each pair.

        Pairs for tests and pairs with other labels are left out.

        Raises:
            InvalidInputError: No pair is labeled for training, or none for validation.
        """
        places: dict[str | None, list[int]] = {TRAIN: [], VALIDATION: [], TEST: [], None: []}
        for position, label in enumerate(labels):
            places[known_label(label)].append(position)
        for label in (TRAIN, VALIDATION):
            if not places[label]:
                found = ", ".join(sorted({repr(found) for found in labels})[:5])
                raise InvalidInputError(
                    f"The split labels no pair {label!r} (found {found}); label pairs {TRAIN!r} "
                    f"and {VALIDATION!r}, or choose split='random' or 'block'."
                )
        train, validation, tests = (tuple(places[label]) for label in (TRAIN, VALIDATION, TEST))
        return cls(train, validation, tuple(sorted([*tests, *places[None]])), tests)

    def among(self, positions: Sequence[int]) -> Split:
        """Return the split of the pairs at some positions, renumbered, without masks."""
        places = {position: i for i, position in enumerate(positions)}
        train, validation, left_out, tests = (
            tuple(places[i] for i in part if i in places)
            for part in (self.train, self.validation, self.left_out, self.tests)
        )
        return Split(train, validation, left_out, tests, hidden=self.hidden)

    def within(self, positions: Sequence[int], count: int) -> Split:
        """Return this split of the pairs at some positions as a split of `count` pairs."""
        train, validation = (
            tuple(positions[i] for i in part) for part in (self.train, self.validation)
        )
        return Split(train, validation, _others(count, {*train, *validation}))


def split_pairs(
    count: int,
    share: float,
    seed: int,
    footprints: Sequence[Polygon] | None = None,
    *,
    method: str = "auto",
    buffer: float = 0.0,
    valid: Sequence[float] | None = None,
) -> Split:
    """Choose validation pairs reproducibly: at least one, and at least one for training.

    A share of 0 chooses none, and a share of 1 all.

    `random` chooses them anywhere. `block` chooses a pair and its nearest ones, so that they form
    one patch: of several random patches, the one that takes least ground from the other pairs.
    `auto` is `block` if chips overlap and `random` otherwise. All others are for training;
    `keep_apart` and `hide_validation` treat the ground that they share with validation pairs.

    Args:
        count: Number of pairs, at least 2 unless the share is 0 or 1.
        share: Share of pairs for validation, 0 to 1.
        seed: Seed; the same seed gives the same split.
        footprints: Outlines on the ground, in one CRS; None if chips are not georeferenced.
        method: `random`, `block` or `auto`.
        buffer: Least distance between training and validation ground in CRS units.
        valid: Share of valid pixels of every pair, 0 to 1; all 1 by default.

    Raises:
        InvalidInputError: The method or the buffer is invalid, or `block` is asked for without
            footprints.
    """
    if method not in ("auto", "random", "block") or not 0 <= buffer < math.inf:
        raise InvalidInputError(
            f"split is {shown(method)} with buffer {shown(buffer)}; give one of "
            f"{', '.join(get_args(SplitMethod))} and a buffer of 0 or more."
        )
    if footprints is None and method == "block":
        raise InvalidInputError(
            "split='block' needs chips with a CRS, and these have none; choose 'random'."
        )
    if share in (0, 1):
        everything = tuple(range(count))
        return Split(everything, ()) if share == 0 else Split((), everything)
    chance = random.Random(seed)
    wanted = min(max(round(count * share), 1), count - 1)
    if (
        footprints is None
        or method == "random"
        or (method == "auto" and not len(Ground(footprints).overlaps()))
    ):
        validation = set(chance.sample(range(count), wanted))
    else:
        starts = chance.sample(range(count), min(count, BLOCKS_TRIED))
        weights = np.ones(count) if valid is None else np.asarray(valid, np.float64)
        validation = cheapest_block(footprints, wanted, starts, buffer, weights)
    return Split(_others(count, validation), tuple(sorted(validation)))


def cheapest_block(
    footprints: Sequence[Polygon],
    wanted: int,
    starts: Sequence[int],
    buffer: float,
    valid: NDArray[np.float64],
) -> set[int]:
    """Return the patch of validation pairs that takes least ground from training pairs.

    A patch takes the area of other pairs within it and its buffer, weighted by their valid pixels:
    little at edges, in corners and beside gaps between scenes. Patches with far fewer valid pixels
    than average are used only if there are no others, so that a corner of nodata is not chosen.

    Args:
        footprints: Outlines on the ground, in one CRS.
        wanted: Number of pairs of the patch.
        starts: Pairs around which patches are tried; of equally good patches the first is chosen.
        buffer: Least distance between training and validation ground in CRS units.
        valid: Share of valid pixels of every pair.
    """
    outlines = np.array(footprints, dtype=object)
    middles = get_coordinates(centroid(outlines))
    tree = STRtree(outlines)
    best: tuple[bool, float] | None = None
    cheapest: set[int] = set()
    for start in starts:
        away = np.hypot(*(middles - middles[start]).T)
        block = np.argsort(away, kind="stable")[:wanted]
        ground = grown(union_all(outlines[block]), buffer)
        others = np.setdiff1d(tree.query(ground, predicate="intersects"), block)
        taken = float((area(intersection(outlines[others], ground)) * valid[others]).sum())
        cost = bool(valid[block].mean() < LEAST_VALID * valid.mean()), taken
        if best is None or cost < best:
            best, cheapest = cost, set(block.tolist())
    return cheapest


def grown(ground: BaseGeometry, buffer: float) -> BaseGeometry:
    """Return ground grown by a distance, and slightly more at corners."""
    if not buffer:
        return ground
    # GEOS approximates round corners by chords, which are nearer by the cosine of half their angle.
    further = buffer / math.cos(math.pi / (4 * CORNER_SEGMENTS))
    return ground.buffer(buffer, join_style="mitre") & ground.buffer(further, CORNER_SEGMENTS)


def split_by_polygons(
    footprints: Sequence[Polygon], areas: gpd.GeoDataFrame, column: str
) -> tuple[Split, BaseGeometry]:
    """Divide chips by the polygons that contain them; also return the validation ground.

    Chips wholly in polygons for validation are for validation. Other chips wholly in the polygons
    of both kinds together are for training, without the validation ground. All others are left out.

    Args:
        footprints: Outlines of the chips, in the CRS of the areas.
        areas: Polygons.
        column: Column of their labels, "train" or "val", in any case.

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
    validation = merged[VALIDATION]
    both = union_all([validation, merged[TRAIN]])
    inner = np.array([outline.buffer(-1e-6 * outline.length) for outline in footprints], object)
    for shape in (validation, both):
        prepare(shape)
    labels = np.full(len(inner), None, object)
    labels[covers(both, inner)] = TRAIN
    labels[covers(validation, inner)] = VALIDATION
    return Split.of_labels(labels.tolist()), validation


def _others(count: int, taken: set[int]) -> tuple[int, ...]:
    return tuple(i for i in range(count) if i not in taken)
