"""Compare the speed of loading pairs with the speed of training.

Prints loader images/s over training images/s of one run, with the decoded chips in memory and with
every chip read and decoded anew, for chips of 256 px (3 uint8 bands on both sides) and the full
U-Net and PatchGAN. The bar is 5: below it training waits for its data.

    python tests/benchmarks/loader_speed.py [PAIRS] [STEPS]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from fastai.callback.core import Callback, CancelFitException

from geotranslate import Pix2Pix, export_chips, prepare_data
from geotranslate.data.loaders import PairLoaders

CHIP_SIZE, BATCH_SIZE, BAR = 256, 4, 5
ROW = 8
"""Chips side by side in the scene."""


def main(pairs: int, steps: int) -> None:
    """Measure both ways of loading and some training steps, and print the ratios."""
    with tempfile.TemporaryDirectory() as folder:
        chips = write_chips(Path(folder), pairs)
        kept = prepare_data(chips, batch_size=BATCH_SIZE)
        read = prepare_data(chips, batch_size=BATCH_SIZE, memory_mb=0)
        first, again = loading_speed(kept), loading_speed(kept)
        anew = loading_speed(read)
        trained = training_speed(kept, steps)
    print(
        f"{len(kept.train_ds)} training pairs of {CHIP_SIZE} px; training {trained:.2f} images/s "
        f"({steps} steps of {BATCH_SIZE})"
    )
    for name, speed in (
        ("first epoch, filling the memory", first),
        ("later epochs, from memory", again),
        (f"memory off, {read.train.fake_l.num_workers} workers", anew),
    ):
        ratio = speed / trained
        result = "reached" if ratio >= BAR else "MISSED"
        print(f"{name}: loader {speed:.0f} images/s, ratio {ratio:.1f}, bar of {BAR} {result}")


def write_chips(folder: Path, pairs: int) -> Path:
    """Write two noisy scenes, so that chips compress as badly as photographs, and cut them."""
    chance = np.random.default_rng(0)
    rows, cols = -(-pairs // ROW) * CHIP_SIZE, ROW * CHIP_SIZE
    smooth = np.add.outer(np.arange(rows), np.arange(cols)) // 8 % 200
    for name in ("source", "target"):
        with rasterio.open(
            folder / f"{name}.tif",
            "w",
            driver="GTiff",
            count=3,
            height=rows,
            width=cols,
            dtype="uint8",
            crs="EPSG:32633",
            transform=Affine(1, 0, 5e5, 0, -1, 5e6),
        ) as scene:
            scene.write((smooth + chance.integers(0, 32, (3, rows, cols))).astype("uint8"))
    export_chips(
        folder / "source.tif",
        folder / "target.tif",
        folder / "chips",
        tile_size=CHIP_SIZE,
        progress=False,
    )
    return folder / "chips"


def loading_speed(data: PairLoaders) -> float:
    """Return the images/s of one epoch of training pairs."""
    began = time.perf_counter()
    images = sum(len(source) for source, _ in data.train)
    return images / (time.perf_counter() - began)


def training_speed(data: PairLoaders, steps: int) -> float:
    """Return the images/s of training steps alone, without loading their batches."""
    learn = Pix2Pix(data, recipe="seamless").learn
    clock = Clock(steps)
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, cbs=clock)
    return steps * BATCH_SIZE / clock.seconds


class Clock(Callback):
    """Time some training steps and end the training; the first step, with set-up, is not counted.

    Args:
        steps: Number of steps that are counted.
    """

    def __init__(self, steps: int) -> None:
        self.steps, self.times = steps, []

    def before_batch(self) -> None:
        self.began = time.perf_counter()

    def after_batch(self) -> None:
        # An accelerator works asynchronously: reading a number waits for it.
        self.learn.loss.item()
        self.times.append(time.perf_counter() - self.began)
        if len(self.times) > self.steps:
            raise CancelFitException

    @property
    def seconds(self) -> float:
        return sum(self.times[1:])


if __name__ == "__main__":
    arguments = [int(number) for number in sys.argv[1:]]
    main(*arguments, *(72, 6)[len(arguments) :])
