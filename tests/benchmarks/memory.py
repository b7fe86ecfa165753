"""Show that the memory of `translate_raster` does not grow with a raster's height.

Runs an identity over a raster and over one eight times as high, each in a process of its own, and
prints their peaks of resident memory (of three runs the middle one, as threads differ) and the
ratio of the two, for both drivers. The bar is 1.05.

    python tests/benchmarks/memory.py [WIDTH] [HEIGHT]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.windows import Window

BLOCK = 512

CHILD = """
import resource, sys
from geotranslate.raster.pipeline import translate_raster
source, output, driver = sys.argv[1:]
translate_raster(source, output, lambda b: b, bands_out=1, driver=driver, progress=False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def main(width: int, height: int) -> None:
    """Run all cases and print their memory."""
    with tempfile.TemporaryDirectory() as folder:
        sources = [Path(folder) / f"{rows}.tif" for rows in (height, 8 * height)]
        for source in sources:
            write(source, width, int(source.stem))
        for driver in ("COG", "GTiff"):
            low, high = (peak(source, Path(folder) / "out.tif", driver) for source in sources)
            print(
                f"{driver}: {width} x {height} {low / 1024:.0f} MiB, {width} x {8 * height} "
                f"{high / 1024:.0f} MiB, ratio {high / low:.3f}"
            )


def write(path: Path, width: int, height: int) -> None:
    """Write a raster of repeating rows, which takes little space."""
    rows = np.add.outer(np.arange(BLOCK), np.arange(width)) % 251
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=1,
        height=height,
        width=width,
        dtype="uint8",
        crs="EPSG:32633",
        transform=Affine(1, 0, 5e5, 0, -1, 5e6),
        tiled=True,
        compress="deflate",
    ) as dataset:
        for top in range(0, height, BLOCK):
            dataset.write(rows[None].astype("uint8"), window=Window(0, top, width, BLOCK))


def peak(source: Path, output: Path, driver: str) -> int:
    """Return the peak of resident memory of a run, in KiB."""
    command = [sys.executable, "-c", CHILD, str(source), str(output), driver]
    peaks = []
    for _ in range(3):
        output.unlink(missing_ok=True)
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        peaks.append(int(done.stdout))
    return sorted(peaks)[1]


if __name__ == "__main__":
    main(*(int(size) for size in (sys.argv[1:] + ["4096", "8192"][len(sys.argv) - 1 :])))
