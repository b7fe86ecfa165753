"""Joint histogram of prediction and reference, and drawings of evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geotranslate.checks import whole_number
from geotranslate.errors import InvalidInputError
from geotranslate.evaluation.quantities import Compared
from geotranslate.evaluation.similarity import Array

BINS = 100
"""Bins along either axis."""


@dataclass(frozen=True, eq=False)
class JointHistogram:
    """Pixels by their values in reference and prediction, with a regression line, for each band."""

    edges: Array
    """Edges of the bins in units of the raster, `(bands, bins + 1)`, the same for both axes."""
    counts: NDArray[np.int64]
    """Pixels `(bands, bins of the reference, bins of the prediction)`."""
    bias: Array
    """Mean error by bin of the reference, `(bands, bins)`; NaN in empty bins."""
    mae: Array
    """Mean absolute error by bin of the reference, `(bands, bins)`; NaN in empty bins."""
    slope: tuple[float, ...]
    """Slope of the least-squares line of the prediction over the reference, by band."""
    intercept: tuple[float, ...]
    correlation: tuple[float, ...]
    """Pearson's correlation, by band."""


class JointCounter:
    """Counter of a joint histogram.

    Args:
        low: Smallest value of both rasters by band.
        high: Largest value.
        whole: Whether both rasters hold whole numbers, of which all bins have equally many.
    """

    def __init__(self, low: Array, high: Array, *, whole: bool) -> None:
        if whole:
            low, self.width = low - 0.5, np.ceil((high - low + 1) / BINS)
        else:
            # A constant band has one bin of pixels, in the middle.
            self.width = np.where(high > low, high - low, 1.0) / BINS
            low = np.where(high > low, low, low - 0.5)
        self.low = low
        self.edges: Array = low[:, None] + self.width[:, None] * np.arange(BINS + 1)
        self.counts = np.zeros((len(low), BINS, BINS), np.int64)
        self.sums = np.zeros((2, len(low), BINS))

    def add(self, compared: Compared) -> None:
        """Add the pixels of a window."""
        valid = compared.valid
        for band, (error, value) in enumerate(
            zip(compared.error[:, valid], compared.reference[:, valid], strict=True)
        ):
            place, other = (self._bin(band, values) for values in (value, value + error))
            both = np.bincount(place * BINS + other, minlength=BINS**2)
            self.counts[band] += both.reshape(BINS, BINS)
            self.sums[0, band] += np.bincount(place, error, BINS)
            self.sums[1, band] += np.bincount(place, np.abs(error), BINS)

    def result(self, lines: tuple[tuple[float, float, float], ...]) -> JointHistogram:
        """Return the histogram with slope, intercept and correlation of every band."""
        pixels = self.counts.sum(2)
        with np.errstate(invalid="ignore"):
            bias, mae = self.sums / pixels
        slope, intercept, correlation = zip(*lines, strict=True)
        return JointHistogram(self.edges, self.counts, bias, mae, slope, intercept, correlation)

    def _bin(self, band: int, values: Array) -> NDArray[np.int64]:
        place = (values - self.low[band]) / self.width[band]
        found: NDArray[np.int64] = place.astype(np.int64).clip(0, BINS - 1)
        return found


class EvaluationDisplay:
    """Drawing of an evaluation, in the manner of scikit-learn's displays.

    After `plot`, `figure_` is the figure and `axes_` its axes.

    Args:
        joint: Joint histogram; None for classes.
        bands: Names of the bands.
        classes: Names of the classes.
        confusion: Confusion matrix of classes, `(classes, classes + 1)`.
    """

    figure_: Any
    axes_: Any

    def __init__(
        self,
        joint: JointHistogram | None,
        bands: Sequence[str],
        classes: Sequence[str] = (),
        confusion: NDArray[np.int64] | None = None,
    ) -> None:
        self.joint, self.bands = joint, tuple(bands)
        self.classes, self.confusion = tuple(classes), confusion

    def plot(self, band: int = 1) -> EvaluationDisplay:
        """Draw the evaluation and return the display.

        Args:
            band: Number of the band, from 1.

        Raises:
            InvalidInputError: There is no such band.
        """
        import matplotlib.pyplot as plt

        number = whole_number("band", band, 1, max(len(self.bands), 1)) - 1
        if self.joint is None:
            self.figure_, self.axes_ = plt.subplots(figsize=(5, 4.5), layout="constrained")
            self._draw_confusion(self.axes_)
            return self
        self.figure_, self.axes_ = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
        self.figure_.suptitle(self.bands[number])
        self._draw_joint(self.axes_[0], self.joint, number)
        self._draw_errors(self.axes_[1], self.joint, number)
        return self

    def _draw_joint(self, axes: Any, joint: JointHistogram, band: int) -> None:
        from matplotlib.colors import LogNorm

        edges, counts = joint.edges[band], joint.counts[band].T
        # A range of one count would have no colors.
        norm = LogNorm(1, max(int(counts.max()), 2))
        mesh = axes.pcolormesh(edges, edges, np.where(counts, counts, np.nan), norm=norm)
        axes.figure.colorbar(mesh, ax=axes, label="pixels")
        used = np.flatnonzero(counts.any(0) | counts.any(1))
        ends = edges[[used[0], used[-1] + 1]]
        axes.plot(ends, ends, color="0.4", linestyle="--", linewidth=1, label="no error")
        slope, intercept = joint.slope[band], joint.intercept[band]
        if np.isfinite(slope):
            label = f"{slope:.3g} x {'+' if intercept >= 0 else '-'} {abs(intercept):.3g}"
            label += f", r = {joint.correlation[band]:.3g}"
            axes.plot(ends, intercept + slope * ends, color="tab:red", label=label)
        axes.set(xlabel="reference", ylabel="prediction", aspect="equal")
        axes.set(xlim=ends, ylim=ends)
        axes.legend(loc="upper left", fontsize="small")

    def _draw_errors(self, axes: Any, joint: JointHistogram, band: int) -> None:
        middles = (joint.edges[band, 1:] + joint.edges[band, :-1]) / 2
        known = np.isfinite(joint.mae[band])
        axes.plot(middles[known], joint.mae[band, known], ".-", label="mean absolute error")
        axes.plot(middles[known], joint.bias[band, known], ".-", label="bias")
        axes.axhline(0, color="0.4", linewidth=1)
        axes.set(xlabel="reference", ylabel="error")
        axes.legend(loc="best", fontsize="small")

    def _draw_confusion(self, axes: Any) -> None:
        if self.confusion is None:
            raise InvalidInputError("The evaluation holds no pixels to draw; evaluate it again.")
        counts = self.confusion if self.confusion[:, -1].any() else self.confusion[:, :-1]
        shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        names = [*self.classes, "none"][: counts.shape[1]]
        image = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues")
        axes.figure.colorbar(image, ax=axes, label="share of the reference's class")
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
        axes.set_yticks(range(len(self.classes)), self.classes)
        axes.set(xlabel="prediction", ylabel="reference")
        if counts.size <= 200:
            for (row, col), share in np.ndenumerate(shares):
                color = "white" if share > 0.5 else "black"
                axes.text(col, row, f"{share:.2f}", ha="center", va="center", color=color)
