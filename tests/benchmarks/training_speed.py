"""Compare `fit` with a plain PyTorch loop of the same recipe, in one run.

Full-size networks at 256 px. Prints images/s and their ratios, of the medians over the steps:

- plain: eager, float32, contiguous tensors, two torch Adams, batches that lie in memory ready to be
  used, networks of torch's own layers (bar: 1.8 times its speed);
- fit: `Pix2Pix.fit` with all that it does, loader and callbacks included;
- step: the step that `fit` takes in a loop without fastai, callbacks and loader (bar: they cost at
  most 5 %).

    python tests/benchmarks/training_speed.py [RECIPE] [BATCH_SIZE] [STEPS] [ROUNDS]

RECIPE is that of `Pix2Pix`, seamless or paper.
"""

from __future__ import annotations

import copy
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from itertools import cycle, pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from fastai.callback.core import Callback
from loader_speed import write_chips
from torch import Tensor, nn

from geotranslate import Pix2Pix, prepare_data
from geotranslate.data.loaders import PairLoaders
from geotranslate.memory import reused_memory
from geotranslate.networks.layers import ResizeConv2d
from geotranslate.training.callbacks.precision import training_precision
from geotranslate.training.learner import Adam, AdversarialPair

Batch = tuple[Tensor, Tensor]


class Recipe:
    """The paper's step by hand: one forward, the discriminator's step, the generator's."""

    def __init__(
        self, pair: AdversarialPair, optimizer: Callable[..., Any] = torch.optim.Adam
    ) -> None:
        self.generator, self.discriminator = pair.generator, pair.discriminator
        self.optimizers = [
            optimizer(network.parameters(), 2e-4, (0.5, 0.999))
            for network in (self.generator, self.discriminator)
        ]

    def step(self, source: Tensor, target: Tensor) -> None:
        of_generator, of_discriminator = self.optimizers
        fake = self.generator(source)
        self.discriminator.requires_grad_(True)
        on_real = self.discriminator(source, target)
        on_fake = self.discriminator(source, fake.detach())
        of_discriminator.zero_grad()
        ((label_loss(on_real, 1) + label_loss(on_fake, 0)) / 2).backward()
        of_discriminator.step()
        self.discriminator.requires_grad_(False)
        of_generator.zero_grad()
        adversarial = label_loss(self.discriminator(source, fake), 1)
        (adversarial + 100 * F.l1_loss(fake, target)).backward()
        of_generator.step()


def as_written(network: nn.Module) -> nn.Module:
    """Return a copy of a network that enlarges by repeating pixels, then convolving."""
    found = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    for parent in list(found.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, ResizeConv2d):
                layer.__class__ = nn.Conv2d
                setattr(parent, name, nn.Sequential(nn.Upsample(scale_factor=2), layer))
    return found


def label_loss(logits: Tensor, label: float) -> Tensor:
    """Return the binary cross entropy to one label."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def plain_steps(pair: AdversarialPair, batches: Iterator[Batch]) -> Iterator[None]:
    """Train as most scripts do."""
    recipe = Recipe(pair)
    while True:
        recipe.step(*next(batches))
        yield


def bare_steps(pair: AdversarialPair, batches: Iterator[Batch], device: str) -> Iterator[None]:
    """Take the steps of `fit` without fastai, callbacks and loader."""
    recipe = Recipe(pair.to(memory_format=torch.channels_last), partial(Adam, fused=True))
    precision = training_precision("auto", torch.device(device))
    while True:
        source, target = (side.to(memory_format=torch.channels_last) for side in next(batches))
        reduced = torch.autocast(device, getattr(torch, precision))
        with nullcontext() if precision == "float32" else reduced:
            recipe.step(source, target)
        yield


class Clock(Callback):
    """Callback that records the ends of batches."""

    order = 100

    def __init__(self) -> None:
        self.ends: list[float] = []

    def after_batch(self) -> None:
        """Record the time when the accelerator has finished."""
        if self.training:
            self.learn.loss.item()
            self.ends.append(time.perf_counter())


def fitted(data: PairLoaders, recipe: str, epochs: int) -> list[float]:
    """Return the seconds of the steps of a `fit`, from the end of one to that of the next."""
    clock = Clock()
    model = Pix2Pix(data, recipe=recipe)
    model.fit(epochs, callbacks=[clock], checkpoint=False, progress=False)
    each = len(data.train)
    ends = [clock.ends[i * each : (i + 1) * each] for i in range(epochs)]
    found = [b - a for run in ends for a, b in pairwise(run)]
    return found[2:]


def timed(steps: Iterator[None], count: int) -> list[float]:
    """Return the seconds of some steps, after two steps of warm-up."""
    seconds = []
    for _ in range(count + 2):
        began = time.perf_counter()
        next(steps)
        seconds.append(time.perf_counter() - began)
    return seconds[2:]


def main(recipe: str, batch_size: int, steps: int, rounds: int) -> None:
    """Time all ways in turn and print the ratios."""
    with tempfile.TemporaryDirectory() as folder:
        chips = write_chips(Path(folder), 40)
        data = prepare_data(chips, batch_size=batch_size)
        batches = [tuple(side.as_subclass(Tensor) for side in batch) for batch in data.train]
        device = data.device.type
        pair = Pix2Pix(data, recipe=recipe).pair
        epochs = -(-(steps + 3) // len(data.train)) + 1
        found: dict[str, list[float]] = {"plain": [], "fit": [], "step": []}
        ways: dict[str, Callable[[], list[float]]] = {
            "plain": lambda: timed(plain_steps(as_written(pair), cycle(batches)), steps),
            "fit": lambda: fitted(data, recipe, epochs),
            "step": lambda: timed(bare_steps(copy.deepcopy(pair), cycle(batches), device), steps),
        }
        for _ in range(rounds):
            for name, way in ways.items():
                with reused_memory() if name == "step" else nullcontext():
                    found[name] += way()
    seconds = {name: median(values) for name, values in found.items()}
    for name, value in seconds.items():
        print(f"{name}: {batch_size / value:.2f} images/s, {value * 1e3:.0f} ms a step")
    print(
        f"{recipe}, batch {batch_size} on {device}: fit "
        f"{seconds['plain'] / seconds['fit']:.2f} times the plain loop (bar 1.8); "
        f"what is around the step costs "
        f"{seconds['fit'] / seconds['step'] - 1:.1%} (bar 5 %)"
    )


if __name__ == "__main__":
    recipe = sys.argv[1] if len(sys.argv) > 1 else "seamless"
    arguments = [int(number) for number in sys.argv[2:]]
    main(recipe, *arguments, *(4, 12, 3)[len(arguments) :])
