"""Compare the mismatch of tiles and the error of a scene by `norm_stats`.

    python tests/benchmarks/norm_statistics.py SOURCE TARGET [--norm instance] [--epochs 4]

Trains a small U-Net on the upper three quarters of a pair of rasters on one grid, by L1 alone, and
translates all of it; the error is the mean absolute difference in the lowest quarter, in the units
of the target.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import rasterio
from rasterio.windows import Window

from geotranslate import Pix2Pix, prepare_data


def upper(path: Path, folder: Path) -> Path:
    """Write the upper three quarters of a raster."""
    with rasterio.open(path) as whole:
        window = Window(0, 0, whole.width, whole.height * 3 // 4)
        profile = {**whole.profile, "height": window.height, "driver": "GTiff"}
        with rasterio.open(folder / path.name, "w", **profile) as written:
            written.write(whole.read(window=window))
    return folder / path.name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--norm", default="instance")
    parser.add_argument("--epochs", type=int, default=4)
    given = parser.parse_args()
    with TemporaryDirectory() as made:
        folder = Path(made)
        data = prepare_data(
            upper(given.source, folder), upper(given.target, folder), chip_size=256, batch_size=4
        )
        model = Pix2Pix(data, recipe="seamless", ngf=16, norm=given.norm, lambda_gan=0)
        model.fit(given.epochs)
        with rasterio.open(given.target) as target:
            bottom = Window(0, target.height * 3 // 4, target.width, target.height // 4)
            expected = target.read(window=bottom).astype(np.float32)
        print("norm_stats  mismatch    p99  error   time")
        for norm_stats in ("running", "tile", "smooth", "scene"):
            if norm_stats == "running" and given.norm != "batch":
                continue
            result = model.predict_raster(
                given.source,
                folder / f"by_{norm_stats}.tif",
                norm_stats=norm_stats,
                precision="float32",
                dtype="float32",
                progress=False,
            )
            with rasterio.open(result) as written:
                error = np.abs(written.read(window=bottom) - expected).mean()
            print(
                f"{norm_stats:10}  {result.mismatch:8.2f} {result.mismatch_p99:6.1f} {error:6.2f} "
                f"{result.seconds.total:6.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
