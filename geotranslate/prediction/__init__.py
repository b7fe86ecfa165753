"""Predictors: trained networks that translate arrays, rasters and lists of scenes.

Exports nothing, because `scenefiles` serves commands that need no torch.
"""
