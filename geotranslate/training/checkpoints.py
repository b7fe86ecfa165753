"""All that a training needs to go on where it was, in one file and never a pickle."""

from __future__ import annotations

import json
import os
import random
import uuid
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fastai.learner import Learner
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from geotranslate.errors import GeotranslateWarning, ModelFileError, RasterFileError

LAST, BEFORE = "last.safetensors", "previous.safetensors"
FORMAT = "geotranslate checkpoint 1"


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training after an epoch.

    Args:
        tensors: Weights, optimizer state and generators of random numbers, by name.
        facts: JSON values: `epochs` that are done, `history`, `card` of the model, and the rest of
            the states.
    """

    tensors: dict[str, Tensor]
    facts: dict[str, Any]

    @classmethod
    def of(cls, learn: Learner, epochs: int, card: dict[str, Any]) -> Checkpoint:
        """Take the state of a learner that has finished an epoch.

        Args:
            learn: The learner.
            epochs: Epochs of this training that are done.
            card: What describes the model and its data.
        """
        optimizer = learn.opt.opt.state_dict()
        tensors = {f"model.{name}": value for name, value in learn.model.state_dict().items()}
        for number, state in optimizer["state"].items():
            for name, value in state.items():
                tensors[f"optimizer.{number}.{name}"] = value
        rng, numbers = _random_state(learn)
        facts = {
            "format": FORMAT,
            "epochs": epochs,
            "card": card,
            "ema": learn.model.decay,
            "groups": [_plain(group) for group in optimizer["param_groups"]],
            "random": numbers,
            "scaler": learn.scaler.state_dict() if getattr(learn, "scaler", None) else None,
        }
        return cls({**tensors, **rng}, facts)

    @property
    def has_average(self) -> bool:
        """Whether an average of the weights belongs to the networks."""
        return any(name.startswith("model.average.") for name in self.tensors)

    def restore(self, learn: Learner) -> None:
        """Put a learner into the state.

        Raises:
            ModelFileError: The state is that of other networks.
        """
        weights = {
            name.removeprefix("model."): value
            for name, value in self.tensors.items()
            if name.startswith("model.")
        }
        try:
            learn.model.load_state_dict(weights)
            if not learn.opt:
                learn.create_opt()
            learn.opt.opt.load_state_dict({"state": self._states(), "param_groups": self._groups()})
        except (RuntimeError, ValueError, KeyError) as error:
            raise ModelFileError(
                "The checkpoint holds the state of other networks: make the model with the "
                f"arguments that it had ({str(error).splitlines()[0]})."
            ) from error
        # fastai looks at one random pair before its first batch: it shall not do so later.
        _ = [loader.n_inp for loader in learn.dls.loaders]
        _set_random_state(learn, self.tensors, self.facts["random"])

    def _states(self) -> dict[int, dict[str, Tensor]]:
        states: dict[int, dict[str, Tensor]] = {}
        for name, value in self.tensors.items():
            if name.startswith("optimizer."):
                _, number, key = name.split(".", 2)
                states.setdefault(int(number), {})[key] = value
        return states

    def _groups(self) -> list[dict[str, Any]]:
        # JSON has no tuples, which Adam wants its betas in.
        return [
            {k: tuple(v) if k == "betas" else v for k, v in group.items()}
            for group in self.facts["groups"]
        ]

    def write(self, folder: Path) -> None:
        """Write it as the last checkpoint of a folder; the one before it stays beside it.

        Raises:
            RasterFileError: It cannot be written; then the last one stays.
        """
        partial = folder / f".{uuid.uuid4().hex[:8]}.partial"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tensors = {
                name: value.detach().cpu().contiguous() for name, value in self.tensors.items()
            }
            save_file(tensors, partial, metadata={"facts": json.dumps(self.facts)})
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            if (folder / LAST).exists():
                os.replace(folder / LAST, folder / BEFORE)
            os.replace(partial, folder / LAST)
        except (OSError, SafetensorError) as error:
            raise RasterFileError(
                f"A checkpoint cannot be written to {folder}: {error}."
            ) from error
        finally:
            with suppress(OSError):
                partial.unlink()

    @classmethod
    def newest(cls, folder: Path) -> Checkpoint | None:
        """Return the last checkpoint of a folder that is whole, None where there is none.

        Warns where the last one is damaged and the one before it is taken.

        Raises:
            ModelFileError: There are checkpoints but all are damaged.
        """
        damaged = []
        for file in (folder / LAST, folder / BEFORE):
            if not file.exists():
                continue
            try:
                found = cls._read(file)
            except (OSError, SafetensorError, ValueError, KeyError) as error:
                damaged.append(f"{file} is damaged ({error})")
                continue
            if damaged:
                warnings.warn(
                    f"{damaged[0]}; the training goes on from the checkpoint before it, after "
                    f"epoch {found.facts['epochs']}.",
                    GeotranslateWarning,
                    stacklevel=4,
                )
            return found
        if damaged:
            raise ModelFileError(f"{'; '.join(damaged)}. Remove the folder and train anew.")
        return None

    @classmethod
    def _read(cls, file: Path) -> Checkpoint:
        with safe_open(file, framework="pt") as opened:
            facts = json.loads(opened.metadata()["facts"])
            if facts["format"] != FORMAT:
                raise ValueError(f"format {facts['format']}")
            return cls({name: opened.get_tensor(name) for name in opened.keys()}, facts)


def _random_state(learn: Learner) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the states of all generators of random numbers that training uses."""
    tensors = {"random.torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        for number, state in enumerate(torch.cuda.get_rng_state_all()):
            tensors[f"random.cuda.{number}"] = state
    kind, keys, *rest = np.random.get_state(legacy=True)
    tensors["random.numpy"] = torch.from_numpy(np.asarray(keys).astype(np.int64))
    facts: dict[str, Any] = {"numpy": [kind, *map(float, rest)]}
    for name, generator in (("python", random), ("order", learn.dls.train.rng)):
        version, words, gauss = generator.getstate()
        tensors[f"random.{name}"] = torch.tensor(words, dtype=torch.int64)
        facts[name] = [version, gauss]
    return tensors, facts


def _set_random_state(learn: Learner, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    torch.set_rng_state(tensors["random.torch"])
    states = [tensors[name] for name in sorted(tensors) if name.startswith("random.cuda.")]
    if states and torch.cuda.device_count() == len(states):
        torch.cuda.set_rng_state_all(states)
    kind, position, has_gauss, cached = facts["numpy"]
    keys = tensors["random.numpy"].numpy().astype(np.uint32)
    np.random.set_state((kind, keys, int(position), int(has_gauss), cached))
    for name, generator in (("python", random), ("order", learn.dls.train.rng)):
        version, gauss = facts[name]
        generator.setstate((version, tuple(tensors[f"random.{name}"].tolist()), gauss))


def _plain(group: dict[str, Any]) -> dict[str, Any]:
    return {name: float(v) if isinstance(v, Tensor) else v for name, v in group.items()}
