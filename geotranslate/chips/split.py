"""Divide pairs into training and validation so that the two never share ground."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import geopandas as gpd
from rasterio.crs import CRS
from shapely import STRtree, prepare
from shapely.geometry import Polygon

from geotranslate.errors import InvalidInputError
from geotranslate.raster.grid import Grid

SplitMethod = Literal["auto", "random", "block", "folder"]

TRAIN, VALIDATION = "train", "val"
"""What the `split` column of polygons and footprints says."""


@dataclass(frozen=True, slots=True)
class Split:
    """Positions of the pairs used for training and validation, and of those used for neither."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    left_out: tuple[int, ...] = ()

    @classmethod
    def of_labels(cls, labels: Sequence[str | None]) -> Split:
        """Return the split that a label for each pair says; others than ours are left out.

        Raises:
            InvalidInputError: No pair is labelled for training, or none for validation.
        """
        places: dict[str | None, list[int]] = {TRAIN: [], VALIDATION: [], None: []}
        for position, label in enumerate(labels):
            places[label if label in places else None].append(position)
        for label in (TRAIN, VALIDATION):
            if not places[label]:
                found = ", ".join(sorted({repr(found) for found in labels})[:5])
                raise InvalidInputError(
                    f"The split labels no pair {label!r} (found {found}); label pairs {TRAIN!r} "
                    f"and {VALIDATION!r}, or choose split='random' or 'block'."
                )
        return cls(*(tuple(places[label]) for label in (TRAIN, VALIDATION, None)))


def footprints(grids: Sequence[Grid]) -> gpd.GeoSeries:
    """Return the outlines of grids in their CRS, or in EPSG:4326 where they differ in CRS.

    Projected into each other's CRS, outlines of far apart places would be nonsense.
    """
    known = {grid.crs for grid in grids}
    crs = known.pop() if len(known) == 1 else CRS.from_epsg(4326)
    return gpd.GeoSeries([grid.footprint_in(crs) for grid in grids], crs=crs)


def split_pairs(
    count: int,
    share: float,
    seed: int,
    footprints: Sequence[Polygon] | None = None,
    chip_size: int = 1,
    *,
    method: SplitMethod = "auto",
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
    ground = _Ground(footprints)
    if method == "random" or (method == "auto" and not ground.overlapping()):
        validation = set(chance.sample(range(count), wanted))
        near = ground.sharing(validation) | ground.within(validation, buffer if buffer else -1)
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


def split_by_polygons(footprints: Sequence[Polygon], areas: gpd.GeoDataFrame, column: str) -> Split:
    """Give each chip the label of the polygons that hold it wholly; others are left out.

    Args:
        footprints: Outlines of the chips, in the CRS of the areas.
        areas: Polygons.
        column: Their column of labels, "train" or "val".

    Raises:
        InvalidInputError: The column is missing, or no chip lies in one kind of polygon.
    """
    if column not in areas.columns:
        names = ", ".join(str(name) for name in areas.columns)
        raise InvalidInputError(
            f"The split polygons have no column {column!r} (but {names}); add one that says "
            f"{TRAIN!r} or {VALIDATION!r}."
        )
    merged = {label: areas[areas[column] == label].union_all() for label in (VALIDATION, TRAIN)}
    for area in merged.values():
        prepare(area)
    inner = [outline.buffer(-1e-6 * outline.length) for outline in footprints]
    labels = [
        next((label for label, area in merged.items() if area.covers(outline)), None)
        for outline in inner
    ]
    return keep_apart(Split.of_labels(labels), footprints)


def keep_apart(split: Split, footprints: Sequence[Polygon]) -> Split:
    """Leave out the training pairs that share ground with a validation pair.

    Raises:
        InvalidInputError: None is left to train on.
    """
    shared = _Ground(footprints).sharing(split.validation) & set(split.train)
    train = tuple(i for i in split.train if i not in shared)
    if not train:
        raise InvalidInputError(
            "Every training chip of the split overlaps a validation chip on the ground; keep the "
            "two apart."
        )
    return Split(train, split.validation, tuple(sorted({*split.left_out, *shared})))


class _Ground:
    """Which chips share ground, and which lie next to each other."""

    def __init__(self, footprints: Sequence[Polygon]) -> None:
        self._footprints = list(footprints)
        # Chips side by side share a line, whose last digits may cross: only area counts.
        self._inner = [outline.buffer(-1e-6 * outline.length) for outline in footprints]
        self._tree = STRtree(self._inner)

    def overlapping(self) -> bool:
        first, second = self._tree.query(self._inner, predicate="intersects")
        return bool((first != second).any())

    def nearest(self, chip: int, count: int) -> list[int]:
        middle = self._inner[chip].centroid
        away = [(middle.distance(other.centroid), i) for i, other in enumerate(self._inner)]
        return [i for _, i in sorted(away)[:count]]

    def sharing(self, chips: Iterable[int]) -> set[int]:
        return self._found([self._inner[i] for i in chips], "intersects", None)

    def within(self, chips: Iterable[int], distance: float) -> set[int]:
        if distance < 0:
            return set()
        # Inner outlines are a trifle smaller than the chips.
        reach = distance * (1 + 1e-6)
        return self._found([self._footprints[i] for i in chips], "dwithin", reach)

    def _found(self, outlines: list[Polygon], predicate: str, distance: float | None) -> set[int]:
        return {
            int(i) for i in self._tree.query(outlines, predicate=predicate, distance=distance)[1]
        }


def _others(count: int, taken: set[int]) -> tuple[int, ...]:
    return tuple(i for i in range(count) if i not in taken)
