"""Train a CycleGAN on colors of one year and false colors of another, and compare it with pairs.

The sources are red, green and blue of NAIP 2019 in the southern half of a scene, the targets near
infrared, red and green of 2017 in the northern half: nothing shows the same place, and no pair is
seen. Prints the mean absolute error of the pairs of both years in both halves beside the error of
the untranslated source, and translates the whole scene both ways. Pictures and rasters go into OUT.

    python tests/benchmarks/unpaired.py NAIP OUT [--minutes 20] [--ngf 16] [--crop 128]

NAIP is the folder with the years.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TQDM_DISABLE"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402
import rasterio  # noqa: E402
from fastai.callback.core import Callback, CancelFitException  # noqa: E402
from rasterio.windows import Window  # noqa: E402

from geotranslate import CycleGAN, prepare_data  # noqa: E402

COLORS, FALSE_COLORS = [1, 2, 3], [4, 1, 2]
SOURCE_YEAR, TARGET_YEAR = "2019", "2017"


class Stop(Callback):
    """Callback that ends a training after a time, and decreases the rates to 0 until then."""

    order = 100

    def __init__(self, seconds: float) -> None:
        self.seconds, self.began = seconds, time.perf_counter()

    def before_batch(self) -> None:
        """Set the rates: constant for one half of the time."""
        share = (time.perf_counter() - self.began) / self.seconds
        self.opt.set_hyper("lr", 2e-4 * max(min(1.0, 2 * (1 - share)), 0.0))

    def after_batch(self) -> None:
        """Check the clock."""
        if self.training and time.perf_counter() - self.began > self.seconds:
            raise CancelFitException


def half(naip: Path, out: Path, year: str, name: str) -> Path:
    """Write the northern or southern half of a year."""
    (file,) = naip.glob(f"*_{year}*.tif")
    with rasterio.open(file) as scene:
        middle = scene.height // 2
        window = Window(0, 0 if name == "north" else middle, scene.width, middle)
        profile = scene.profile | {
            "height": middle,
            "transform": scene.window_transform(window),
            "driver": "GTiff",
            # Otherwise GDAL takes the fourth of four bytes for alpha.
            "photometric": "minisblack",
        }
        values = scene.read(window=window)
    written = out / f"{year}_{name}.tif"
    with rasterio.open(written, "w", **profile) as raster:
        raster.write(values)
    return written


def error(truth: Path, found: Path | None) -> float:
    """Return the mean absolute error of false colors, or of the source itself without a raster."""
    with rasterio.open(truth) as scene:
        wanted = scene.read(FALSE_COLORS).astype(float)
        source = scene.read(COLORS).astype(float)
        valid = scene.dataset_mask() > 0
    if found is not None:
        with rasterio.open(found) as scene:
            source = scene.read().astype(float)
    return float(np.abs(source - wanted)[:, valid].mean())


def main() -> None:
    """Train, translate, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("naip", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--ngf", type=int, default=16)
    parser.add_argument("--crop", type=int, default=128)
    given = parser.parse_args()
    out: Path = given.out
    out.mkdir(parents=True, exist_ok=True)
    halves = {
        (year, name): half(given.naip, out, year, name)
        for year in (SOURCE_YEAR, TARGET_YEAR)
        for name in ("north", "south")
    }
    data = prepare_data(
        halves[SOURCE_YEAR, "south"],
        halves[TARGET_YEAR, "north"],
        paired=False,
        chip_size=given.crop,
        stride=given.crop // 4,
        source_bands=COLORS,
        target_bands=FALSE_COLORS,
        batch_size=1,
    )
    print(data.summary())
    model = CycleGAN(data, ngf=given.ngf, ndf=given.ngf, gen_blocks=6)
    stop = Stop(given.minutes * 60)
    model.fit(10_000, callbacks=[stop], schedule="constant", folder=out / "training")
    model.show_results(3).savefig(out / "results.png")
    model.save(out / "model")
    print(f"| pairs | source as it is | translated |\n|{'---|' * 3}")
    for (year, name), truth in halves.items():
        done = model.predict_raster(
            truth, out / f"{truth.stem}_translated.tif", overwrite=True, progress=False
        )
        print(
            f"| {year}, {name} | {error(truth, None):.1f} | {error(truth, done.path):.1f} |",
            flush=True,
        )
    (scene,) = given.naip.glob(f"*_{SOURCE_YEAR}*.tif")
    there = model.predict_raster(scene, out / "there.tif", overwrite=True, progress=False)
    back = model.predict_raster(
        there, out / "back.tif", direction="BtoA", overwrite=True, progress=False
    )
    with rasterio.open(scene) as first, rasterio.open(back.path) as last:
        assert (first.transform, first.crs, first.shape) == (last.transform, last.crs, last.shape)
        apart = np.abs(first.read(COLORS).astype(float) - last.read())
    print(f"there and back: {apart.mean():.1f}; mismatch {there.mismatch} {back.mismatch}")


if __name__ == "__main__":
    main()
