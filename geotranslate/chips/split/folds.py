"""Folds of a cross-validation: disjoint parts of the chips, each of which validates once."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from shapely import centroid, get_coordinates
from shapely.geometry import Polygon

from geotranslate.checks import shown, whole_number
from geotranslate.chips.split.methods import Split
from geotranslate.chips.vectors import Ground
from geotranslate.errors import InvalidInputError


def chosen_fold(folds: int | None, fold: int | None) -> tuple[int, int] | None:
    """Return the position of a fold and the number of folds; None if both are None.

    Raises:
        InvalidInputError: One of the two is missing, or a number is out of its range.
    """
    if folds is None and fold is None:
        return None
    if folds is None or fold is None:
        raise InvalidInputError(
            f"folds is {shown(folds)} and fold is {shown(fold)}; give both, the number of folds "
            "and the position, from 0, of the one that validates."
        )
    count = whole_number("folds", folds, 2)
    return whole_number("fold", fold, 0, count - 1), count


def split_fold(
    count: int,
    fold: tuple[int, int],
    seed: int,
    footprints: Sequence[Polygon] | None,
    *,
    method: str,
    noun: str,
) -> Split:
    """Return the split of one fold, whose chips validate; all others are for training.

    With `block`, and with `auto` if chips overlap, the folds are compact areas of equal numbers of
    chips, made by halving the chips again and again along their longer extent. Otherwise they are
    drawn at random.

    Args:
        count: Number of chips.
        fold: Position of the fold, from 0, and number of folds.
        seed: Seed of random folds.
        footprints: Outlines on the ground, in one CRS; None if chips are not georeferenced.
        method: `random`, `block` or `auto`.
        noun: Name of the chips, for errors.

    Raises:
        InvalidInputError: There are fewer chips than folds, or `block` is asked for without
            footprints.
    """
    number, folds = fold
    if count < folds:
        raise InvalidInputError(
            f"folds is {folds}, but there are {count} {noun}s; give at most as many folds."
        )
    if footprints is None and method == "block":
        raise InvalidInputError(
            "split='block' needs chips with a CRS, and these have none; choose 'random'."
        )
    together = method == "block" or (method == "auto" and footprints is not None)
    if footprints is not None and together and (method == "block" or _overlap(footprints)):
        middles = get_coordinates(centroid(np.array(footprints, dtype=object)))
        validation = {int(i) for i in areas(middles, folds)[number]}
    else:
        order = random.Random(seed).sample(range(count), count)
        validation = set(order[number::folds])
    train = tuple(i for i in range(count) if i not in validation)
    return Split(train, tuple(sorted(validation)))


def areas(middles: NDArray[np.float64], folds: int) -> list[NDArray[np.intp]]:
    """Divide points into compact areas of nearly equal numbers of points.

    Args:
        middles: Points `(n, 2)`, at least as many as there are folds.
        folds: Number of areas.

    Returns:
        The positions of the points of each area.
    """
    return _divided(middles, np.arange(len(middles)), folds)


def _divided(
    middles: NDArray[np.float64], places: NDArray[np.intp], folds: int
) -> list[NDArray[np.intp]]:
    if folds == 1:
        return [places]
    extent = np.ptp(middles[places], axis=0)
    longer = int(extent[1] > extent[0])
    # The other axis decides between points of one line.
    order = places[np.lexsort((middles[places, 1 - longer], middles[places, longer]))]
    first = folds // 2
    cut = round(len(order) * first / folds)
    return [
        *_divided(middles, order[:cut], first),
        *_divided(middles, order[cut:], folds - first),
    ]


def _overlap(footprints: Sequence[Polygon]) -> bool:
    return len(Ground(footprints).overlaps()) > 0
