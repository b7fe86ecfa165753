"""Translate rasters by an identity, and write for each a line of JSON: what came of it.

    python -m tests.raster.pipeline.corpus_child FOLDER RASTER...

A process of its own, as damaged rasters declare any size and may crash what reads them.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from geotranslate.errors import GeotranslateError
from geotranslate.raster.opening import gcps_and_rpcs
from geotranslate.raster.pipeline import translate_raster

GUARD = 4 * 2**30
"""Bytes that a process may ask for: more would endanger the machine."""

ROWS = 1024


def main(folder: str, *rasters: str) -> None:
    """Report on every raster as soon as it is translated and compared."""
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_DATA, (GUARD, GUARD))
    output = Path(folder) / "translated.tif"
    for raster in rasters:
        output.unlink(missing_ok=True)
        sys.stdout.write(f"{json.dumps(report(raster, output))}\n")
        sys.stdout.flush()


def report(raster: str, output: Path) -> dict[str, Any]:
    """Return the differences between a raster and its translation, or the sentence instead."""
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
    began = time.process_time()
    found: dict[str, Any] = {}
    try:
        translate_raster(
            raster, output, lambda batch: batch, bands_out=bands_of(raster), progress=False
        )
    except GeotranslateError as error:
        found["sentence"] = str(error)
    found |= {"seconds": time.process_time() - began, "peak": peak()}
    if "sentence" not in found:
        found["differences"] = sorted(differences(raster, output))
    return found


def peak() -> int:
    """Return the most bytes that this process has held in memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def bands_of(raster: str) -> int:
    """Return the number of bands that are not alpha, 1 for what cannot be opened."""
    try:
        with rasterio.open(raster) as dataset:
            return sum(color is not ColorInterp.alpha for color in dataset.colorinterp) or 1
    except rasterio.RasterioIOError:
        return 1


def differences(raster: str, output: Path) -> set[str]:
    """Name what of a raster, as rasterio reads it, its translation does not have."""
    with rasterio.open(raster) as before, rasterio.open(output) as after:
        pairs = {
            "shape": (before.shape, after.shape),
            "CRS": (before.crs, after.crs),
            "transform": (before.transform, after.transform),
            "points": (gcps_and_rpcs(before)[0], gcps_and_rpcs(after)[0]),
            "RPCs": (numbers(gcps_and_rpcs(before)[1]), numbers(gcps_and_rpcs(after)[1])),
        }
        found = {name for name, (one, other) in pairs.items() if one != other}
        if "shape" in found:
            return found
        for row in range(0, before.height, ROWS):
            window = Window(0, row, before.width, min(ROWS, before.height - row))
            values, valid = expected(before, window, after.dtypes[0])
            seen = after.read(window=window)
            if not np.array_equal(after.dataset_mask(window=window) > 0, valid):
                found.add("validity")
            if not np.array_equal(seen[:, valid], values[:, valid]):
                found.add("values")
    return found


def numbers(rpcs: dict[str, str]) -> dict[str, list[str]]:
    """Return RPCs to as many digits as GDAL writes."""
    return {key: [f"{float(n):.12e}" for n in text.split()] for key, text in rpcs.items()}


def expected(
    dataset: rasterio.DatasetReader, window: Window, dtype: str
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return the pixels that pass float32 unchanged, rounded where it cannot hold them."""
    alpha = [i for i in dataset.indexes if dataset.colorinterp[i - 1] is ColorInterp.alpha]
    data = [i for i in dataset.indexes if i not in alpha]
    values = dataset.read(data, window=window)
    masks = dataset.read_masks(data, window=window) > 0
    valid = masks.any(axis=0) if dtype == "uint8" else masks.all(axis=0)
    for band in alpha:
        valid &= dataset.read(band, window=window) > 0
    valid &= np.isfinite(values).all(axis=0)
    passed = values.astype(np.float32)
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        passed = np.clip(passed.astype(np.float64), limits.min, limits.max)
    return passed.astype(dtype), valid


if __name__ == "__main__":
    main(*sys.argv[1:])
