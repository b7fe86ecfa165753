"""Georeferenced grids: read, tile, merge and write rasters (numpy and rasterio, never torch)."""
