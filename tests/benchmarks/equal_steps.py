"""Compare what `fit` and a plain PyTorch loop reach in equal steps, over several seeds.

    python tests/benchmarks/equal_steps.py MAPS [SEEDS] [STEPS] [FILTERS]

Both train networks of FILTERS filters from the same weights on crops of 128 px of the pairs in
MAPS/train, in batches of 4: the plain loop eagerly in float32 with contiguous tensors and two torch
Adams, `fit` with its defaults (bfloat16 where the machine supports it) and in float32. Single
weights differ by more from step to step than what is compared, so the L1 of the pairs in MAPS/val,
in -1..1, is taken ten times over the last fifth of the steps. Prints it for every seed and way, and
the mean ratios to the plain loop with their standard errors (bar: within 2 %).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import mean, stdev

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import torch  # noqa: E402
from fastai.callback.core import Callback, CancelFitException  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from training_speed import Recipe, as_written  # noqa: E402

from geotranslate import Pix2Pix, prepare_data  # noqa: E402
from geotranslate.data.loaders import PairLoaders  # noqa: E402
from geotranslate.training.objectives.base import masked_l1  # noqa: E402

WAYS = ("plain", "fit", "fit in float32")
SIZE, CROP, BATCH_SIZE, LOOKS = 300, 128, 4, 10


class Looks:
    """The L1 of unseen pairs, ten times over the last fifth of the steps."""

    def __init__(self, unseen: PairLoaders, steps: int) -> None:
        self.pairs = [unseen.valid_ds[i] for i in range(len(unseen.valid_ds))]
        self.steps, self.taken, self.found = steps, 0, list[float]()
        self.at = [steps - round(steps / 5 / LOOKS * i) for i in range(LOOKS)]

    def after_step(self, generator: nn.Module) -> bool:
        """Measure the L1 when it is due; return whether the training is over."""
        self.taken += 1
        if self.taken in self.at:
            generator.eval()
            with torch.inference_mode():
                losses = [
                    float(masked_l1(generator(source.as_subclass(Tensor)[None])[0], target))
                    for source, target in ((s, t.as_subclass(Tensor)) for s, t in self.pairs)
                ]
            generator.train()
            self.found.append(mean(losses))
        return self.taken >= self.steps


class Following(Callback):
    """Callback that measures the L1 during a `fit`."""

    order = 100

    def __init__(self, after_step: Callable[[nn.Module], bool]) -> None:
        self.look = after_step

    def after_batch(self) -> None:
        """End the training when it is over."""
        if self.training and self.look(self.model.generator):
            raise CancelFitException


def trained(way: str, data: PairLoaders, looks: Looks, filters: int) -> float:
    """Train in one way and return the mean L1."""
    model = Pix2Pix(data, recipe="seamless", ngf=filters, ndf=filters)
    if way != "plain":
        model.fit(
            10_000,
            precision="auto" if way == "fit" else "float32",
            callbacks=[Following(looks.after_step)],
            checkpoint=False,
            progress=False,
        )
        return mean(looks.found)
    recipe = Recipe(as_written(model.pair))
    while True:
        for batch in data.train:
            recipe.step(*(side.as_subclass(Tensor) for side in batch))
            if looks.after_step(recipe.generator):
                return mean(looks.found)


def main(maps: Path, seeds: int, steps: int, filters: int) -> None:
    """Train in all ways with every seed and print the results."""
    cut = {"resize_to": SIZE, "batch_size": BATCH_SIZE}
    unseen = prepare_data(maps / "val", val_split_pct=0.95, **cut)
    ratios: dict[str, list[float]] = {way: [] for way in WAYS[1:]}
    for seed in range(seeds):
        data = prepare_data(maps / "train", chip_size=CROP, seed=seed, **cut)
        found = {}
        for way in WAYS:
            torch.manual_seed(seed)
            found[way] = trained(way, data, Looks(unseen, steps), filters)
        for way, values in ratios.items():
            values.append(found[way] / found["plain"])
        print(f"seed {seed}: " + ", ".join(f"{w} {v:.4f}" for w, v in found.items()), flush=True)
    for way, values in ratios.items():
        error = stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
        print(f"{way} over plain after {steps} steps: {mean(values):.3f} +- {error:.3f}")


if __name__ == "__main__":
    numbers = [int(number) for number in sys.argv[2:]]
    main(Path(sys.argv[1]), *numbers, *(6, 500, 16)[len(numbers) :])
