"""Trained or trainable models with one API."""
