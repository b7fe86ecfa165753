"""Compare what `fit` and a plain PyTorch loop of the same recipe reach, in L1 of unseen pairs.

Both train the same networks from the same weights on the same loader, side by side, each in a
process with one thread, for the same wall-clock time (or number of steps); `fit` with all that it
does, its measures and checkpoints included, and a moving average of the weights (`ema`). The plain
loop is eager, in float32, with contiguous tensors and two torch Adams. Prints the L1 in -1..1 of
unseen pairs by the plain loop's last weights, the model that `fit` kept as the best by a few of the
training pairs, its last one, and its last weights without the average. The places:

- banepa: drone image to map, northern three quarters to southern quarter;
- naip: colors to near infrared, years to 2016 to 2019;
- maps: aerial photographs to maps, 160 pairs to 40;

and pictures of them go into OUT.

    python tests/benchmarks/training_quality.py PLACE DATA OUT [--minutes M | --steps N]

DATA is the folder of the place's files. Beside the networks' width everything is at its default.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TQDM_DISABLE"):
    os.environ[variable] = "1"

import rasterio  # noqa: E402
import torch  # noqa: E402
from fastai.callback.core import Callback, CancelFitException  # noqa: E402
from rasterio.windows import Window  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from training_speed import Recipe, as_written  # noqa: E402

from geotranslate import Pix2Pix, export_chips, prepare_data  # noqa: E402
from geotranslate.data.loaders import PairLoaders  # noqa: E402
from geotranslate.data.plotting import draw_table  # noqa: E402
from geotranslate.raster.grid import Grid  # noqa: E402
from geotranslate.training.objectives.base import masked_l1  # noqa: E402

CHIP_SIZE, STRIDE, CROP, FILTERS, BATCH_SIZE = 256, 128, 128, 32, 4
DECAY = 0.999
ARMS = ("plain", "fit")
Over = Callable[[], bool]


def banepa(data: Path, out: Path) -> tuple[PairLoaders, PairLoaders]:
    """Cut the north and the south of the drone image."""
    image, plan = data / "banepa_rgb.tif", data / "banepa_map.tif"
    with rasterio.open(image) as scene:
        grid = Grid.of(scene)
    north = Window(0, 0, grid.width, grid.height * 3 // 4)
    south = Window(0, north.height, grid.width, grid.height - north.height)
    for name, window, stride in (("train", north, STRIDE), ("unseen", south, CHIP_SIZE)):
        area = grid.crop(window).footprint
        cut = {"tile_size": CHIP_SIZE, "stride": stride, "aoi": area, "progress": False}
        export_chips(image, plan, out / name, overwrite=True, **cut)
    return loaders(out / "train"), loaders(out / "unseen", unseen=True)


def naip(data: Path, out: Path) -> tuple[PairLoaders, PairLoaders]:
    """Cut every year into chips of colors and near infrared."""
    bands = {"source_bands": [1, 2, 3], "target_bands": [4]}
    cut = {"tile_size": CHIP_SIZE, "progress": False, "overwrite": True}
    early = []
    for file in sorted(data.glob("*.tif")):
        year = file.stem.split("_")[-1][:4]
        if year <= "2016" or year == "2019":
            folder = out / year
            stride = CHIP_SIZE if year == "2019" else STRIDE // 2
            export_chips(file, file, folder, stride=stride, **cut)
            early += [folder] * (year <= "2016")
    return loaders(early, **bands), loaders(out / "2019", unseen=True, **bands)


def maps(data: Path, out: Path) -> tuple[PairLoaders, PairLoaders]:
    """Use the pictures at half their size."""
    return loaders(data / "train", resize_to=300), loaders(data / "val", unseen=True, resize_to=300)


PLACES = {"banepa": banepa, "naip": naip, "maps": maps}


def loaders(path: Any, *, unseen: bool = False, **options: Any) -> PairLoaders:
    """Return loaders, with nearly all unseen pairs for validation."""
    share = 0.95 if unseen else 0.05
    size = {} if unseen else {"chip_size": CROP}
    return prepare_data(path, batch_size=BATCH_SIZE, val_split_pct=share, **size, **options)


class Stop(Callback):
    """Callback that ends a training after a time or a number of steps."""

    order = 100

    def __init__(self, over: Over) -> None:
        self.over = over

    def after_batch(self) -> None:
        """Check whether the training is over."""
        if self.training and self.over():
            raise CancelFitException


def train(arm: str, data: PairLoaders, over: Over, out: Path) -> dict[str, nn.Module]:
    """Train in one way; return the translating networks."""
    torch.manual_seed(0)
    model = Pix2Pix(data, recipe="seamless", ngf=FILTERS, ndf=FILTERS)
    pair = model.pair
    if arm == "fit":
        options: dict[str, Any] = {"folder": out / "training", "progress": False, "ema": DECAY}
        model.fit(10_000, callbacks=[Stop(over)], **options)
        best = Pix2Pix.from_model(out / "training" / "best")
        return {"best": best.pair.translating, "last": pair.translating, "raw": pair.generator}
    pair = as_written(pair)
    recipe = Recipe(pair)
    while True:
        for batch in data.train:
            recipe.step(*(side.as_subclass(Tensor) for side in batch))
            if over():
                return {"plain": pair.generator}


def child(arm: str, place: str, data: Path, out: Path, minutes: float, steps: int) -> None:
    """Train in one way and write the L1 and some translations."""
    seen, unseen = PLACES[place](data, out)
    seen.one_batch()
    taken, began = 0, time.perf_counter()

    def over() -> bool:
        nonlocal taken
        taken += 1
        return taken >= steps if steps else time.perf_counter() - began > 60 * minutes

    networks = train(arm, seen, over, out)
    seconds = time.perf_counter() - began
    pairs = [unseen.valid_ds[i] for i in range(len(unseen.valid_ds))]
    for name, network in networks.items():
        network.eval()
        losses, shown = [], []
        for source, target in pairs:
            with torch.inference_mode():
                found = network(source.as_subclass(Tensor)[None])[0]
            losses.append(float(masked_l1(found, target.as_subclass(Tensor))))
            shown.append(found)
        every = max(len(shown) // 6, 1)
        result = {
            "l1": sum(losses) / len(losses),
            "steps": taken,
            "seconds": seconds,
            "shown": shown[::every][:6],
            "pairs": [tuple(side.as_subclass(Tensor) for side in p) for p in pairs[::every][:6]],
        }
        torch.save(result, out / f"{name}.pt")


def main() -> None:
    """Train in both ways at once and print their results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("place", choices=PLACES)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    common = (asked.place, asked.data, asked.out, asked.minutes, asked.steps)
    if asked.arm:
        child(asked.arm, *common)
        return
    running = []
    for arm in ARMS:
        folder = asked.out / arm
        folder.mkdir(parents=True, exist_ok=True)
        said = [sys.executable, __file__, *map(str, (asked.place, asked.data, folder))]
        said += ["--minutes", str(asked.minutes), "--steps", str(asked.steps), "--arm", arm]
        running.append(subprocess.Popen(said))
    if any(process.wait() for process in running):
        sys.exit("A training failed.")
    files = {"plain": "plain", "best": "fit", "last": "fit", "raw": "fit"}
    found = {name: torch.load(asked.out / arm / f"{name}.pt") for name, arm in files.items()}
    for name, result in found.items():
        share = result["l1"] / found["plain"]["l1"]
        print(
            f"{asked.place}, {name}: L1 {result['l1']:.4f} ({share:.3f} of the plain loop's) "
            f"after {result['steps']} steps in {result['seconds']:.0f} s"
        )
    pairs = found["plain"]["pairs"]
    rows = [
        [source, *(result["shown"][i] for result in found.values()), target]
        for i, (source, target) in enumerate(pairs)
    ]
    titles = ["plain loop", "fit, best", "fit, last", "fit, not averaged"]
    sheet = draw_table(rows, ["source", *titles, "truth"])
    sheet.savefig(asked.out / f"{asked.place}.png", dpi=60)


if __name__ == "__main__":
    main()
