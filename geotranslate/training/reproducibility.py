"""The states of all generators of random numbers that a training uses."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from fastai.data.core import DataLoaders
from torch import Tensor


def look_at_pair(data: DataLoaders) -> None:
    """Let fastai look at the one random pair that it wants to see before its first batch.

    Otherwise a training that is resumed would draw other numbers than one that was not.
    """
    _ = [loader.n_inp for loader in data.loaders]


def random_state(data: DataLoaders) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the states of all generators of random numbers, as tensors and JSON values."""
    tensors = {"random.torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        for number, state in enumerate(torch.cuda.get_rng_state_all()):
            tensors[f"random.cuda.{number}"] = state
    kind, keys, *rest = np.random.get_state(legacy=True)
    tensors["random.numpy"] = torch.from_numpy(np.asarray(keys).astype(np.int64))
    facts: dict[str, Any] = {"numpy": [kind, *map(float, rest)]}
    for name, generator in (("python", random), ("order", data.train.rng)):
        version, words, gauss = generator.getstate()
        tensors[f"random.{name}"] = torch.tensor(words, dtype=torch.int64)
        facts[name] = [version, gauss]
    return tensors, facts


def set_random_state(data: DataLoaders, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Put all generators of random numbers into the states that `random_state` returned."""
    torch.set_rng_state(tensors["random.torch"])
    states = [tensors[name] for name in sorted(tensors) if name.startswith("random.cuda.")]
    if states and torch.cuda.device_count() == len(states):
        torch.cuda.set_rng_state_all(states)
    kind, position, has_gauss, cached = facts["numpy"]
    keys = tensors["random.numpy"].numpy().astype(np.uint32)
    np.random.set_state((kind, keys, int(position), int(has_gauss), cached))
    for name, generator in (("python", random), ("order", data.train.rng)):
        version, gauss = facts[name]
        generator.setstate((version, tuple(tensors[f"random.{name}"].tolist()), gauss))
