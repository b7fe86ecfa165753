"""Cross-validation: one training for each fold of the chips, and the spread of their measures."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from geotranslate.checks import folder_path, shown, whole_number
from geotranslate.data import prepare_data
from geotranslate.errors import InvalidInputError
from geotranslate.files import create_folder
from geotranslate.metrics import Metrics
from geotranslate.migration import checks_arguments
from geotranslate.schema import Json
from geotranslate.tables import as_html, as_text
from geotranslate.translators.base import Translator
from geotranslate.translators.pix2pix import Pix2Pix

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class CrossValidation:
    """Measures of the models of a cross-validation, each on the chips that it did not learn from.

    `print` shows mean, standard deviation and the value of each fold, notebooks show a table.
    """

    folds: tuple[Metrics, ...]
    """Metrics of each fold."""

    @property
    def means(self) -> dict[str, float]:
        """Mean of every measure over the folds in which it is defined; NaN without any."""
        return {name: fmean(found) if found else math.nan for name, found in self._values()}

    @property
    def deviations(self) -> dict[str, float]:
        """Standard deviation of every measure between the folds (n - 1); NaN for fewer than two."""
        return {
            name: stdev(found) if len(found) > 1 else math.nan for name, found in self._values()
        }

    def _values(self) -> list[tuple[str, list[float]]]:
        names = dict.fromkeys(name for metrics in self.folds for name in metrics)
        return [
            (name, [one[name] for one in self.folds if math.isfinite(one.get(name, math.nan))])
            for name in names
        ]

    def to_json(self) -> Json:
        """Return plain values: means, deviations and the metrics of each fold."""
        return {
            "means": self.means,
            "deviations": self.deviations,
            "folds": [metrics.to_json() for metrics in self.folds],
        }

    def __str__(self) -> str:
        return as_text(self._table())

    def _repr_html_(self) -> str:
        return as_html(self._table(), "right")

    def _table(self) -> list[list[str]]:
        means, deviations = self.means, self.deviations
        titles = ["", "mean", "deviation", *(f"fold {i}" for i in range(len(self.folds)))]
        rows = [
            [name, *(f"{value:.4g}" for value in (means[name], deviations[name], *values))]
            for name in means
            for values in [[metrics.get(name, math.nan) for metrics in self.folds]]
        ]
        return [titles, *rows]


@checks_arguments
def cross_validate(
    path: PathLike | Sequence[PathLike],
    target: PathLike | None = None,
    *,
    folds: int = 5,
    translator: type[Translator] = Pix2Pix,
    data: Mapping[str, Any] | None = None,
    model: Mapping[str, Any] | None = None,
    fit: Mapping[str, Any] | None = None,
    metrics: Sequence[str] | None = None,
    folder: PathLike = "cross_validation",
) -> CrossValidation:
    """Train a model for each fold and measure it on the chips of that fold.

    The models begin with the same weights and learn from all chips outside of their fold. They are
    saved in `fold_0`, `fold_1` and so on of the folder.

    Args:
        path: Chips, or the raster to translate from, as for `prepare_data`.
        target: The raster to translate to, if `path` is a raster.
        folds: Number of folds and of trainings, at least 2.
        translator: Class of the models.
        data: Other arguments of `prepare_data`.
        model: Arguments of the class.
        fit: Arguments of `fit`; by default no checkpoints are kept.
        metrics: Names of measures, as for `compute_metrics`.
        folder: Folder of the models and, with checkpoints, of their trainings.

    Raises:
        InvalidInputError: `folds` is not such a number, an argument is invalid, or there are fewer
            chips than folds.
        RasterFileError: `folder` cannot be created.
        GeotranslateError: As `prepare_data`, the class, `fit` and `compute_metrics`.
    """
    count, home = whole_number("folds", folds, 2), folder_path("folder", folder)
    if not (isinstance(translator, type) and issubclass(translator, Translator)):
        raise InvalidInputError(
            f"translator is {shown(translator)}; give a class such as Pix2Pix or CycleGAN."
        )
    options = [
        _arguments(name, given, taken)
        for name, given, taken in (
            ("data", data, ("path", "target", "folds", "fold")),
            ("model", model, ("data",)),
            ("fit", fit, ("folder",)),
        )
    ]
    create_folder(home)
    found = []
    for fold in range(count):
        loaders = prepare_data(path, target, folds=count, fold=fold, **options[0])
        place = home / f"fold_{fold}"
        made = translator(loaders, **options[1])
        made.fit(**{"checkpoint": False, **options[2]}, folder=place / "training")
        found.append(made.compute_metrics(metrics))
        create_folder(place)
        made.save(place)
    return CrossValidation(tuple(found))


def _arguments(name: str, given: object, taken: Sequence[str]) -> dict[str, Any]:
    """Return arguments by name after checking that they are some, and none that is set here."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise InvalidInputError(f"{name} is {shown(given)}; give arguments by name, as a dict.")
    for argument in taken:
        if argument in given:
            raise InvalidInputError(
                f"{name} has {argument}, which cross_validate sets itself; leave it out there."
            )
    return dict(given)
