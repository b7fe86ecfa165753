"""Compare Pix2Pix, Pix2PixHD and CycleGAN on the same pairs in the same time of one core.

    python tests/benchmarks/translators.py TASK DATA OUT [--minutes M] [--only NAME ...]

Prints the mean absolute error of validation pairs, in gray levels, and draws sample sheets into
OUT. The tasks:

- map: drone image of Banepa to its map, northern three quarters to southern quarter;
- imagery: Banepa's building classes to the drone image, the same quarters;
- cover: land cover of four places to the optical image of a fifth (TerraMind);
- radar: radar backscatter of four places to the optical image of a fifth (TerraMind).

DATA is the folder with the places' folders. All networks are narrow enough for a CPU: 32 filters
for the U-Net, and as many as make a step of the others take about as long.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TQDM_DISABLE"):
    os.environ.setdefault(variable, "1")

import rasterio  # noqa: E402
from fastai.callback.core import Callback, CancelFitException  # noqa: E402
from rasterio.windows import Window  # noqa: E402

from geotranslate import CycleGAN, Pix2Pix, Pix2PixHD, export_chips, prepare_data  # noqa: E402
from geotranslate.data.loaders import PairLoaders  # noqa: E402
from geotranslate.raster.grid import Grid  # noqa: E402

CROP, BATCH_SIZE = 128, 4
TRANSLATORS: dict[str, tuple[Any, dict[str, Any]]] = {
    "Pix2Pix": (Pix2Pix, {"recipe": "seamless", "ngf": 32, "ndf": 32}),
    "Pix2PixHD": (
        Pix2PixHD,
        {"ngf": 16, "ndf": 16, "n_downsample_global": 3, "n_blocks_global": 4},
    ),
    "Pix2PixHD local": (
        Pix2PixHD,
        {
            "gen_network": "local",
            "ngf": 16,
            "ndf": 16,
            "n_downsample_global": 3,
            "n_blocks_global": 4,
        },
    ),
    "CycleGAN": (CycleGAN, {"ngf": 16, "ndf": 16, "gen_blocks": 6}),
}
TASKS = {
    "map": ("banepa_rgb.tif", "banepa_map.tif"),
    "imagery": ("banepa_buildings.tif", "banepa_rgb.tif"),
    "cover": ("LULC", "S2RGB"),
    "radar": ("S1RTC", "S2RGB"),
}


class Stop(Callback):
    """Callback that ends a training after a CPU time, independent of the machine's load."""

    order = 100

    def __init__(self, seconds: float) -> None:
        self.steps, self.until = 0, time.process_time() + seconds

    def after_batch(self) -> None:
        """Check the clock."""
        self.steps += self.training
        if self.training and time.process_time() > self.until:
            raise CancelFitException


def loaders(task: str, data: Path, out: Path) -> PairLoaders:
    """Cut or copy the chips of a task once, and load them."""
    folder = out / "chips"
    source, target = TASKS[task]
    if not folder.exists():
        if task in ("map", "imagery"):
            folder.mkdir(parents=True)
            image, plan = data / "banepa" / source, data / "banepa" / target
            with rasterio.open(image) as scene:
                grid = Grid.of(scene)
            middle = grid.height * 3 // 4
            for name, top, height in (("north", 0, middle), ("south", middle, grid.height)):
                window = Window(0, top, grid.width, min(height, grid.height) - top)
                cut: dict[str, Any] = {"aoi": grid.crop(window).footprint, "progress": False}
                export_chips(image, plan, folder / name, tile_size=256, stride=128, **cut)
        else:
            for side, name in (("images", source), ("images2", target)):
                (folder / "all" / side).mkdir(parents=True)
                for file in sorted((data / "terramind" / name).glob("*.tif")):
                    place = file.stem.removeprefix(f"{name}_")
                    shutil.copy(file, folder / "all" / side / f"{place}.tif")
    if task in ("map", "imagery"):
        return prepare_data(
            folder / "north", chip_size=CROP, batch_size=BATCH_SIZE, val_split_pct=0.03
        )
    return prepare_data(
        folder / "all", chip_size=CROP, batch_size=BATCH_SIZE, val_split_pct=0.2, split="random"
    )


def main() -> None:
    """Train one translator after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--only", nargs="*", choices=TRANSLATORS, default=list(TRANSLATORS))
    given = parser.parse_args()
    out: Path = given.out / given.task
    data = loaders(given.task, given.data, out)
    unseen = data
    if given.task in ("map", "imagery"):
        unseen = prepare_data(out / "chips" / "south", chip_size=CROP, val_split_pct=0.5)
    print(f"| translator | steps | MAE | PSNR | SSIM |\n|{'---|' * 5}")
    for name in given.only:
        make, options = TRANSLATORS[name]
        model, stop = make(data, **options), Stop(given.minutes * 60)
        model.fit(
            100_000,
            schedule="constant",
            callbacks=[stop],
            checkpoint=False,
            progress=False,
        )
        found = model.compute_metrics(["mae", "psnr", "ssim"], data=unseen)
        model.show_results(3).savefig(out / f"{name.replace(' ', '_')}.png")
        model.save(out / name.replace(" ", "_"))
        print(
            f"| {name} | {stop.steps} | {found['mae']:.2f} | {found['psnr']:.2f} | "
            f"{found['ssim']:.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
