"""Trained or trainable models with one API."""

# Before anything else here imports fastai: that room does it quietly.
import geotranslate.training  # noqa: F401
