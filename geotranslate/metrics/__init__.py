"""Measures of translations in the target's units, over valid pixels, summed batch by batch."""

from geotranslate.metrics.class_scores import ClassAgreement
from geotranslate.metrics.errors import Errors, Spectra, errors_between
from geotranslate.metrics.measures import (
    Measures,
    Palette,
    ValidationMeasures,
    epoch_metrics,
    metric_names,
)
from geotranslate.metrics.perceptual import Photographs
from geotranslate.metrics.scores import Metrics, Scores
from geotranslate.metrics.structure import Structure

__all__ = [
    "ClassAgreement",
    "Errors",
    "Measures",
    "Metrics",
    "Palette",
    "Photographs",
    "Scores",
    "Spectra",
    "Structure",
    "ValidationMeasures",
    "epoch_metrics",
    "errors_between",
    "metric_names",
]
