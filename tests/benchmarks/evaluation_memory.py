"""Show that the memory of `evaluate_raster` does not grow with the scene.

Evaluates a small and a large scene that are empty but for patches of noise, each in a process of
its own, and prints their peaks of resident memory, the times, and the ratio of the peaks. The bar
is 1.1.

    python tests/benchmarks/evaluation_memory.py [SMALL SIDE] [LARGE SIDE]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.windows import Window

CELL, PATCH = 1024, 192
"""Sides of the cells and of the patches, px."""

CHILD = """
import resource, sys
from geotranslate import evaluate_raster
window = int(sys.argv[3])
found = evaluate_raster(*sys.argv[1:3], classes=False, window_size=window, progress=False)
assert 0 < found["mae"] < 200 and found["ssim"] < 1, found
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def main(small: int, large: int) -> None:
    """Evaluate both scenes and print their memory."""
    with tempfile.TemporaryDirectory() as folder:
        peaks = []
        for side in (small, large):
            start = time.perf_counter()
            peaks.append(peak(Path(folder), side, side))
            seconds = time.perf_counter() - start
            print(f"{side} x {side} px: {peaks[-1] / 1024:.0f} MiB, {seconds:.0f} s", flush=True)
        print(f"ratio {peaks[1] / peaks[0]:.3f}")


def peak(folder: Path, width: int, height: int, window: int = 512) -> int:
    """Return the peak of resident memory of an evaluation, in KiB."""
    paths = [folder / f"{name}_{width}_{height}.tif" for name in ("prediction", "reference")]
    for path in paths:
        write(path, width, height)
    command = [sys.executable, "-c", CHILD, *map(str, paths), str(window)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout)


def write(path: Path, width: int, height: int) -> None:
    """Write a raster with a patch of noise in every cell, whose other blocks are missing."""
    chance = np.random.default_rng(len(path.name))
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
        nodata=0,
        tiled=True,
        blockxsize=256,
        blockysize=256,
        sparse_ok=True,
    ) as dataset:
        for row in range(PATCH, height - PATCH, CELL):
            for col in range(PATCH, width - PATCH, CELL):
                patch = chance.integers(1, 255, (1, PATCH, PATCH), dtype="uint8")
                dataset.write(patch, window=Window(col, row, PATCH, PATCH))


if __name__ == "__main__":
    main(*(int(size) for size in (sys.argv[1:] + ["5000", "20000"][len(sys.argv) - 1 :])))
