"""Compare `translate_raster` with an identity to reading and writing the raster with rasterio.

Prints the ratio of the times of one run: what tiling, blending and masks cost.

    python tests/benchmarks/identity_raster.py [SIDE]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.windows import Window

from geotranslate.raster.pipeline.translate import translate_raster
from geotranslate.raster.writing.partfile import BLOCK


def main(side: int) -> None:
    """Run both ways once and print their times and ratio."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source.tif"
        profile = {
            "driver": "GTiff",
            "count": 3,
            "height": side,
            "width": side,
            "dtype": "uint8",
            "crs": "EPSG:32633",
            "transform": Affine(1, 0, 5e5, 0, -1, 5e6),
            "tiled": True,
            "compress": "deflate",
            "predictor": 2,
        }
        smooth = np.add.outer(np.arange(side), np.arange(side)) % 251
        with rasterio.open(source, "w", **profile) as dataset:
            dataset.write(np.stack([smooth, smooth // 2, smooth // 3]).astype("uint8"))

        began = time.perf_counter()
        with (
            rasterio.open(source) as reader,
            rasterio.open(Path(folder) / "copy.tif", "w", **profile) as writer,
        ):
            for row in range(0, side, BLOCK):
                window = Window(0, row, side, min(BLOCK, side - row))
                writer.write(reader.read(window=window), window=window)
        copied = time.perf_counter() - began

        began = time.perf_counter()
        translate_raster(
            source, Path(folder) / "out.tif", lambda batch: batch, bands_out=3, progress=False
        )
        translated = time.perf_counter() - began
    print(
        f"{side} x {side} x 3: copy {copied:.2f} s, identity {translated:.2f} s, ratio "
        f"{translated / copied:.2f}, {side * side / translated / 1e6:.1f} Mpx/s"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4096)
