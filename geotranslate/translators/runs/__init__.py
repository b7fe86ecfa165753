"""Runs of `fit` and of `compute_metrics`, which a translator starts."""
