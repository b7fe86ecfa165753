"""Checkpoints, which hold the whole state of a training in one safetensors file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastai.learner import Learner
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import Parameter

from geotranslate.data import launched
from geotranslate.errors import ModelFileError, said, warn
from geotranslate.networks.weightless import compare, shapes_of
from geotranslate.schema import (
    Fields,
    Json,
    Later,
    anything,
    one_of,
    optional,
    parse_json,
    real,
    record,
    several,
    table,
    text,
    whole,
)
from geotranslate.training.objectives import objectives_of
from geotranslate.training.reproducibility import draw_first_pair, random_state, set_random_state
from geotranslate.training.run_folder import opened, whole_file

LAST, BEFORE = "last.safetensors", "previous.safetensors"
OBJECTIVE = "game."
"""Prefix of the tensors of the objective's state; fixed, so that old checkpoints load."""
ADAM_STATE = {"step", "exp_avg", "exp_avg_sq"}
"""Names of Adam's state tensors of a weight."""
FORMAT = "geotranslate checkpoint 2"


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training after an epoch.

    Args:
        tensors: Weights and states of optimizer, objective and random generators, by name.
        facts: JSON values: finished `epochs`, `card` of the model, `best`, and the rest of the
            states.
    """

    tensors: dict[str, Tensor]
    facts: Json

    @classmethod
    def of(cls, learn: Learner, epochs: int, card: Json, best: tuple[int, str]) -> Checkpoint:
        """Return the state of a learner between two epochs.

        Args:
            learn: The learner.
            epochs: Finished epochs of this training.
            card: Description of the model and its data.
            best: First row of the history that counts for the folder's best model, and the
                monitored column.
        """
        optimizer = learn.opt.opt.state_dict()
        tensors = {f"model.{name}": value for name, value in learn.model.state_dict().items()}
        for number, state in optimizer["state"].items():
            for name, value in state.items():
                tensors[f"optimizer.{number}.{name}"] = value
        for objective in objectives_of(learn):
            tensors |= {f"{OBJECTIVE}{name}": value for name, value in objective.state().items()}
        draw_first_pair(learn.dls)
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
    def weights(self) -> dict[str, Tensor]:
        """The weights of the networks, by name."""
        return _under("model.", self.tensors)

    @property
    def has_average(self) -> bool:
        """Whether the networks include an average of the weights."""
        return any(name.startswith("average.") for name in self.weights)

    @property
    def batch_size(self) -> int | None:
        """Pairs per batch of each of the processes that run now; None if it cannot be told."""
        found = self.facts["batches"].get("batch_size")
        fits = isinstance(found, int) and found > 0 and found % launched() == 0
        return found // launched() if fits else None

    def other_batches(self, learn: Learner) -> list[str]:
        """Return the names of the arguments in which a learner's batches differ."""
        there = self.facts["batches"]
        return [name for name, own in _batches(learn).items() if there.get(name) != own]

    def restore(self, learn: Learner) -> None:
        """Restore the state of a learner.

        Raises:
            ModelFileError: The state belongs to other networks or is damaged.
        """
        try:
            compare(learn.model, shapes_of(self.weights))
            learn.model.load_state_dict(self.weights)
            if not learn.opt:
                learn.create_opt()
            self._check_states(learn)
            state = {"state": self._states(), "param_groups": self.facts["groups"]}
            learn.opt.opt.load_state_dict(state)
        except (RuntimeError, ValueError, KeyError) as error:
            raise ModelFileError(
                "The checkpoint holds the state of other networks: make the model with the "
                f"arguments that it had ({said(error).splitlines()[0]})."
            ) from error
        with _damage("the state of its objective"):
            for objective in objectives_of(learn):
                objective.restore(_under(OBJECTIVE, self.tensors))
        frozen = self.facts["frozen"]
        for name, parameter in _generator_parameters(learn):
            parameter.requires_grad_(name not in frozen)
        # The scaler does not exist yet; `ReducedPrecision` makes it when the training begins.
        learn.scaler_state = self.facts["scaler"]
        draw_first_pair(learn.dls)
        with _damage("its random numbers"):
            set_random_state(learn.dls, self.tensors, self.facts["random"])

    def _check_states(self, learn: Learner) -> None:
        """Check that the state of the optimizer fits its weights.

        Raises:
            ValueError: It does not fit.
        """
        groups = learn.opt.opt.param_groups
        own = [group["params"] for group in learn.opt.opt.state_dict()["param_groups"]]
        if [list(group["params"]) for group in self.facts["groups"]] != own:
            raise ValueError("the optimizer has other weights")
        # Other flags would make Adam expect states that are not saved.
        for group, known in zip(groups, self.facts["groups"], strict=True):
            if missing := sorted(group.keys() - known.keys()):
                raise ValueError(f"{missing[0]} of its optimizer is missing")
            switches = {name: value for name, value in group.items() if isinstance(value, bool)}
            other = [name for name, value in switches.items() if known.get(name) is not value]
            if other:
                raise ValueError(f"{other[0]} of its optimizer is {known.get(other[0])}")
        parameters = [parameter for group in groups for parameter in group["params"]]
        for number, state in self._states().items():
            fitting = (), (parameters[number].shape if number < len(parameters) else ())
            if state.keys() != ADAM_STATE:
                raise ValueError(f"the state of weight {number} holds {', '.join(sorted(state))}")
            for name, value in state.items():
                if value.shape not in fitting:
                    raise ValueError(f"{name} of weight {number} is of another shape")

    def _states(self) -> dict[int, dict[str, Tensor]]:
        states: dict[int, dict[str, Tensor]] = {}
        for name, value in self.tensors.items():
            if name.startswith("optimizer."):
                _, place, key = name.split(".", 2)
                states.setdefault(int(place), {})[key] = value
        return states

    def write(self, folder: Path) -> None:
        """Write the last checkpoint of a folder and keep the previous one beside it.

        Raises:
            RasterFileError: The file cannot be written; the existing checkpoint stays.
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
        """Return the last undamaged checkpoint of a folder, or None without checkpoints.

        Warns if the last one is damaged and the previous one is used.

        Raises:
            ModelFileError: There are checkpoints but all are damaged.
        """
        damaged = []
        for file in (folder / LAST, folder / BEFORE):
            if not os.path.exists(file):  # a name may be too long for `Path.exists`
                continue
            try:
                found = cls._read(file)
            except (OSError, SafetensorError, ValueError) as error:
                damaged.append(f"{file} is damaged ({said(error)})")
                continue
            if damaged:
                warn(
                    f"{damaged[0]}; the training goes on from the checkpoint before it, after "
                    f"epoch {found.facts['epochs']}.",
                )
            return found
        if damaged:
            raise ModelFileError(f"{'; '.join(damaged)}. Remove the folder and train anew.")
        return None

    @classmethod
    def _read(cls, file: Path) -> Checkpoint:
        with opened(file) as content:
            facts = _facts(content)
            return cls({name: content.get_tensor(name) for name in content.keys()}, facts)


def facts_in(folder: Path) -> Json | None:
    """Return the facts of a folder's last undamaged checkpoint, or None; reads no tensors."""
    for file in (folder / LAST, folder / BEFORE):
        with suppress(OSError, SafetensorError, ValueError), opened(file) as content:
            return _facts(content)
    return None


def _facts(content: Any) -> Json:
    """Return the facts of an opened checkpoint.

    Raises:
        InvalidInputError: A value is missing, of another type or out of its range.
    """
    facts: Json = record(FACTS)(
        "checkpoint", parse_json((content.metadata() or {}).get("facts", ""))
    )
    return facts


def _best(name: str, value: Any) -> tuple[int, str]:
    first, column = several(anything, 2, 2)(name, value)
    return whole(0, 10**9)(f"{name}[0]", first), text(f"{name}[1]", column)


ADAM: Fields = {
    "params": several(whole(0, 10**9)),
    "lr": real(least=0),
    "betas": several(real(least=0, below=1), 2, 2),
    "eps": real(least=0),
    "weight_decay": real(least=0),
}
"""Settings of Adam that a training uses."""


def _group(name: str, value: Any) -> Any:
    """Check the settings of a group of the optimizer; others are numbers, flags or none."""
    settings = table(anything)(name, value)
    for key, setting in settings.items():
        place = f"{name}.{key}"
        if key in ADAM:
            settings[key] = ADAM[key](place, setting)
        elif not (setting is None or isinstance(setting, bool)):
            real()(place, setting)
    return settings


SCALER: Fields = {
    "scale": real(above=0),
    "growth_factor": real(above=1),
    "backoff_factor": real(above=0, below=1),
    "growth_interval": whole(1, 10**9),
    "_growth_tracker": whole(0, 10**9),
}
"""State of torch's gradient scaler, empty if it is disabled."""


def _scaler(name: str, value: Any) -> Any:
    return value if value == {} else record(SCALER)(name, value)


FACTS: Fields = {
    "format": one_of((FORMAT,)),
    "epochs": whole(0, 10**9),
    "card": table(anything),
    "best": _best,
    "batches": table(anything),
    "frozen": several(text),
    "ema": Later(optional(real(least=0, below=1)), 0.0),
    "groups": several(_group),
    "random": record({name: several(anything) for name in ("numpy", "python", "order")}),
    "scaler": optional(_scaler),
}
"""Check of each JSON value; the card is checked when a model is made from it."""


@contextmanager
def _damage(part: str) -> Iterator[None]:
    """Raise a `ModelFileError` if a part is damaged."""
    try:
        yield
    except (LookupError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"The checkpoint is damaged in {part} ({said(error).splitlines()[0]}). Remove the "
            "folder and train anew."
        ) from error


def _batches(learn: Learner) -> Json:
    """Return batch size and augmentation as arguments of `prepare_data`."""
    augmentation = learn.dls.train.dataset.augmentation
    return {
        # Two processes can resume the training of one process, each with half a batch.
        "batch_size": learn.dls.train.bs * launched(),
        "transforms": [augmentation.turns, augmentation.transform is not None],
        "jitter": augmentation.jitter,
        # Checkpoints from before these existed have neither.
        "augment": None if augmentation.radiometry is None else augmentation.radiometry.digest,
        "look_like": None if augmentation.exchange is None else augmentation.exchange.digest,
        "layer_dropout": (augmentation.layers and augmentation.layers.dropout) or None,
    }


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, by the rest of their names."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _generator_parameters(learn: Learner) -> Iterable[tuple[str, Parameter]]:
    # The discriminator is frozen and unfrozen in every batch.
    return learn.model.generator.named_parameters()  # type: ignore[no-any-return]


def _plain(group: dict[str, Any]) -> dict[str, Any]:
    return {name: float(v) if isinstance(v, Tensor) else v for name, v in group.items()}
