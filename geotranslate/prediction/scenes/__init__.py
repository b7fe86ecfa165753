"""Scenes compared with the training data: warnings, distance, statistics and matching."""
