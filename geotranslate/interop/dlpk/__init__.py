"""Deep learning packages of ArcGIS: a model definition, a raster function and weights."""
