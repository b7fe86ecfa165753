"""Prediction with trained networks: arrays, rasters and lists of scenes.

Exports nothing, because commands that need no torch use `scenefiles`.
"""
