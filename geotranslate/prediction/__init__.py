"""Predictors: trained networks that translate arrays, rasters and lists of scenes."""
