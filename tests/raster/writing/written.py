"""Outputs written as the pipeline does: in parts, then assembled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS

from geotranslate.raster.grid import Grid
from geotranslate.raster.writing.cog import Driver, assemble
from geotranslate.raster.writing.partfile import BLOCK, PartFile
from geotranslate.raster.writing.profile import OutputProfile
from tests.conftest import NORTH_UP

UTM33 = CRS.from_epsg(32633)

Parts = list[tuple[Path, range]]


def output(height: int = 20, width: int = 30, **facts: Any) -> OutputProfile:
    """Return an output in UTM, one band of uint8 by default."""
    grid = Grid(UTM33, NORTH_UP, height, width)
    return OutputProfile(**{"grid": grid, "bands": 1, "dtype": "uint8", **facts})


def write_parts(
    folder: Path,
    output: OutputProfile,
    data: NDArray[Any],
    valid: NDArray[np.bool_] | None = None,
    blocks: int = 1,
) -> Parts:
    """Write parts of `blocks` block rows each into a new folder."""
    folder.mkdir(exist_ok=True)
    height, step = output.grid.height, BLOCK * blocks
    parts = []
    for number, top in enumerate(range(0, height, step)):
        rows = range(top, min(top + step, height))
        part = folder / f"part_{number:06d}.tif"
        with PartFile(part, output, rows) as file:
            for row in range(top, rows.stop, BLOCK):
                here = slice(row, min(row + BLOCK, rows.stop))
                values = np.asarray(data[:, here], np.float32)
                file.write(
                    row,
                    0,
                    values,
                    np.ones(values.shape[1:], bool) if valid is None else valid[here],
                )
        parts.append((part, rows))
    return parts


def write(
    path: Path,
    output: OutputProfile,
    data: NDArray[Any] | None = None,
    valid: NDArray[np.bool_] | None = None,
    driver: Driver = "COG",
) -> Path:
    """Write an output, ones by default, its parts into a folder `parts` beside the file's."""
    if data is None:
        data = np.ones((output.bands, output.grid.height, output.grid.width))
    parts = write_parts(path.parent.parent / "parts", output, data, valid)
    assemble(path, output, parts, driver)
    return path
