"""Compare SuperResolution with interpolation, on a year that it has not seen.

    python tests/benchmarks/finer_pixels.py NAIP OUT [--times 2] [--minutes 4] [--seeds 1]
        [--gan 0 1]

NAIP is the folder of NAIP images of several years. Each is gathered by means of blocks (by
`translate_raster`), and the model learns to undo this on the years to 2014, on one thread. The
gathered images of 2017 and 2019 are brought back by GDAL's bilinear, cubic and Lanczos resampling,
and by the model, and compared with the images themselves: PSNR and SSIM over valid pixels, where
the peak is 255. Minutes are those of the CPU, not of the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TQDM_DISABLE"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402
import rasterio  # noqa: E402
import torch  # noqa: E402
from fastai.callback.core import Callback, CancelFitException  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from rasterio.enums import Resampling  # noqa: E402
from rasterio.vrt import WarpedVRT  # noqa: E402

from geotranslate import (  # noqa: E402
    SuperResolution,
    evaluate_raster,
    export_chips,
    prepare_data,
    translate_raster,
)

TRAINING, TESTS = ("2009", "2010", "2012", "2014"), ("2017", "2019")
METHODS = (Resampling.bilinear, Resampling.cubic, Resampling.lanczos)
CHIP, CROP = 48, 32
PROBE = 6
"""Steps that are timed before a training."""


def gathered(image: Path, times: int, out: Path) -> Path:
    """Write an image with the means of blocks of pixels."""

    def means(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        count, bands, rows, cols = batch.shape
        blocks = batch.reshape(count, bands, rows // times, times, cols // times, times)
        found: NDArray[np.float32] = blocks.mean(axis=(3, 5))
        return found

    path = out / f"{image.stem}_{times}.tif"
    size: dict[str, Any] = {"tile_size": 256 // times * times, "overlap": 0}
    translate_raster(
        image,
        path,
        means,
        bands_out=4,
        scale=Fraction(1, times),
        nodata=0,
        overwrite=True,
        progress=False,
        **size,
    )
    return path


def enlarged(image: Path, like: Path, method: Resampling, out: Path) -> Path:
    """Write an image resampled to the grid of another one."""
    path = out / f"{image.stem}_{method.name}.tif"
    with rasterio.open(like) as grid, rasterio.open(image) as dataset:
        places = {name: getattr(grid, name) for name in ("crs", "transform", "width", "height")}
        with WarpedVRT(dataset, resampling=method, **places) as warped:
            plain = {"driver": "GTiff", "tiled": False, "photometric": "MINISBLACK", "alpha": "NO"}
            profile = warped.profile | plain
            for name in ("blockxsize", "blockysize"):
                profile.pop(name, None)
            with rasterio.open(path, "w", **profile) as written:
                written.write(warped.read())
    return path


class Stop(Callback):
    """End a training after some steps or seconds of the CPU."""

    def __init__(self, steps: int | None = None, seconds: float = 1e9) -> None:
        self.steps, self.until, self.done = steps, time.process_time() + seconds, 0

    def after_batch(self) -> None:
        """Count the batch."""
        self.done += self.training
        if self.done == self.steps or time.process_time() > self.until:
            raise CancelFitException


def trained(data: Any, options: dict[str, Any], minutes: float, out: Path) -> SuperResolution:
    """Train for about so many minutes, with as many epochs as fit into them."""
    run: dict[str, Any] = {"checkpoint": False, "folder": out / "run"}
    SuperResolution(data, **options).fit(9, callbacks=[Stop(1)], **run)
    began = time.process_time()
    SuperResolution(data, **options).fit(9, callbacks=[Stop(PROBE)], **run)
    epoch = (time.process_time() - began) / PROBE * (len(data.train) + 1)
    model = SuperResolution(data, **options)
    model.fit(max(1, round(60 * minutes / epoch)), callbacks=[Stop(seconds=69 * minutes)], **run)
    return model


def row_of(name: str, year: str, found: Path, image: Path) -> dict[str, Any]:
    """Return the measures of an enlarged image."""
    measures = evaluate_raster(found, image, data_range=255, progress=False).overall
    return {"method": name, "year": year, **{key: measures[key] for key in ("psnr", "ssim", "mae")}}


def main() -> None:
    """Run the comparison and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("naip", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--times", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--gan", type=float, nargs="+", default=[0])
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    images = {path.stem[-8:-4]: path for path in sorted(given.naip.glob("*.tif"))}
    coarse = {year: gathered(images[year], given.times, given.out) for year in TRAINING + TESTS}
    chips = export_chips(
        [coarse[year] for year in TRAINING],
        [images[year] for year in TRAINING],
        given.out / "chips",
        tile_size=CHIP,
        target_resolution="own",
        overwrite=True,
        progress=False,
    )
    rows = []
    for year in TESTS:
        for method in METHODS:
            path = enlarged(coarse[year], images[year], method, given.out)
            rows.append(row_of(method.name, year, path, images[year]))
    for seed in range(given.seeds):
        data = prepare_data(chips, chip_size=CROP, batch_size=8, seed=seed, val_split_pct=0.03)
        for weight in given.gan:
            options = {"lambda_gan": weight, "perceptual_loss": bool(weight), "ngf": 32}
            model = trained(data, options, given.minutes, given.out)
            name = f"SuperResolution, lambda_gan={weight:g}, seed {seed}"
            print(name, len(model.history), "epochs of", len(data.train), "steps", flush=True)
            for year in TESTS:
                done = model.predict_raster(
                    coarse[year], given.out / f"{year}.tif", overwrite=True, progress=False
                )
                rows.append(row_of(name, year, Path(done), images[year]))
                print(json.dumps(rows[-1]), flush=True)
    for row in rows:
        print(json.dumps(row))


if __name__ == "__main__":
    main()
