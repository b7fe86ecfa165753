"""Options of `fit` and the fastai callbacks that implement them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fastai.callback.core import Callback
from fastai.callback.training import GradientClip
from fastai.learner import Learner

from geotranslate.checks import flag, folder_path, listed, number, shown, whole_number
from geotranslate.errors import InvalidInputError
from geotranslate.schema import Fields, one_of, optional, real, several
from geotranslate.training.callbacks import (
    CheckpointKind,
    EarlyStoppingCallback,
    EpochAccumulation,
    ParamScheduler,
    RateCurve,
    ReducedPrecision,
    Schedule,
    ShareDone,
    TrainingPrecision,
    check_monitor,
    schedules_rate,
    training_precision,
)

PATIENCE = 5
"""Epochs that `early_stopping=True` waits."""


class Hyperparameters(Callback):
    """Set the betas and the weight decay of Adam when a training begins.

    Args:
        betas: Decays of the means of the gradients and of their squares.
        weight_decay: Share of the weights, times the learning rate, that a step takes away.
    """

    def __init__(self, betas: tuple[float, float], weight_decay: float) -> None:
        self.betas, self.weight_decay = betas, weight_decay

    def before_fit(self) -> None:
        """Set them, also over those of a checkpoint."""
        self.opt.set_hypers(mom=self.betas[0], sqr_mom=self.betas[1], wd=self.weight_decay)


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """Checked arguments of `Translator.fit`, with the translator's defaults filled in.

    Raises:
        InvalidInputError: An argument is invalid; the sentence names it.
    """

    epochs: int
    lr: float | Sequence[float]
    schedule: Schedule
    decay_epochs: int | None
    warmup: float | None
    betas: tuple[float, float]
    weight_decay: float
    early_stopping: bool | int
    """Epochs without improvement after which to stop; 0 for never."""
    checkpoint: CheckpointKind
    monitor: str
    precision: TrainingPrecision
    accumulate: int
    clip: float | None
    ema: float | None
    compile: bool
    sample_every: int
    sample_pairs: int | Sequence[int]
    sample_random: bool
    log_every: int
    tensorboard: bool
    wandb: bool
    callbacks: Sequence[Callback]
    folder: Path
    resume: bool
    progress: bool

    def __post_init__(self) -> None:
        for name, check in CHECKS.items():
            object.__setattr__(self, name, check(name, getattr(self, name)))
        _ = self.curve

    @property
    def curve(self) -> RateCurve:
        """Course of the learning rates."""
        return RateCurve(self.schedule, self.epochs, self.decay_epochs, self.warmup)

    def check_model(self, learn: Learner, columns: Sequence[str]) -> None:
        """Check the options that depend on the model.

        Args:
            learn: The learner.
            columns: Columns of the progress table that can be monitored.

        Raises:
            InvalidInputError: There is no such column, or there are too many or too few rates.
        """
        self.rates(learn)
        check_monitor(self.monitor, columns)

    def check_samples(self, pairs: int) -> None:
        """Check that the pairs of pictures exist.

        Args:
            pairs: Number of pairs that can be drawn.

        Raises:
            InvalidInputError: A place is beyond the last pair.
        """
        places = () if isinstance(self.sample_pairs, int) else tuple(self.sample_pairs)
        if self.sample_every and max(places, default=0) >= max(pairs, 1):
            raise InvalidInputError(
                f"sample_pairs is {shown(places)}, but there are {pairs} pairs to draw; give "
                f"places from 0 to {pairs - 1}."
            )

    def rates(self, learn: Learner) -> list[float]:
        """Return the learning rates of the generator and, if there is one, the discriminator.

        Raises:
            InvalidInputError: There are too many or too few.
        """
        groups = len(learn.model.parameter_groups())
        rates = list(self.lr) if isinstance(self.lr, Sequence) else [self.lr] * groups
        if len(rates) != groups:
            raise InvalidInputError(
                f"lr is {shown(self.lr)}; give one learning rate, or one for the generator and one "
                "for the discriminator."
                if groups > 1
                else f"lr is {shown(self.lr)}; give one learning rate, as there is no "
                "discriminator."
            )
        return rates

    @property
    def writes(self) -> bool:
        """Whether anything is written to the folder."""
        kept = self.checkpoint or self.sample_every or self.log_every
        return bool(kept or self.tensorboard or self.wandb)

    def training_callbacks(
        self, learn: Learner, done: int, rows: Sequence[dict[str, float]]
    ) -> list[Callback]:
        """Return the callbacks of learning rates, precision, gradients and early stopping.

        Args:
            learn: The learner.
            done: Epochs finished by an interrupted run.
            rows: Rows of the history, the last `done` of them from that run.
        """
        found: list[Callback] = [
            ShareDone(done, self.epochs),
            Hyperparameters(self.betas, self.weight_decay),
        ]
        if not any(map(schedules_rate, self.callbacks)):
            found.append(ParamScheduler(self.rates(learn), self.curve))
        precision = training_precision(self.precision, learn.dls.device)
        if precision != "float32":
            found.append(ReducedPrecision(precision, learn.dls.device))
        if self.accumulate > 1:
            found.append(EpochAccumulation(self.accumulate))
        if self.clip is not None:
            found.append(GradientClip(self.clip))
        if self.early_stopping:
            found.append(self._stopping(done, rows))
        return found

    def is_over(self, done: int, rows: Sequence[dict[str, float]]) -> bool:
        """Tell whether an interrupted run, the last `done` rows, had finished."""
        stops = bool(self.early_stopping) and self._stopping(done, rows).is_over
        return done >= self.epochs or stops

    def _stopping(self, done: int, rows: Sequence[dict[str, float]]) -> EarlyStoppingCallback:
        return EarlyStoppingCallback(rows, len(rows) - done, self.monitor, self.early_stopping)


def _learning_rates(name: str, value: Any) -> float | tuple[float, ...]:
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, tuple | list):
        return tuple(number(name, rate, above=0) for rate in value)
    return number(name, value, above=0)


def _patience(name: str, value: Any) -> int:
    if isinstance(value, bool):
        return PATIENCE if value else 0
    return whole_number(name, value, 1)


def _checkpoint(name: str, value: Any) -> CheckpointKind:
    if isinstance(value, bool) or (isinstance(value, str) and value == "all"):
        return value  # type: ignore[return-value]
    return whole_number(name, value, 1)


def _sample_pairs(name: str, value: Any) -> int | tuple[int, ...]:
    """Check a number of pairs, or their places."""
    if isinstance(value, list | tuple):
        return several(partial(whole_number, least=0), 1)(name, value)
    return whole_number(name, value, 1)


def _betas(name: str, value: Any) -> tuple[float, ...]:
    return several(real(least=0, below=1), 2, 2)(name, value)


def _callbacks(name: str, value: Any) -> list[Callback]:
    """Check that a value is a list of fastai callbacks, or of classes of them."""
    found = listed(value)
    kinds = [one if isinstance(one, type) else type(one) for one in found]
    # fastai's callbacks can be iterated, over the attributes of their learner.
    if isinstance(value, Callback) or not all(issubclass(kind, Callback) for kind in kinds):
        raise InvalidInputError(f"{name} is {shown(value)}; give a list of fastai callbacks.")
    return found


CHECKS: Fields = {
    "epochs": partial(whole_number, least=1),
    "lr": _learning_rates,
    "schedule": one_of(Schedule),
    "early_stopping": _patience,
    "checkpoint": _checkpoint,
    "precision": one_of(TrainingPrecision),
    "accumulate": partial(whole_number, least=1),
    "clip": optional(real(above=0)),
    "ema": optional(real(least=0, below=1)),
    "decay_epochs": optional(partial(whole_number, least=1)),
    "warmup": optional(real(least=0)),
    "betas": _betas,
    "weight_decay": real(least=0, below=1),
    "sample_every": partial(whole_number, least=0),
    "sample_pairs": _sample_pairs,
    "log_every": partial(whole_number, least=0),
    **dict.fromkeys(("sample_random", "compile", "tensorboard", "wandb"), flag),
    **dict.fromkeys(("resume", "progress"), flag),
    "callbacks": _callbacks,
    "folder": folder_path,
}
"""Check of each option; `monitor` depends on the model."""
