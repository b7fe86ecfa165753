"""States of all random number generators of a training."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from fastai.data.core import DataLoaders
from torch import Tensor


def draw_first_pair(data: DataLoaders) -> None:
    """Let fastai draw the pair that it inspects before its first batch.

    Otherwise a resumed training would draw other numbers than an uninterrupted one.
    """
    _ = [loader.n_inp for loader in data.loaders]


def random_state(data: DataLoaders) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the states of all random number generators, as tensors and JSON values."""
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
    """Restore the states of all random number generators."""
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
