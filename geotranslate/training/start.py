"""The fitted start of a generator, and simple translations to compare with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from fastai.data.core import DataLoaders
from torch import Tensor, nn
from tqdm.auto import tqdm

from geotranslate.chips.bands import Side
from geotranslate.chips.pair_set import Pair
from geotranslate.data import PairDataset
from geotranslate.metrics import Measures
from geotranslate.networks.onehot import OneHot
from geotranslate.networks.pixel import PixelNetwork

CONSTANT, START = "constant", "start"
"""Names of the baselines: the training median of every band, and the generator's start."""

PIXELS = 400_000
"""Most pixels of the sample."""
CHIPS = 1000
"""Most chips that they are drawn from."""
PASSES, BATCH = 60, 4096
RATE, BETAS = 2e-3, (0.9, 0.99)


def baseline_errors(
    batches: Iterable[tuple[Tensor, Tensor]], target: Side, generator: nn.Module | None
) -> dict[str, float]:
    """Return the mean absolute errors of a constant and of a generator's start, in target units.

    Args:
        batches: Sources and targets in -1..1.
        target: What is known of the target; without a median there is no constant.
        generator: The generator, whose start is measured if it has one.
    """
    start = None if generator is None else start_of(generator)
    constant = _median(target)
    sums: dict[str, Measures] = {}
    with torch.inference_mode():
        for source, truth in batches:
            source, truth = (side.as_subclass(Tensor) for side in (source, truth))
            found = {}
            if constant is not None:
                found[CONSTANT] = constant.to(truth.device).expand_as(truth)
            if start is not None and generator is not None:
                found[START] = start(seen_by(generator, source))
            for name, translation in found.items():
                sums.setdefault(name, Measures(target, ("mae",))).add(translation, truth)
    return {name: measures.results()["mae"] for name, measures in sums.items()}


def start_of(generator: nn.Module) -> PixelNetwork | None:
    """Return the start that a generator adds to, None where it has none."""
    inner = generator.network if isinstance(generator, OneHot) else generator
    start = getattr(inner, "start", None)
    return start if isinstance(start, PixelNetwork) else None


def seen_by(generator: nn.Module, source: Tensor) -> Tensor:
    """Return the input bands of a generator's network: one for each class, or the source."""
    return generator.bands(source, torch.float32) if isinstance(generator, OneHot) else source


def _median(target: Side) -> Tensor | None:
    if target.median is None:
        return None
    values = np.array(target.median, np.float32)[None, :, None, None]
    return torch.from_numpy(target.scaling.scale(values))


def fit_start(generator: nn.Module, data: DataLoaders, seed: int, *, progress: bool) -> None:
    """Fit the start of a generator by the L1 over a sample of valid training pixels.

    The same data and seed give the same start, whatever the machine draws besides.

    Args:
        generator: The generator; without a start nothing is done.
        data: Loaders of pairs.
        seed: Seed of the sample, of the first weights and of the batches.
        progress: Whether to show a bar.
    """
    start = start_of(generator)
    if start is None:
        return
    drawn = torch.Generator().manual_seed(seed)
    dataset = data.train_ds
    whole = PairDataset(_some(dataset.pairs, drawn), dataset.card, None)
    features, targets = _sample(generator, whole, drawn, data.device)
    if len(features):
        _fit(start, features, targets, drawn, progress=progress)


def _some(pairs: Sequence[Pair], drawn: torch.Generator) -> list[Pair]:
    order = torch.randperm(len(pairs), generator=drawn)[:CHIPS]
    return [pairs[i] for i in sorted(order.tolist())]


def _sample(
    generator: nn.Module,
    dataset: PairDataset,
    drawn: torch.Generator,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Return features and targets `(pixels, features)` and `(pixels, bands)` of valid pixels."""
    start = start_of(generator)
    assert start is not None
    most = math.ceil(PIXELS / len(dataset))
    features, targets = [], []
    for number in range(len(dataset)):
        source, target = (side.as_subclass(Tensor) for side in dataset[number])
        valid = torch.isfinite(target).all(0).flatten().nonzero()[:, 0]
        chosen = valid[torch.randperm(len(valid), generator=drawn)[:most]]
        with torch.no_grad():
            known = start.neighborhoods(seen_by(generator, source[None].to(device)))[0]
        features.append(known.flatten(1)[:, chosen.to(device)].T)
        targets.append(target.flatten(1)[:, chosen].T.to(device))
    return torch.cat(features), torch.cat(targets)


def _fit(
    start: PixelNetwork,
    features: Tensor,
    targets: Tensor,
    drawn: torch.Generator,
    *,
    progress: bool,
) -> None:
    # The layers give deviations of the target from its median, so that one learning rate suits all
    # data; the last one then takes them on. Features stay as they are: brought to one deviation,
    # faint textures weigh as much as values, and the error elsewhere was 1 to 2 % higher.
    low, median, high = (targets.quantile(q, 0) for q in (0.005, 0.5, 0.995))
    size = (targets.clamp(low, high) - median).abs().mean(0).clamp(min=1e-6)
    layers = [layer for layer in start.layers if isinstance(layer, nn.Linear)]
    for layer in layers:
        bound = 1 / math.sqrt(layer.in_features)
        for weight in (layer.weight, layer.bias):
            value = torch.rand(weight.shape, generator=drawn) * 2 * bound - bound
            weight.data.copy_(value)
    start.requires_grad_(True)
    targets = (targets - median) / size
    optimizer = torch.optim.Adam(start.parameters(), RATE, betas=BETAS)
    steps = max(1, PASSES * len(features) // BATCH)
    for step in tqdm(range(steps), desc="fitting the start", disable=not progress, leave=False):
        optimizer.param_groups[0]["lr"] = RATE * (1 + math.cos(math.pi * step / steps)) / 2
        batch = torch.randint(len(features), (BATCH,), generator=drawn).to(features.device)
        loss = (start.layers(features[batch]) - targets[batch]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # Gradients that are left would make the training's own optimizer step once more.
    optimizer.zero_grad()
    start.requires_grad_(False)
    with torch.no_grad():
        last = layers[-1]
        last.weight.mul_(size[:, None])
        last.bias.mul_(size).add_(median)
