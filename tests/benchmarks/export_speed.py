"""Compare `export_chips` with a plain loop that reads the same windows and writes the same chips.

The loop opens both rasters with rasterio, the target by a `WarpedVRT` on the source's grid if its
own grid differs, reads values and mask of every window, and writes two GeoTIFFs. It writes neither
metadata nor footprints, chooses no split, and checks nothing. Both take turns. Prints seconds of
work (CPU time) of each, the smallest of three, and their ratio.

    python tests/benchmarks/export_speed.py SOURCE TARGET [SIDE]
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import rasterio
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from geotranslate import export_chips

ROUNDS = 3


def main(source: str, target: str, side: int) -> None:
    """Run both and print their times."""
    times: tuple[list[float], list[float]] = ([], [])
    with tempfile.TemporaryDirectory() as name:
        for number in range(ROUNDS):
            start = time.process_time()
            pairs = plain(source, target, Path(name) / f"plain{number}", side)
            times[0].append(time.process_time() - start)
            start = time.process_time()
            done = export_chips(
                source,
                target,
                Path(name) / f"chips{number}",
                tile_size=side,
                min_valid=0,
                progress=False,
            )
            times[1].append(time.process_time() - start)
            assert done.pairs <= pairs
    loop, export = map(min, times)
    print(
        f"{done.pairs} pairs of {side} px, {'warped' if done.target_warped else 'one grid'}: plain "
        f"loop {loop:.2f} s, export_chips {export:.2f} s of work, ratio {export / loop:.2f}"
    )


def plain(source: str, target: str, folder: Path, side: int) -> int:
    """Write the pairs of two rasters with rasterio alone; return their number."""
    with ExitStack() as stack:
        first, second = (stack.enter_context(rasterio.open(path)) for path in (source, target))
        if (first.crs, first.transform, first.shape) != (
            second.crs,
            second.transform,
            second.shape,
        ):
            second = stack.enter_context(
                WarpedVRT(
                    second,
                    crs=first.crs,
                    transform=first.transform,
                    height=first.height,
                    width=first.width,
                    resampling=Resampling.bilinear,
                )
            )
        windows = [
            Window(col, row, side, side)
            for row in range(0, first.height - side + 1, side)
            for col in range(0, first.width - side + 1, side)
        ]
        for name, raster in (("images", first), ("images2", second)):
            (folder / name).mkdir(parents=True)
            for number, window in enumerate(windows):
                write(raster, window, folder / name / f"{number:09d}.tif")
    return len(windows)


def write(raster: DatasetReader, window: Window, path: Path) -> None:
    """Write a window as a chip."""
    values, mask = raster.read(window=window), raster.dataset_mask(window=window)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=raster.count,
        height=window.height,
        width=window.width,
        dtype=raster.dtypes[0],
        nodata=raster.nodata,
        compress="lzw",
        crs=raster.crs,
        transform=raster.window_transform(window),
    ) as chip:
        chip.write(values)
        if raster.nodata is None and not mask.all():
            chip.write_mask(mask)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 256)
