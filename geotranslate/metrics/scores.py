"""Results of measures as numbers, text and tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geotranslate.checks import shown
from geotranslate.errors import InvalidInputError, UnknownMeasureError
from geotranslate.schema import (
    Fields,
    Json,
    Later,
    any_number,
    anything,
    optional,
    record,
    several,
    table,
    whole,
)
from geotranslate.tables import as_html, as_text

Scores = dict[str, float]

COUNT = whole(0, 2**63 - 1)


@dataclass(frozen=True, eq=False, repr=False)
class Metrics(Mapping[str, float]):
    """Measures by name, of all bands together, of each band and of each class.

    `print` shows them as text, notebooks as tables. NaN stands for a measure that is not
    defined for the pixels that were compared.
    """

    overall: Scores = field(default_factory=dict)
    """The measures of all bands together, which the mapping holds."""
    per_band: dict[str, Scores] = field(default_factory=dict)
    """By the names of the bands, or "band 1" and so on; measures that a single band can have."""
    per_class: dict[str, Scores] = field(default_factory=dict)
    """Precision, recall, F1, IoU and pixels in the target, by the values of the class."""
    confusion: NDArray[np.int64] | None = None
    """Pixels `(classes, classes)` in the order of `per_class`: rows are the target's, columns the
    translation's; None where there are no classes."""
    per_scene: dict[str, Scores] = field(default_factory=dict)
    """By the names of the scenes of the validation pairs, if several are known: `mae`, and
    `distance` of the scene's sources from the training data, in standard deviations."""

    def __getitem__(self, name: str) -> float:
        if name not in self.overall:
            lower = name.lower() if isinstance(name, str) else name
            here = f"it is {lower!r} here" if lower in self.overall else self._names()
            raise UnknownMeasureError(f"There is no measure {shown(name)}; {here}.")
        return self.overall[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.overall)

    def __len__(self) -> int:
        return len(self.overall)

    def __eq__(self, other: object) -> bool:
        # As text, because NaN is not equal to itself.
        if isinstance(other, Metrics):
            return repr(self.to_json()) == repr(other.to_json())
        return super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Metrics({self.overall})"

    def __str__(self) -> str:
        return "\n\n".join(map(as_text, self._tables()))

    def _repr_html_(self) -> str:
        return "".join(as_html(table, "right") for table in self._tables())

    def _names(self) -> str:
        names = ", ".join(self.overall) or "none, before compute_metrics"
        return (
            f"there are {names}; lpips and fid are computed only by name, compute_metrics(['fid'])"
        )

    def over(self, errors: Mapping[str, float]) -> Metrics:
        """Return the metrics with the skill over simpler translations: 1 - MAE / their MAE.

        Args:
            errors: Mean absolute errors by the names of the simpler translations.
        """
        skills = {
            f"skill_over_{name}": 1 - self.overall["mae"] / error if error > 0 else math.nan
            for name, error in errors.items()
        }
        return replace(self, overall=self.overall | skills)

    def to_json(self) -> Json:
        """Return plain values: the measures of all bands, and tables of bands and classes."""
        extra = {
            "per_band": self.per_band,
            "per_class": self.per_class,
            "confusion": None if self.confusion is None else self.confusion.tolist(),
            "per_scene": self.per_scene,
        }
        return self.overall | {name: value for name, value in extra.items() if value}

    @classmethod
    def from_json(cls, values: Json, name: str = "metrics") -> Metrics:
        """Rebuild metrics from `to_json`; numbers may be strings, as JSON has no infinity.

        Args:
            values: The plain values.
            name: Their name in errors.

        Raises:
            InvalidInputError: The values are not such numbers.
        """
        given = table(anything)(name, values)
        overall = {key: value for key, value in given.items() if key not in EXTRA}
        extra = record(EXTRA)(name, {key: given[key] for key in EXTRA if key in given})
        metrics = cls(_scores(name, overall), **extra)
        rows, confusion = list(metrics.per_class.values()), metrics.confusion
        if any(row.keys() != rows[0].keys() for row in rows):
            raise InvalidInputError(f"{name}.per_class has other measures for each class.")
        if confusion is not None and confusion.shape != (len(rows), len(rows)):
            raise InvalidInputError(f"{name}.confusion is not one of {len(rows)} classes.")
        return metrics

    def _tables(self) -> list[list[list[str]]]:
        """Return tables of text, each with a row and a column of titles."""
        bands = self.per_band if len(self.per_band) > 1 else {}
        rows = [["", "all", *bands]] if bands else []
        for name, value in self.overall.items():
            cells = [_shown(band[name]) if name in band else "" for band in bands.values()]
            rows.append([name, _shown(value), *cells])
        tables = [rows]
        if self.per_class:
            names = list(next(iter(self.per_class.values())))
            scores = [[label, *map(_shown, row.values())] for label, row in self.per_class.items()]
            tables.append([["class", *names], *scores])
        if self.per_scene:
            # Cards may hold scenes with different measures.
            names = list(dict.fromkeys(name for row in self.per_scene.values() for name in row))
            lines = [
                [scene, *(_shown(row[name]) if name in row else "" for name in names)]
                for scene, row in self.per_scene.items()
            ]
            tables.append([["scene", *names], *lines])
        if self.confusion is not None:
            labels = list(self.per_class)
            counts = zip(labels, self.confusion.tolist(), strict=True)
            table = [[label, *map(str, row)] for label, row in counts]
            tables.append([["target \\ translation", *labels], *table])
        return tables


def _scores(name: str, values: Any) -> Scores:
    scores: Scores = table(any_number)(name, values)
    count = {"count": COUNT(f"{name}.count", values["count"])} if "count" in scores else {}
    return scores | count


def _confusion(name: str, values: Any) -> NDArray[np.int64]:
    rows = several(several(COUNT), 1)(name, values)
    if any(len(row) != len(rows) for row in rows):
        raise InvalidInputError(f"{name} does not have as many columns as rows.")
    return np.array(rows, np.int64)


EXTRA: Fields = {
    "per_band": Later(table(_scores), before={}),
    "per_class": Later(table(_scores), before={}),
    "confusion": Later(optional(_confusion), None),
    "per_scene": Later(table(_scores), before={}),
}
"""Check of each JSON entry beside the measures of all bands."""


def _shown(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4g}"
