"""Classes of a scene, by number or by color, and their confusion matrix."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from geotranslate.checks import number, shown, whole_number
from geotranslate.errors import InvalidInputError
from geotranslate.evaluation.quantities import Found, Layout
from geotranslate.evaluation.similarity import Array, Mask

ClassesLike: TypeAlias = "bool | Sequence[int] | Mapping[int, str]"
PaletteLike: TypeAlias = "Sequence[Sequence[float]] | Mapping[int, Sequence[float]]"

MOST_CLASSES = 256
"""Largest number of classes: their confusion matrix is counted for every block of ground."""
LARGEST = 2**53
"""Largest number of a class, up to which floats hold every whole number."""
SCORES = ("precision", "recall", "f1", "iou")


@dataclass(frozen=True)
class ClassKey:
    """The classes of a scene: their numbers, names and, in colored maps, colors."""

    numbers: tuple[int, ...]
    names: tuple[str, ...]
    colors: tuple[tuple[float, ...], ...] = ()
    tolerance: float = math.inf

    def labels(self, values: Array) -> NDArray[np.int64]:
        """Return places of the classes of `(bands, rows, cols)`, as many as classes for none."""
        if self.colors and len(values) == len(self.colors[0]):
            return self._nearest(values)
        ordered = np.array(self.numbers, float)
        order = np.argsort(ordered)
        place = np.searchsorted(ordered[order], values[0]).clip(max=len(order) - 1)
        found: NDArray[np.int64] = order[place]
        return np.where(ordered[found] == values[0], found, len(order))

    def _nearest(self, values: Array) -> NDArray[np.int64]:
        """Return the class of the nearest color, the first of those that are equally near."""
        best = np.full(values.shape[1:], np.inf)
        place = np.full(values.shape[1:], len(self.colors), np.int64)
        for label, color in enumerate(self.colors):
            away = ((values - np.array(color)[:, None, None]) ** 2).sum(0)
            nearer = (away < best) & (away <= self.tolerance**2)
            place[nearer], best = label, np.where(nearer, away, best)
        return place


def key_of_palette(
    palette: object, tolerance: float | None, classes: ClassesLike | None
) -> ClassKey:
    """Return the classes of a palette.

    Raises:
        InvalidInputError: The palette is no list of colors, or the classes are others.
    """
    table: Any = palette
    try:
        if not isinstance(table, Mapping):
            table = dict(enumerate(table))
        colors = np.array(list(table.values()), np.float64)
    except (TypeError, ValueError, OverflowError):
        table, colors = {}, np.empty(0)
    if colors.ndim != 2 or not colors.size or not np.isfinite(colors).all():
        raise InvalidInputError(
            f"palette is {shown(palette)}; give for each class its values in all bands, in a list "
            "or a dict by class number."
        )
    most = math.inf if tolerance is None else number("tolerance", tolerance, least=0)
    numbers = _numbers("palette", list(table))
    names = dict(zip(numbers, map(str, numbers), strict=True))
    if isinstance(classes, Mapping) or (classes is not None and not isinstance(classes, bool)):
        given = key_of_numbers(classes)
        if set(given.numbers) != set(numbers):
            raise InvalidInputError(
                f"classes is {shown(classes)}, but the palette has colors of {shown(numbers)}; "
                "give the same classes in both."
            )
        names = dict(zip(given.numbers, given.names, strict=True))
    rows = tuple(tuple(map(float, row)) for row in colors.tolist())
    return ClassKey(numbers, tuple(names[each] for each in numbers), rows, most)


def key_of_numbers(classes: Any) -> ClassKey:
    """Return classes that are given by number, or by number and name.

    Raises:
        InvalidInputError: They are no whole numbers, or too many.
    """
    try:
        given = list(classes)
    except TypeError:
        given = []
    if not given or isinstance(classes, str | bytes):
        raise InvalidInputError(
            f"classes is {shown(classes)}; give True, False, a list of class numbers, or a dict "
            "from class numbers to names."
        )
    numbers = _numbers("classes", given)
    named = isinstance(classes, Mapping)
    return ClassKey(numbers, tuple(str(classes[n]) if named else str(n) for n in numbers))


def _numbers(name: str, given: Sequence[Any]) -> tuple[int, ...]:
    many = len(given) > MOST_CLASSES
    found = (
        ()
        if many
        else tuple(whole_number(f"a class of {name}", n, -LARGEST, LARGEST) for n in given)
    )
    if many or len(set(found)) < len(found):
        raise InvalidInputError(
            f"{name} is {shown(given)}; give at most {MOST_CLASSES} classes, each once."
        )
    return found


@dataclass(frozen=True)
class Labeled:
    """The counted pixels of a window as places of classes `(rows, cols)`."""

    prediction: NDArray[np.int64]
    reference: NDArray[np.int64]
    valid: Mask

    def cut(self, rows: slice, cols: slice) -> Labeled:
        """Return the pixels of some rows and columns."""
        return Labeled(
            self.prediction[rows, cols], self.reference[rows, cols], self.valid[rows, cols]
        )


class ClassSums:
    """Confusion matrix of classes, and the measures that follow from it.

    `accuracy` is the share of pixels with the right class and `kappa` Cohen's kappa (1960,
    doi:10.1177/001316446002000104). `precision`, `recall`, `f1` and `iou` are means over the
    classes that occur in prediction or reference, 0 for a ratio of 0 to 0. A pixel whose reference
    is none of the classes is left out (`left_out` is their number); one whose prediction is none of
    them is wrong.

    Args:
        key: The classes.
    """

    def __init__(self, key: ClassKey) -> None:
        self.key, self.count = key, len(key.numbers)
        self.layout = Layout({"confusion": self.count * (self.count + 1), "left_out": 1})

    def sums(self, labeled: Labeled, mask: Mask | None = None) -> Array:
        """Return the counts of a window, or of the pixels of a mask."""
        chosen = labeled.valid if mask is None else labeled.valid & mask
        known = chosen & (labeled.reference < self.count)
        pairs = labeled.reference[known] * (self.count + 1) + labeled.prediction[known]
        counts = np.bincount(pairs, minlength=self.count * (self.count + 1))
        left = np.array([chosen.sum() - known.sum()], float)
        return self.layout.packed({"confusion": counts.astype(float), "left_out": left})

    def confusion(self, sums: Array) -> Array:
        """Return pixels `(..., classes, classes + 1)`: rows are the reference's classes.

        The last column holds pixels whose prediction is none of the classes.
        """
        counts = self.layout.split(sums)["confusion"]
        return counts.reshape(*counts.shape[:-1], self.count, self.count + 1)

    def measures(self, sums: Array) -> Found:
        """Return the measures of counts `(..., size)`."""
        counts = self.confusion(sums)
        right, true, said = _margins(counts)
        total = true.sum(-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            accuracy = right.sum(-1) / total
            chance = (true * said).sum(-1) / total**2
            scores = _scores(right, true, said)
            seen = (true + said > 0).sum(-1)
            means = {
                name: (np.nansum(each, -1) / np.where(seen > 0, seen, np.nan), None)
                for name, each in scores.items()
            }
            kappa = np.where(chance < 1, (accuracy - chance) / (1 - chance), np.nan)
        left = self.layout.split(sums)["left_out"][..., 0]
        return {
            "accuracy": (accuracy, None),
            "kappa": (kappa, None),
            **means,
            "left_out": (left, None),
            "count": (total, None),
        }

    def measures_by_class(self, sums: Array) -> Found:
        """Return the measures of counts `(..., size)`, and IoU and F1 of every class."""
        scores = _scores(*_margins(self.confusion(sums)))
        each: Found = {
            f"{score}_{name}": (scores[score][..., label], None)
            for score in ("iou", "f1")
            for label, name in enumerate(self.key.names)
        }
        return self.measures(sums) | each

    def by_class(self, sums: Array) -> dict[str, dict[str, float]]:
        """Return scores and number of reference pixels of every class, by its name."""
        right, true, said = _margins(self.confusion(sums))
        scores = _scores(right, true, said) | {"count": true}
        return {
            name: {score: float(values[label]) for score, values in scores.items()}
            for label, name in enumerate(self.key.names)
        }


def _margins(counts: Array) -> tuple[Array, Array, Array]:
    """Return right pixels, pixels of the reference and of the prediction by class."""
    right = np.diagonal(counts[..., :-1], axis1=-2, axis2=-1)
    return right, counts.sum(-1), counts[..., :-1].sum(-2)


def _scores(right: Array, true: Array, said: Array) -> dict[str, Array]:
    """Return the scores by class, NaN for one that occurs nowhere."""
    seen = true + said > 0
    wholes = (said, true, true + said, true + said - right)
    parts = (right, right, 2 * right, right)
    return {
        name: np.where(seen, part / np.maximum(whole, 1), np.nan)
        for name, part, whole in zip(SCORES, parts, wholes, strict=True)
    }
