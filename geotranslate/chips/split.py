"""Divide pairs into training and validation so that the two never share ground."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from shapely import STRtree
from shapely.geometry import Polygon

from geotranslate.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Split:
    """Positions of the pairs used for training and validation, and of those used for neither."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    left_out: tuple[int, ...] = ()


def split_pairs(
    count: int, share: float, seed: int, footprints: Sequence[Polygon] | None = None
) -> Split:
    """Choose validation pairs at random, reproducibly; at least one, and one for training.

    Where chips overlap on the ground the validation pairs are the neighbours of a random one, so
    that they form one patch, and the training pairs that overlap the patch are left out.

    Args:
        count: Number of pairs, at least 2.
        share: Share of them to validate on, 0 to 1.
        seed: Same seed, same split.
        footprints: Outlines on the ground, in one CRS; None where chips are not georeferenced.

    Raises:
        InvalidInputError: The chips overlap so much that none is left to train on.
    """
    chance = random.Random(seed)
    wanted = min(max(round(count * share), 1), count - 1)
    ground = None if footprints is None else _Ground(footprints)
    if ground is None or not ground.overlaps:
        validation = set(chance.sample(range(count), wanted))
        return Split(_others(count, validation), tuple(sorted(validation)))
    validation = set(ground.nearest(chance.randrange(count), wanted))
    shared = ground.sharing(validation) - validation
    train = _others(count, validation | shared)
    if not train:
        raise InvalidInputError(
            f"Each of the {count} chips overlaps a validation chip on the ground, so none is left "
            "to train on; export more chips, with a larger stride, or lower val_split_pct."
        )
    return Split(train, tuple(sorted(validation)), tuple(sorted(shared)))


class _Ground:
    """Which chips share ground, and which lie next to each other."""

    def __init__(self, footprints: Sequence[Polygon]) -> None:
        # Chips side by side share a line, whose last digits may cross: only area counts.
        self.footprints = [outline.buffer(-1e-6 * outline.length) for outline in footprints]
        first, second = STRtree(self.footprints).query(self.footprints, predicate="intersects")
        self.pairs = [(int(a), int(b)) for a, b in zip(first, second, strict=True) if a != b]

    @property
    def overlaps(self) -> bool:
        return bool(self.pairs)

    def nearest(self, chip: int, count: int) -> list[int]:
        middle = self.footprints[chip].centroid
        away = [(middle.distance(other.centroid), i) for i, other in enumerate(self.footprints)]
        return [i for _, i in sorted(away)[:count]]

    def sharing(self, chips: set[int]) -> set[int]:
        return {b for a, b in self.pairs if a in chips}


def _others(count: int, taken: set[int]) -> tuple[int, ...]:
    return tuple(i for i in range(count) if i not in taken)
