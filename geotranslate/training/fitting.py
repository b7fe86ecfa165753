"""One training: what is asked of it, and the fastai callbacks that do it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastai.callback.core import Callback
from fastai.callback.training import GradientClip
from fastai.learner import Learner

from geotranslate.checks import listed, number, shown, whole_number
from geotranslate.errors import InvalidInputError
from geotranslate.training.callbacks.accumulation import EpochAccumulation
from geotranslate.training.callbacks.precision import (
    ReducedPrecision,
    TrainingPrecision,
    training_precision,
)
from geotranslate.training.callbacks.schedule import ParamScheduler, Schedule, rate_at
from geotranslate.training.callbacks.trackers import CheckpointKind, EarlyStoppingCallback

PATIENCE = 5


@dataclass(frozen=True)
class Training:
    """What is asked of a training, checked."""

    epochs: int
    rates: tuple[float, ...]
    """Learning rates of generator and discriminator."""
    schedule: Schedule
    patience: int
    """Epochs without progress after which to stop, 0 for never."""
    checkpoint: CheckpointKind
    monitor: str
    precision: TrainingPrecision
    accumulate: int
    clip: float | None

    @classmethod
    def of(
        cls,
        learn: Learner,
        epochs: int,
        lr: float | Sequence[float],
        schedule: Schedule,
        early_stopping: bool | int,
        checkpoint: CheckpointKind,
        monitor: str,
        precision: TrainingPrecision,
        accumulate: int,
        clip: float | None,
    ) -> Training:
        """Check what the user gives for a learner.

        Raises:
            InvalidInputError: An argument is impossible; the sentence names it.
        """
        rate_at(schedule, 0)
        if not isinstance(checkpoint, bool | str) or checkpoint not in (True, False, "all"):
            whole_number("checkpoint", checkpoint, 1)
        return cls(
            whole_number("epochs", epochs, 1),
            _rates(lr, len(learn.model.parameter_groups())),
            schedule,
            {True: PATIENCE, False: 0}[early_stopping]
            if isinstance(early_stopping, bool)
            else whole_number("early_stopping", early_stopping, 1),
            checkpoint,
            monitor,
            training_precision(precision, learn.dls.device),
            whole_number("accumulate", accumulate, 1),
            None if clip is None else number("clip", clip, above=0),
        )

    def callbacks(
        self, learn: Learner, done: int, rows: Sequence[dict[str, float]]
    ) -> list[Callback]:
        """Return what trains as asked for.

        Args:
            learn: The learner.
            done: Epochs that an interrupted run did.
            rows: Rows of the history, the last ones from that run.
        """
        found: list[Callback] = [ParamScheduler(self.rates, self.schedule, done, self.epochs)]
        if self.precision != "float32":
            found.append(ReducedPrecision(self.precision, learn.dls.device))
        if self.accumulate > 1:
            found.append(EpochAccumulation(self.accumulate))
        if self.clip is not None:
            found.append(GradientClip(self.clip))
        if self.patience:
            found.append(self._patience(done, rows))
        return found

    def is_over(self, done: int, rows: Sequence[dict[str, float]]) -> bool:
        """Tell whether an interrupted run, the last rows of the history, did all that is asked."""
        return done >= self.epochs or (self.patience > 0 and self._patience(done, rows).is_over)

    def _patience(self, done: int, rows: Sequence[dict[str, float]]) -> EarlyStoppingCallback:
        return EarlyStoppingCallback(rows, len(rows) - done, self.monitor, self.patience)


def checked_callbacks(given: object) -> list[Callback]:
    """Return fastai callbacks, or classes of them, as a list.

    Raises:
        InvalidInputError: They are something else.
    """
    found = listed(given)
    kinds = [one if isinstance(one, type) else type(one) for one in found]
    # fastai's callbacks can be gone through, by the attributes of their learner.
    if isinstance(given, Callback) or not all(issubclass(kind, Callback) for kind in kinds):
        raise InvalidInputError(f"callbacks is {shown(given)}; give a list of fastai callbacks.")
    return found


def _rates(lr: float | Sequence[float], groups: int) -> tuple[float, ...]:
    lr = lr.tolist() if hasattr(lr, "tolist") else lr
    rates = tuple(lr) if isinstance(lr, tuple | list) else (lr,) * groups
    if len(rates) != groups:
        raise InvalidInputError(
            f"lr is {shown(lr)}; give one learning rate, or one for the generator and one for the "
            "discriminator."
            if groups > 1
            else f"lr is {shown(lr)}; give one learning rate, as there is no discriminator."
        )
    return tuple(number("lr", rate, above=0) for rate in rates)
