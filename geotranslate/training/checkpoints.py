"""All that a training needs to go on where it was, in one file and never a pickle."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastai.learner import Learner
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import Parameter

from geotranslate.errors import GeotranslateWarning, ModelFileError, said
from geotranslate.training.files import whole_file
from geotranslate.training.game import games
from geotranslate.training.launcher import launched
from geotranslate.training.randomness import look_at_pair, random_state, set_random_state

LAST, BEFORE = "last.safetensors", "previous.safetensors"
FORMAT = "geotranslate checkpoint 2"


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training after an epoch.

    Args:
        tensors: Weights, optimizer state, what the game remembers and generators of random numbers,
            by name.
        facts: JSON values: `epochs` that are done, `card` of the model, `best`, and the rest of the
            states.
    """

    tensors: dict[str, Tensor]
    facts: dict[str, Any]

    @classmethod
    def of(
        cls, learn: Learner, epochs: int, card: dict[str, Any], best: tuple[int, str]
    ) -> Checkpoint:
        """Take the state of a learner between two epochs.

        Args:
            learn: The learner.
            epochs: Epochs of this training that are done.
            card: What describes the model and its data.
            best: Row of the history from which on the folder's best model is judged, and the
                column.
        """
        optimizer = learn.opt.opt.state_dict()
        tensors = {f"model.{name}": value for name, value in learn.model.state_dict().items()}
        for number, state in optimizer["state"].items():
            for name, value in state.items():
                tensors[f"optimizer.{number}.{name}"] = value
        for game in games(learn):
            tensors |= {f"game.{name}": value for name, value in game.state().items()}
        look_at_pair(learn.dls)
        rng, numbers = random_state(learn.dls)
        facts = {
            "format": FORMAT,
            "epochs": epochs,
            "card": card,
            "best": best,
            "batches": _batches(learn),
            "frozen": [n for n, p in _generator_parameters(learn) if not p.requires_grad],
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

    def other_batches(self, learn: Learner) -> list[str]:
        """Name the arguments that make a learner's batches unlike those of the training."""
        return [name for name, own in _batches(learn).items() if self.facts["batches"][name] != own]

    def restore(self, learn: Learner) -> None:
        """Put a learner into the state.

        Raises:
            ModelFileError: The state is that of other networks.
        """
        try:
            learn.model.load_state_dict(_under("model.", self.tensors))
            if not learn.opt:
                learn.create_opt()
            learn.opt.opt.load_state_dict({"state": self._states(), "param_groups": self._groups()})
        except (RuntimeError, ValueError, KeyError) as error:
            raise ModelFileError(
                "The checkpoint holds the state of other networks: make the model with the "
                f"arguments that it had ({said(error).splitlines()[0]})."
            ) from error
        for game in games(learn):
            game.restore(_under("game.", self.tensors))
        frozen = self.facts["frozen"]
        for name, parameter in _generator_parameters(learn):
            parameter.requires_grad_(name not in frozen)
        # `ReducedPrecision` makes the scaler when the training begins.
        learn.scaler_state = self.facts["scaler"]
        look_at_pair(learn.dls)
        set_random_state(learn.dls, self.tensors, self.facts["random"])

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
        tensors = {name: value.detach().cpu().contiguous() for name, value in self.tensors.items()}
        with whole_file(folder / LAST) as partial:
            save_file(tensors, partial, metadata={"facts": json.dumps(self.facts)})
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            if (folder / LAST).exists():
                os.replace(folder / LAST, folder / BEFORE)

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
                damaged.append(f"{file} is damaged ({said(error)})")
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


def facts_in(folder: Path) -> dict[str, Any] | None:
    """Return the facts of a folder's newest whole checkpoint without its tensors, or None."""
    for file in (folder / LAST, folder / BEFORE):
        with suppress(OSError, SafetensorError, ValueError, KeyError):
            with safe_open(file, framework="pt") as opened:
                facts: dict[str, Any] = json.loads(opened.metadata()["facts"])
            return facts if facts["format"] == FORMAT else None
    return None


def _batches(learn: Learner) -> dict[str, Any]:
    """Return what training batches are like, by the argument of `prepare_data`."""
    augmentation = learn.dls.train.dataset.augmentation
    return {
        # Two processes go on with what one began, each with half a batch.
        "batch_size": learn.dls.train.bs * launched(),
        "transforms": [augmentation.turns, augmentation.transform is not None],
        "jitter": augmentation.jitter,
    }


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin so, by the rest of their names."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _generator_parameters(learn: Learner) -> Iterable[tuple[str, Parameter]]:
    # The discriminator is frozen and thawed within every batch.
    return learn.model.generator.named_parameters()  # type: ignore[no-any-return]


def _plain(group: dict[str, Any]) -> dict[str, Any]:
    return {name: float(v) if isinstance(v, Tensor) else v for name, v in group.items()}
