"""Write a chip as a GeoTIFF with the band metadata of its raster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.io import DatasetWriter

from geotranslate.chips.bands import COLORS_TAG, TAG, colors_of
from geotranslate.chips.export.scene_sides import SceneSide
from geotranslate.raster.grid import Grid
from geotranslate.raster.writing import small_geotiff


def write_chip(
    path: Path, side: SceneSide, grid: Grid, data: NDArray[Any], valid: NDArray[np.bool_]
) -> None:
    """Write values `(bands, rows, cols)` and their validity as a chip of a side.

    Raises:
        OSError: The file cannot be written.
        RasterioError: GDAL cannot make it.
    """
    data, nodata = _hidden(data, valid, side.nodata)
    with small_geotiff(
        path,
        crs=grid.crs,
        transform=grid.transform,
        height=grid.height,
        width=grid.width,
        count=side.bands,
        dtype=data.dtype,
        nodata=nodata,
        compress="lzw",
        **_color_options(side),
    ) as chip:
        _describe(chip, side)
        chip.write(data)
        if nodata is None and not valid.all():
            chip.write_mask(valid)


def _describe(chip: DatasetWriter, side: SceneSide) -> None:
    """Write the metadata of the bands, before their pixels, as GDAL then keeps it in the file."""
    chip.descriptions = [name or None for name in side.band_names]
    facts = side.band_facts
    if facts.scales:
        chip.scales = facts.scales
    if facts.offsets:
        chip.offsets = facts.offsets
    if facts.units:
        chip.units = facts.units
    if side.colormap is not None and chip.dtypes[0] in ("uint8", "uint16"):
        chip.write_colormap(1, side.colormap)
    elif facts.colors:
        chip.colorinterp = [ColorInterp[name] for name in facts.colors]
    if side.colormap is not None and chip.dtypes[0] not in ("uint8", "uint16"):
        # TIFF has tables for these two alone.
        chip.update_tags(**{COLORS_TAG: json.dumps(colors_of(side.colormap))})
    if side.said_classes is not None:
        chip.update_tags(**{TAG: "yes" if side.said_classes else "no"})


def _hidden(
    data: NDArray[Any], valid: NDArray[np.bool_], nodata: float | None
) -> tuple[NDArray[Any], float | None]:
    """Return values that say by themselves which are invalid, and the nodata value they need.

    Where a valid pixel has the nodata value, as a mask or warping allows, a nodata value would
    hide it: then there is none, and a mask is due.
    """
    if nodata is None:
        return data, None
    marked = np.where(valid, data, np.asarray(nodata).astype(data.dtype))
    equal = marked == np.asarray(nodata).astype(data.dtype)
    seen = equal.all(axis=0) if data.dtype == np.uint8 else equal.any(axis=0)
    return (data, None) if (seen & valid).any() else (marked, nodata)


def _color_options(side: SceneSide) -> dict[str, str]:
    """Return options that keep GDAL from guessing that bands are colors or alpha."""
    if side.bands < 3:
        return {}
    return {"photometric": "RGB" if side.band_facts.is_rgb else "MINISBLACK", "alpha": "NO"}
