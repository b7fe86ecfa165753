"""Time of reading a stack of four layers, as a ratio to reading the four one after the other.

    python tests/benchmarks/stack_reading.py [SIDE] [REPEATS]

Four rasters of one place, SIDE px wide: one gives the grid, one lies on it, and two have other
pixel sizes, one of them in another CRS. The layers alone are read through the same alignment.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.warp import transform
from rasterio.windows import Window

from geotranslate import stack
from geotranslate.raster.grid import align
from geotranslate.raster.reader import RasterReader

BAR, ROWS = 1.15, 256
NORTH_UP = Affine(2.0, 0, 500_000, 0, -2.0, 5_000_000)


def main(side: int, repeats: int) -> None:
    """Measure both ways in turn, and print the ratio of the medians."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        paths = write_layers(Path(folder), side)
        stacked = opened.enter_context(RasterReader(stack(*paths, resampling="bilinear")))
        layers = []
        for path in paths:
            file = opened.enter_context(RasterReader(path))
            view = align(file.dataset, stacked.grid, Resampling.bilinear)
            layers.append(RasterReader(opened.enter_context(view)))
        ways: list[Callable[[Window], object]] = [
            stacked.read,
            lambda window: [layer.read(window) for layer in layers],
        ]
        seconds: list[list[float]] = [[], []]
        for _ in range(repeats):
            for way, found in zip(ways, seconds, strict=True):
                began = time.perf_counter()
                for top in range(0, side - ROWS + 1, ROWS):
                    way(Window(0, top, side, ROWS))
                found.append(time.perf_counter() - began)
    one, other = map(statistics.median, seconds)
    print(
        f"{side} x {side} px: stack {one:.2f} s, layers {other:.2f} s, ratio {one / other:.3f}, "
        f"bar of {BAR} {'reached' if one / other <= BAR else 'MISSED'}"
    )


def write_layers(folder: Path, side: int) -> list[Path]:
    """Write two bands of float64, three of uint8, one of int16 at 10 m, and one in degrees."""
    (east,), (north,) = transform("EPSG:32633", "EPSG:4326", [500_000], [5_000_000])
    degrees = Affine(3e-5, 0, east, 0, -2e-5, north)
    kinds = (
        ("s1", 2, "float64", side, NORTH_UP, "EPSG:32633"),
        ("rgb", 3, "uint8", side, NORTH_UP, "EPSG:32633"),
        ("dem", 1, "int16", side // 5, NORTH_UP @ Affine.scale(5), "EPSG:32633"),
        ("old", 2, "uint16", side, degrees, "EPSG:4326"),
    )
    chance = np.random.default_rng(0)
    paths = []
    for name, bands, dtype, size, place, crs in kinds:
        paths.append(folder / f"{name}.tif")
        options = {"driver": "GTiff", "tiled": True, "compress": "deflate", "crs": crs}
        options |= {"width": size, "height": size, "count": bands, "dtype": dtype}
        with rasterio.open(paths[-1], "w", transform=place, **options) as dataset:
            dataset.write(chance.integers(0, 255, (bands, size, size)).astype(dtype))
    return paths


if __name__ == "__main__":
    given = [int(text) for text in sys.argv[1:]]
    main(*(given + [2048, 5][len(given) :]))
