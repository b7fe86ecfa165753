"""The fitted start of a generator, and baselines to compare a model with."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
import torch
from fastai.data.core import DataLoaders
from torch import Tensor, nn
from tqdm.auto import tqdm

from geotranslate.chips.bands import Side
from geotranslate.data import PairDataset
from geotranslate.data.dataoptions import Augmentation
from geotranslate.metrics import Measures
from geotranslate.networks.onehot import OneHot
from geotranslate.networks.pixel import PixelNetwork

CONSTANT, START = "constant", "start"
"""Names of the baselines: the training median of every band, and the generator's start."""

PIXELS = 400_000
"""Most pixels in the sample."""
CHIPS = 1000
"""Most chips from which the sample is drawn."""
VARIANTS = 4
"""Most random changes of each of these chips, in trainings that change the values of sources."""
PASSES, BATCH = 60, 4096
RATE, BETAS = 2e-3, (0.9, 0.99)


def baseline_errors(
    batches: Iterable[tuple[Tensor, Tensor]], target: Side, generator: nn.Module | None
) -> dict[str, float]:
    """Return the mean absolute errors of the baselines, in target units.

    Args:
        batches: Sources and targets in -1..1.
        target: Description of the target; without a median there is no constant.
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
    """Return the start of a generator, or None."""
    inner = generator.network if isinstance(generator, OneHot) else generator
    start = getattr(inner, "start", None)
    return start if isinstance(start, PixelNetwork) else None


def seen_by(generator: nn.Module, source: Tensor) -> Tensor:
    """Return the input of a generator's network: one-hot classes, or the source itself."""
    return generator.bands(source, torch.float32) if isinstance(generator, OneHot) else source


def _median(target: Side) -> Tensor | None:
    if target.median is None:
        return None
    values = np.array(target.median, np.float32)[None, :, None, None]
    return torch.from_numpy(target.scaling.scale(values))


def fit_start(generator: nn.Module, data: DataLoaders, seed: int, *, progress: bool) -> None:
    """Fit the start of a generator with the L1 over a sample of valid training pixels.

    The same data and seed give the same start, independent of torch's global random state. If the
    training changes the values of sources (`jitter`, `augment`, `look_like`), so does the sample:
    the start is constant afterwards, and would not learn from such changes otherwise.

    Args:
        generator: The generator; without a start, nothing happens.
        data: Loaders of pairs.
        seed: Seed of the sample, the initial weights and the batches.
        progress: Whether to show a bar.
    """
    start = start_of(generator)
    if start is None:
        return
    drawn = torch.Generator().manual_seed(seed)
    dataset = data.train_ds
    positions = _some(len(dataset.pairs), drawn)
    whole = PairDataset([dataset.pairs[i] for i in positions], dataset.card, None)
    augmentation: Augmentation | None = dataset.augmentation
    if augmentation is None or not augmentation.recolors:
        features, targets = _sample(generator, whole, [], drawn, data.device)
    else:
        variants = max(1, min(VARIANTS, CHIPS // len(whole)))
        recolored = [partial(augmentation.recolored, item=position) for position in positions]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            features, targets = _sample(generator, whole, recolored, drawn, data.device, variants)
    if len(features):
        _fit(start, features, targets, drawn, progress=progress)


def _some(count: int, drawn: torch.Generator) -> list[int]:
    order = torch.randperm(count, generator=drawn)[:CHIPS]
    found: list[int] = sorted(order.tolist())
    return found


def _sample(
    generator: nn.Module,
    dataset: PairDataset,
    recolored: Sequence[Callable[[Tensor], Tensor]],
    drawn: torch.Generator,
    device: torch.device,
    variants: int = 1,
) -> tuple[Tensor, Tensor]:
    """Return features and targets `(pixels, features)` and `(pixels, bands)` of valid pixels.

    Args:
        generator: A generator with a start.
        dataset: Pairs as they are.
        recolored: Random change of each source; empty for none.
        drawn: Generator that chooses the pixels.
        device: Device of the generator.
        variants: Number of changes of each source.
    """
    start = start_of(generator)
    assert start is not None
    most = math.ceil(PIXELS / (len(dataset) * variants))
    features, targets = [], []
    for number in range(len(dataset)):
        source, target = (side.as_subclass(Tensor) for side in dataset[number])
        valid = torch.isfinite(target).all(0).flatten().nonzero()[:, 0]
        for _ in range(variants):
            chosen = valid[torch.randperm(len(valid), generator=drawn)[:most]]
            changed = recolored[number](source) if recolored else source
            with torch.no_grad():
                known = start.neighborhoods(seen_by(generator, changed[None].to(device)))[0]
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
    # The layers are fitted to standardized targets, so that one learning rate suits all data; the
    # last layer then includes the standardization. Features are not standardized: faint textures
    # would weigh as much as values, and validation errors were 1 to 2% higher.
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
    # With gradients left, the optimizer of the training would step these weights too.
    optimizer.zero_grad()
    start.requires_grad_(False)
    with torch.no_grad():
        last = layers[-1]
        last.weight.mul_(size[:, None])
        last.bias.mul_(size).add_(median)
