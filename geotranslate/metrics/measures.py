"""Choice and batchwise computation of the measures of a target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from geotranslate.checks import listed, shown
from geotranslate.chips.bands import Side
from geotranslate.errors import InvalidInputError
from geotranslate.metrics.class_scores import ClassAgreement
from geotranslate.metrics.errors import Errors, Spectra, Units
from geotranslate.metrics.perceptual import Photographs
from geotranslate.metrics.scores import Metrics, Scores
from geotranslate.metrics.structure import Structure

Palette = Sequence[Sequence[float]]
MOST_CLASSES = 4096
"""Largest number of classes of a palette: every pixel is compared with each of them."""


class _Measure(Protocol):
    """Sums of one kind."""

    def add(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None: ...

    def per_band(self) -> list[Scores]: ...

    def overall(self) -> Scores: ...


class Measures:
    """Compare translations with targets, in the target's units and over valid pixels.

    A pixel is valid where no band of the target is NaN. Translations are first rounded and clipped
    to the target's dtype, as they would be written. Neither the order of the pairs nor the size of
    the batches changes a number by more than the rounding of float64.

    Args:
        side: The target.
        metrics: Names of measures, see `Errors`, `Structure`, `Spectra`, `ClassAgreement` and
            `Photographs`; by default all that apply to the target except `lpips` and `fid`.
        palette: For each class its values in all bands, for a target that shows classes in
            colors; by default the side's classes.

    Raises:
        InvalidInputError: A measure does not apply to the target, the palette does not match its
            bands, or a package or weights are missing.
    """

    def __init__(
        self,
        side: Side,
        metrics: Sequence[str] | None = None,
        palette: Palette | None = None,
    ) -> None:
        palette = _palette(side, palette)
        self.names = _checked(side, palette, metrics)
        self.band_names = _band_names(side)
        self.units = Units(side)
        wanted = set(self.names)
        self.errors = Errors(self.units.ranges, side.mean)
        self.agreement: ClassAgreement | None = None
        self._parts: list[_Measure] = [self.errors]
        if wanted & {*Structure.names}:
            self._parts.append(Structure(self.units.ranges, multiscale="ms_ssim" in wanted))
        if wanted & {*Spectra.names}:
            self._parts.append(Spectra())
        if wanted & {*ClassAgreement.names}:
            self.agreement = ClassAgreement(palette)
            self._parts.append(self.agreement)
        if wanted & {*Photographs.names}:
            self._parts.append(Photographs(self.units, wanted))

    def add(self, prediction: Tensor, target: Tensor) -> None:
        """Add a batch.

        Args:
            prediction: `(n, bands, rows, cols)` in -1..1.
            target: The same; NaN where it is invalid.

        Raises:
            InvalidInputError: They differ in shape.
        """
        if prediction.shape != target.shape:
            raise InvalidInputError(
                f"The translations have shape {tuple(prediction.shape)} but the targets "
                f"{tuple(target.shape)}; give as many of one size."
            )
        truth = self.units.truth(target)
        ours = self.units.translation(prediction.to(target.device))
        valid = torch.isfinite(truth).all(1, keepdim=True)
        for part in self._parts:
            part.add(ours, truth, valid)

    def results(self) -> Metrics:
        """Return the measures so far, always with `count`, the number of values compared."""
        overall: Scores = {}
        bands: list[Scores] = [{} for _ in self.band_names]
        for part in self._parts:
            overall |= part.overall()
            for band, found in zip(bands, part.per_band(), strict=False):
                band |= found
        order = [name for name in self.names if name != "count"] + ["count"]
        return Metrics(
            {name: overall[name] for name in order},
            {
                label: {name: band[name] for name in order if name in band}
                for label, band in zip(self.band_names, bands, strict=True)
            },
            {} if self.agreement is None else self.agreement.per_class(),
            None if self.agreement is None else self.agreement.confusion,
        )


class ValidationMeasures(Measures):
    """Measures of the validation after every epoch.

    They are `mae`, `rmse`, `psnr` and `ssim`; of classes `mae`, `accuracy`, `f1` and `iou`, or the
    first three if there are too many to be known.

    Args:
        side: The target.
    """

    def __init__(self, side: Side) -> None:
        super().__init__(side, epoch_metrics(side))


def epoch_metrics(side: Side) -> tuple[str, ...]:
    """Return the names of `ValidationMeasures`."""
    if _palette(side, None):
        return ("mae", "accuracy", "f1", "iou")
    return ("mae", "rmse", "psnr", *(("ssim",) if side.classes is None else ()))


def _checked(side: Side, palette: Palette, metrics: Sequence[str] | None) -> tuple[str, ...]:
    """Return the requested names without repetition."""
    names = [*Errors.names]
    if side.classes is None:
        names += Structure.names
        if side.bands >= 2:
            names += Spectra.names
    if palette:
        names += ClassAgreement.names
    if metrics is None:
        return tuple(names)
    if side.bands == 3:
        names += Photographs.names
    wanted = tuple(dict.fromkeys(metric_names(metrics)))
    for name in wanted:
        if name not in names:
            raise InvalidInputError(
                f"There is no metric {shown(name)} for this target, which has {_described(side)}; "
                f"choose from {', '.join(names)}{'' if palette else ', or give a palette'}."
            )
    # A PSNR has no meaning without its peak.
    peak = ("psnr_range",) if "psnr" in wanted and "psnr_range" not in wanted else ()
    return (*wanted, *peak)


def metric_names(metrics: object) -> tuple[str, ...]:
    """Return the requested names of measures.

    Raises:
        InvalidInputError: A value is no name.
    """
    names = [metrics] if isinstance(metrics, str) else listed(metrics)
    if not all(isinstance(name, str) for name in names):
        raise InvalidInputError(f"metrics is {shown(metrics)}; give a list of names of measures.")
    return tuple(names)


def _palette(side: Side, palette: Palette | None) -> Palette:
    """Return the values of every class; none without classes."""
    if palette is None:
        return [] if side.classes is None else [(value,) for value in side.classes.values]
    try:
        values = np.array(palette, np.float64)
    except (TypeError, ValueError, OverflowError):
        values = np.empty(0)
    if values.ndim != 2 or values.shape[1] != side.bands or not np.isfinite(values).all():
        raise InvalidInputError(
            f"palette is {shown(palette)} but the target has {side.bands} "
            f"band{'s' if side.bands != 1 else ''}; give for each class as many values."
        )
    if len(values) > MOST_CLASSES:
        raise InvalidInputError(f"palette has {len(values)} classes; give at most {MOST_CLASSES}.")
    colors: list[list[float]] = values.tolist()
    return colors


def _described(side: Side) -> str:
    bands = f"{side.bands} band{'s' if side.bands != 1 else ''} of "
    return bands + (side.dtype if side.classes is None else side.classes.count)


def _band_names(side: Side) -> list[str]:
    if all(side.band_names) and len(set(side.band_names)) == side.bands:
        return list(side.band_names)
    return [f"band {number}" for number in side.indexes]
