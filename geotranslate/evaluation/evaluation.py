"""The result of an evaluation, and bootstrap intervals over blocks of ground."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from geotranslate.checks import shown
from geotranslate.errors import UnknownMeasureError
from geotranslate.evaluation.displays import EvaluationDisplay, JointHistogram
from geotranslate.evaluation.quantities import Found
from geotranslate.evaluation.similarity import Array
from geotranslate.raster.pipeline import TranslatedRaster
from geotranslate.tables import as_html, as_text

if TYPE_CHECKING:
    import geopandas as gpd

RESAMPLES = 1000
LEVEL = 95
"""Percent of the resampled measures within an interval."""
LEAST_BLOCKS = 5
"""With fewer blocks, there is no interval."""

Interval = tuple[float, float]
Measuring: TypeAlias = "Callable[[Array], Found]"
"""Returns the measures of sums `(..., size)`."""
NO_INTERVAL: Interval = (math.nan, math.nan)
WITHOUT = ("count", "left_out", "psnr_range")
"""Measures that are no estimates."""
MOST_ZONES = 20
"""Largest number of zones that are printed."""


@dataclass(frozen=True)
class Baseline:
    """A simple translation that the prediction is compared with."""

    words: str
    """The baseline in words."""
    mae: float
    """Its mean absolute error in units of the raster."""


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Mapping[str, float]):
    """Measures of a prediction against a reference, by name.

    `print` shows them as text, notebooks as tables. NaN stands for a measure that is not defined
    for the pixels that were compared.
    """

    overall: dict[str, float]
    """The measures of all bands together, which the mapping holds."""
    intervals: dict[str, Interval]
    """Bounds of the 95% intervals of these measures, by a bootstrap over blocks of ground; NaN with
    fewer than 5 blocks."""
    per_band: dict[str, dict[str, float]] = field(default_factory=dict)
    """By the names of the bands; measures that a single band can have."""
    zones: gpd.GeoDataFrame | None = None
    """The layer of zones with a column for each measure; a column of the layer with the name of a
    measure is replaced."""
    per_class: dict[str, dict[str, float]] = field(default_factory=dict)
    """Precision, recall, F1, IoU and pixels in the reference, by the name of the class."""
    confusion: NDArray[np.int64] | None = None
    """Pixels `(classes, classes + 1)` in the order of `per_class`: rows are the reference's,
    columns the prediction's, of which the last holds pixels of no class."""
    baselines: dict[str, Baseline] = field(default_factory=dict)
    """The baselines of `skill_over_...`, by name."""
    joint: JointHistogram | None = None
    """Joint histogram of prediction and reference; None for classes."""
    block_size: int = 0
    """Side of the blocks of ground, px."""
    error: Path | None = None
    """The error raster."""
    translation: TranslatedRaster | None = None
    """The translation that `evaluate` of a model has made, with its tile mismatch and drift; the
    file is gone unless it was given a name."""

    def __getitem__(self, name: str) -> float:
        if name not in self.overall:
            raise UnknownMeasureError(
                f"There is no measure {shown(name)}; there are {', '.join(self.overall)}."
            )
        return self.overall[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.overall)

    def __len__(self) -> int:
        return len(self.overall)

    def __repr__(self) -> str:
        return f"Evaluation({self.overall})"

    def __str__(self) -> str:
        lines = [f"skill over {name}: {each.words}" for name, each in self.baselines.items()]
        return "\n\n".join([*map(as_text, self._tables()), *(["\n".join(lines)] if lines else [])])

    def _repr_html_(self) -> str:
        facts = as_html((f"skill over {name}", each.words) for name, each in self.baselines.items())
        return "".join(as_html(table, "right") for table in self._tables()) + facts

    def to_dict(self) -> dict[str, Any]:
        """Return plain values: measures, intervals, and tables of bands, zones and classes.

        Zones are rows without their shapes; NaN and infinity stay.
        """
        zones = None
        if self.zones is not None:
            rows = self.zones.drop(columns=self.zones.geometry.name).to_dict("records")
            zones = [dict(zip(row, map(_plain, row.values()), strict=True)) for row in rows]
        values = {
            "intervals": {name: list(bounds) for name, bounds in self.intervals.items()},
            "per_band": self.per_band,
            "per_class": self.per_class,
            "confusion": None if self.confusion is None else self.confusion.tolist(),
            "zones": zones,
            "baselines": {name: vars(each) for name, each in self.baselines.items()},
            "block_size": self.block_size,
            "error": None if self.error is None else str(self.error),
        }
        return self.overall | {name: value for name, value in values.items() if value}

    def to_json(self) -> str:
        """Return the values of `to_dict` as JSON text, in which NaN and infinity are null."""
        return json.dumps(_finite(self.to_dict()), indent=2, default=str)

    def plot(self, band: int = 1) -> EvaluationDisplay:
        """Draw prediction over reference and the error by value; of classes, the confusion matrix.

        Args:
            band: Number of the band, from 1.

        Returns:
            The display, with the figure in `figure_` and its axes in `axes_`.

        Raises:
            InvalidInputError: There is no such band.
        """
        display = EvaluationDisplay(
            self.joint, list(self.per_band), list(self.per_class), self.confusion
        )
        return display.plot(band)

    def _tables(self) -> Iterator[list[list[str]]]:
        bands = self.per_band if len(self.per_band) > 1 else {}
        rows = [["", "all", "95% interval", *bands]]
        for name, value in self.overall.items():
            cells = [_shown(band[name]) if name in band else "" for band in bands.values()]
            rows.append([name, _shown(value), _span(self.intervals.get(name)), *cells])
        yield rows
        if self.per_class:
            names = list(next(iter(self.per_class.values())))
            scores = [[label, *map(_shown, row.values())] for label, row in self.per_class.items()]
            yield [["class", *names], *scores]
        if self.zones is not None:
            yield self._zone_table()

    def _zone_table(self) -> list[list[str]]:
        assert self.zones is not None
        names = [name for name in self.overall if name in self.zones]
        shown_zones = self.zones[names].head(MOST_ZONES)
        labels = self.zones["name"] if "name" in self.zones else self.zones.index
        rows = [
            [str(label), *map(_shown, row)]
            for label, (_, *row) in zip(labels, shown_zones.itertuples(), strict=False)
        ]
        if len(self.zones) > MOST_ZONES:
            rows.append([f"and {len(self.zones) - MOST_ZONES} more", *[""] * len(names)])
        return [["zone", *names], *rows]


def _span(interval: Interval | None) -> str:
    if interval is None or any(map(math.isnan, interval)):
        return ""
    return f"{interval[0]:.4g} to {interval[1]:.4g}"


def _shown(value: float) -> str:
    return str(int(value)) if abs(value) < 2**53 and value == int(value) else f"{value:.4g}"


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _finite(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {str(name): _finite(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [_finite(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values


def intervals(blocks: Array, measures: Measuring, seed: int) -> dict[str, Interval]:
    """Return the percentile interval of every measure of all bands.

    Neighboring pixels are alike, so blocks of ground are drawn with replacement, not pixels (Efron
    and Tibshirani 1993). Intervals are too narrow where errors are alike over distances larger than
    a block.

    Args:
        blocks: Sums of the blocks with a valid pixel, `(blocks, size)`.
        measures: Returns the measures of sums `(..., size)`.
        seed: Seed of the draws.
    """
    count = len(blocks)
    names = [name for name in measures(blocks.sum(0)) if name not in WITHOUT]
    if count < LEAST_BLOCKS:
        return dict.fromkeys(names, NO_INTERVAL)
    chance = np.random.default_rng(seed)
    draws = chance.multinomial(count, np.full(count, 1 / count), RESAMPLES)
    found = measures(draws @ blocks)
    return {name: _interval(found[name][0]) for name in names}


def _interval(values: Array) -> Interval:
    known = values[np.isfinite(values)]
    # An interval of the draws in which a measure happens to be defined would be too narrow.
    if 2 * len(known) < len(values):
        return NO_INTERVAL
    rest = (100 - LEVEL) / 2
    low, high = np.percentile(known, (rest, 100 - rest)).tolist()
    return low, high
