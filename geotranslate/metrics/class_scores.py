"""Confusion matrix and scores of classes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SCORES = ("precision", "recall", "f1", "iou")


class ClassAgreement:
    """Confusion matrix, accuracy, precision, recall, F1 and intersection over union.

    Target and translation are assigned to the class whose value or color is nearest, in the
    Euclidean sense, the first of those that are equally near. `accuracy` is the share of pixels
    with the right class; all else is the mean over the classes that occur in the target or the
    translation, 0 for a ratio of 0 to 0, as scikit-learn's `average="macro"`.

    Args:
        palette: For each class its values in all bands, in the target's units.
    """

    names = ("accuracy", *SCORES)

    def __init__(self, palette: Sequence[Sequence[float]]) -> None:
        self.palette = palette
        self._counts: Tensor | None = None

    def add(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        """Add float64 `(n, bands, rows, cols)` in target units, `valid` `(n, 1, rows, cols)`."""
        ours, theirs = (self._nearest(side)[valid[:, 0]] for side in (prediction, target))
        size = len(self.palette)
        found = torch.bincount(theirs * size + ours, minlength=size**2).reshape(size, size)
        self._counts = found if self._counts is None else self._counts + found

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Pixels by class: rows are the target's, columns the translation's."""
        if self._counts is None:
            return np.zeros((len(self.palette),) * 2, np.int64)
        return self._counts.cpu().numpy()

    def per_band(self) -> list[dict[str, float]]:
        """Return an empty list: a class is given by all bands together."""
        return []

    def per_class(self) -> dict[str, dict[str, float]]:
        """Return the scores of every class, NaN for one that occurs nowhere.

        `count` is the number of its pixels in the target.
        """
        counts = self.confusion
        right, true, said = counts.diagonal(), counts.sum(1), counts.sum(0)
        seen = true + said > 0
        ratios = (
            (right, said),
            (right, true),
            (2 * right, true + said),
            (right, true + said - right),
        )
        columns = [
            np.where(seen, part / np.maximum(whole, 1), math.nan).tolist() for part, whole in ratios
        ]
        rows = zip(self.palette, *columns, true.tolist(), strict=True)
        return {
            ", ".join(f"{value:g}" for value in values): dict(
                zip((*SCORES, "count"), scores, strict=True)
            )
            for values, *scores in rows
        }

    def overall(self) -> dict[str, float]:
        """Return the scores of all classes together, NaN where no pixel was counted."""
        counts = self.confusion
        if not counts.any():
            return dict.fromkeys(self.names, math.nan)
        rows = self.per_class().values()
        means = {name: float(np.nanmean([row[name] for row in rows])) for name in SCORES}
        return {"accuracy": float(counts.trace() / counts.sum())} | means

    def _nearest(self, values: Tensor) -> Tensor:
        """Return the number of the nearest class, `(n, rows, cols)`."""
        best = torch.full_like(values[:, 0], math.inf)
        place = torch.zeros_like(best, dtype=torch.int64)
        for number, color in enumerate(self.palette):
            away = ((values - values.new_tensor(color)[:, None, None]) ** 2).sum(1)
            place = torch.where(away < best, number, place)
            best = torch.minimum(best, away)
        return place
