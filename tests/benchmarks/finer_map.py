"""Compare a map of finer pixels than its image with maps of the image's pixels.

    python tests/benchmarks/finer_map.py DATA OUT [--minutes 1.5] [--seed 0] [--only 4]

DATA/banepa holds a drone image and a map of 0.149 m. The image is gathered to pixels of 0.6 m by
means of 4 x 4 px. Models learn on the northern three quarters and are measured on the southern
quarter, against the map of 0.149 m. They are Pix2Pix with 32 filters and batches of four chips, for
some minutes of one CPU core each:

- "4": image of 0.6 m to map of 0.149 m, chips of 64 px and targets of 256 px;
- "1": image of 0.6 m to map of 0.6 m, chips of 64 px, enlarged bilinearly and by repetition;
- "fine": image of 0.149 m to map of 0.149 m, crops of 128 px, which sees 16 times as many pixels.

Prints a line of JSON for each, and one for the constant (median of each band in the north), with
the mean absolute error in gray levels, and the seam index and tile mismatch of the whole scene,
whose tiles are about as large as chips.
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
import torch.nn.functional as F  # noqa: E402
from fastai.callback.core import Callback, CancelFitException  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from rasterio.windows import Window  # noqa: E402

from geotranslate import (  # noqa: E402
    Pix2Pix,
    export_chips,
    measure_seams,
    prepare_data,
    translate_raster,
)
from geotranslate.raster.grid import Grid  # noqa: E402

TIMES, FILTERS, PROBE = 4, 32, 6
NAMES = ("4", "1", "fine")


class Stop(Callback):
    """End a training after some steps or seconds of the CPU."""

    def __init__(self, steps: int | None = None, seconds: float = 1e9) -> None:
        self.steps, self.until, self.done = steps, time.process_time() + seconds, 0

    def after_batch(self) -> None:
        """Count the batch."""
        self.done += self.training
        if self.done == self.steps or time.process_time() > self.until:
            raise CancelFitException


def gathered(image: Path, out: Path) -> Path:
    """Write a raster with the means of blocks of pixels."""

    def means(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        count, bands, rows, cols = batch.shape
        blocks = batch.reshape(count, bands, rows // TIMES, TIMES, cols // TIMES, TIMES)
        found: NDArray[np.float32] = blocks.mean(axis=(3, 5))
        return found

    path = out / f"{image.stem}_{TIMES}.tif"
    options: dict[str, Any] = {"tile_size": 512, "overlap": 0, "overwrite": True}
    scale = Fraction(1, TIMES)
    translate_raster(image, path, means, bands_out=3, scale=scale, progress=False, **options)
    return path


def northern(raster: Path) -> Window:
    """Return the northern three quarters of a raster."""
    with rasterio.open(raster) as dataset:
        return Window(0, 0, dataset.width, dataset.height * 3 // 4)


def trained(source: Path, target: Path, side: int, crop: int, given: Any, out: Path) -> Pix2Pix:
    """Train on the north of two rasters for about so many minutes."""
    with rasterio.open(source) as dataset:
        area = Grid.of(dataset).crop(northern(source)).footprint
    cut: dict[str, Any] = {"tile_size": side, "stride": side // 2, "aoi": area, "overwrite": True}
    chips = export_chips(
        source, target, out / "chips", target_resolution="own", progress=False, **cut
    )
    data = prepare_data(chips, chip_size=crop, seed=given.seed, val_split_pct=0.03)
    run: dict[str, Any] = {"checkpoint": False, "progress": False, "folder": out / "run"}
    Pix2Pix(data, ngf=FILTERS, ndf=FILTERS).fit(9, callbacks=[Stop(1)], **run)
    began = time.process_time()
    Pix2Pix(data, ngf=FILTERS, ndf=FILTERS).fit(9, callbacks=[Stop(PROBE)], **run)
    epoch = (time.process_time() - began) / PROBE * (len(data.train) + 1)
    model = Pix2Pix(data, ngf=FILTERS, ndf=FILTERS)
    seconds = 60 * given.minutes
    epochs = max(1, round(seconds / epoch))
    model.fit(epochs, callbacks=[Stop(seconds=1.3 * seconds)], **run)
    print(f"{epochs} epochs of {len(data.train)} steps", flush=True)
    return model


def southern(raster: Path) -> NDArray[np.float32]:
    """Return the south of a raster `(bands, rows, cols)`."""
    north = northern(raster)
    with rasterio.open(raster) as dataset:
        rest = Window(0, north.height, dataset.width, dataset.height - north.height)
        found: NDArray[np.float32] = dataset.read(window=rest).astype(np.float32)
    return found


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=1.5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    image, plan = (given.data / "banepa" / f"banepa_{name}.tif" for name in ("rgb", "map"))
    coarse, coarse_plan = gathered(image, given.out), gathered(plan, given.out)
    truth = southern(plan)
    with rasterio.open(plan) as dataset:
        north = dataset.read(window=northern(plan))
    median = np.median(north.reshape(3, -1), axis=1)[:, None, None]
    print(json.dumps({"method": "constant", "mae": float(abs(median - truth).mean())}), flush=True)
    cases = {
        "4": (coarse, plan, 64, 64),
        "1": (coarse, coarse_plan, 64, 64),
        "fine": (image, plan, 256, 128),
    }
    for name in given.only:
        source, target, side, crop = cases[name]
        (out := given.out / name).mkdir(exist_ok=True)
        model = trained(source, target, side, crop, given, out)
        done = model.predict_raster(
            source, out / "map.tif", overwrite=True, progress=False, tile_size=2 * side
        )
        found = torch.from_numpy(southern(done.path))[None]
        ways = {"": found}
        if name == "1":
            ways = {
                "bilinear": F.interpolate(found, scale_factor=TIMES, mode="bilinear"),
                "repeated": F.interpolate(found, scale_factor=TIMES),
            }
        seams = measure_seams(done.path)
        for way, values in ways.items():
            facts = {
                "method": f"{name} {way}".strip(),
                "mae": float(abs(values[0].numpy() - truth).mean()),
                "seam_index": seams.seam_index,
                "mismatch": seams.mismatch,
                "tiles": done.tiles,
            }
            print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    main()
