"""The rows of losses and measures: remembered, written down, judged."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from fastai.callback.core import Callback, CancelFitException
from fastai.learner import AvgLoss, Learner
from torch import Tensor

from geotranslate.checks import shown
from geotranslate.data.launcher import everywhere, is_main_process
from geotranslate.errors import InvalidInputError, TrainingError, warn

RISING = ("psnr", "ssim", "ms_ssim", "r2", "accuracy", "f1", "iou")
"""Measures of which more is better."""

NEITHER = ("spread",)
"""Columns of which neither more nor less is better."""

FROM_EPOCH, LASTING = 5, 3
"""From when on, and for how many epochs, something has to be wrong before it is said."""

BETTER = {
    "constant": "a constant, the median of the training targets",
    "start": "its start, which looks at single pixels and their blurred neighbors",
}
"""Simpler translations that a model should be better than, the worst first."""

ENOUGH = 10
"""Epochs before which a model need not be better than what is simpler."""

CHECK_EVERY = 50
"""Batches after which losses are looked at; looking at each would make a GPU wait."""


class EpochMean(AvgLoss):
    """The mean loss of an epoch, in place of fastai's, which smooths over all epochs of a run."""

    def accumulate(self, learn: Learner) -> None:
        """Add a batch; the first one of an epoch begins anew."""
        if learn.iter == 0:
            self.reset()
        super().accumulate(learn)


class History(Callback):
    """Remember every epoch's row of the progress table, over all calls of `fit`.

    Args:
        rows: List that the rows are appended to, as name -> value.
    """

    # After Recorder (50), which computes the row.
    order = 51

    def __init__(self, rows: list[dict[str, float]]) -> None:
        self.rows = rows

    def after_epoch(self) -> None:
        """Append the finished epoch, unless it is a search for a learning rate."""
        if hasattr(self.learn, "lr_finder"):
            return
        names = list(self.recorder.metric_names)[1:]
        values = self.learn.final_record
        # The last column of the table is the time, which the record does not hold.
        self.rows.append({name: float(value) for name, value in zip(names, values, strict=False)})


class BeginningRow(Callback):
    """Show the measures of a generator's start as the first row of the progress table.

    Args:
        row: The measures by the names of their columns.
    """

    # After fastai's ProgressCallback (50 and more), which shows the names of the columns.
    order = 80

    def __init__(self, row: dict[str, float]) -> None:
        self.row = row

    def before_fit(self) -> None:
        """Show the row; other columns are not known yet."""
        if not hasattr(self.learn, "lr_finder"):
            cells = [self.row.get(name, "") for name in self.recorder.metric_names[1:]]
            self.learn.logger(["start", *cells])


def is_better(monitor: str, one: float, other: float) -> bool:
    """Tell whether one value of a column is better than another; NaN is worse than any."""
    if math.isnan(one) or math.isnan(other):
        return math.isnan(other) and not math.isnan(one)
    return one > other if monitor in RISING else one < other


def best_row(monitor: str, rows: Sequence[dict[str, float]]) -> int:
    """Return the position of the row that is best in a column, the first of equal ones."""
    best = 0
    for number, row in enumerate(rows):
        if is_better(monitor, row.get(monitor, math.nan), rows[best].get(monitor, math.nan)):
            best = number
    return best


def check_monitor(monitor: str, columns: Sequence[str]) -> None:
    """Refuse a column that the table does not have.

    Raises:
        InvalidInputError: There is no such column; the sentence lists them.
    """
    if not isinstance(monitor, str) or monitor not in columns:
        raise InvalidInputError(
            f"monitor is {shown(monitor)}, which is not measured; give one of {', '.join(columns)}."
        )


class Patience(Callback):
    """Stop when a column has not become better for some epochs.

    Args:
        rows: Rows of the history.
        first: Position of this training's first row.
        monitor: Column to look at.
        patience: Epochs to wait.
    """

    # After all that is written: the last epoch's checkpoint, model, picture and log are kept too.
    order = 100

    def __init__(
        self, rows: Sequence[dict[str, float]], first: int, monitor: str, patience: int
    ) -> None:
        self.rows, self.first, self.monitor, self.patience = rows, first, monitor, patience

    @property
    def is_over(self) -> bool:
        """Whether the last row is so many epochs after the best one.

        Rows without a value do not count before the first one: a discriminator that rests has none.
        """
        mine = self.rows[self.first :]
        values = [row.get(self.monitor, math.nan) for row in mine]
        if all(map(math.isnan, values)):
            return False
        return len(mine) - 1 - best_row(self.monitor, mine) >= self.patience

    def after_epoch(self) -> None:
        """Compare the last row with the best one."""
        if self.is_over:
            if is_main_process():
                print(  # noqa: T201
                    f"Stopped: {self.monitor} has not become better for {self.patience} epochs."
                )
            raise CancelFitException


class Watch(Callback):
    """Say in plain words when a training goes wrong, and end it where it cannot go on.

    Args:
        rows: Rows of the history.
        baselines: Mean absolute errors of simpler translations of the validation pairs.
    """

    order = 62

    def __init__(
        self, rows: Sequence[dict[str, float]], baselines: Mapping[str, float] | None = None
    ) -> None:
        self.rows, self.baselines = rows, dict(baselines or {})
        self.error: TrainingError | None = None
        """Why the training was ended; fastai would put its own words before it."""
        self._said: set[str] = set()

    def after_loss(self) -> None:
        """Look at the loss now and then."""
        if self.training and self.iter % CHECK_EVERY == CHECK_EVERY - 1:
            self._check("losses", _finite([self.learn.loss]))

    def after_train(self) -> None:
        """Look at the last loss of the epoch."""
        self._check("losses", _finite([self.learn.loss]))

    def after_validate(self) -> None:
        """Look at what the last step made, before a checkpoint can hold it."""
        self._check("losses", math.isfinite(self.recorder.loss.value))
        self._check("weights", _finite(self.learn.model.parameters()))

    def _check(self, what: str, finite: bool) -> None:
        if everywhere(finite):
            return
        rate = max(hyper["lr"] for hyper in self.opt.hypers)
        self.error = TrainingError(
            f"The {what} are not finite in epoch {len(self.rows) + 1}: the learning rate "
            f"{rate:.2g} is too high, or the chips hold extreme values. Train a new model with a "
            "tenth of it, or go on from the last checkpoint with resume=True and a lower lr."
        )
        raise CancelFitException

    def after_epoch(self) -> None:
        """Judge the rows of the last epochs; the first ones tell nothing."""
        rows = self.rows[-LASTING:] if len(self.rows) >= FROM_EPOCH else [{}]
        if all(max(row.get("d_real", 1.0), row.get("d_fake", 1.0)) < 0.02 for row in rows):
            self._say(
                "discriminator",
                "The discriminator has won: it tells all translations from real targets, so the "
                "generator learns nothing from it. Give it a lower rate, fit(lr=(2e-4, 5e-5)), or "
                "train anew with label_smoothing=0.1 or less weight of the adversarial loss.",
            )
        spreads = [row.get("spread", 1.0) for row in rows]
        # A network that has hardly begun gives one colour too, but less so with every epoch.
        grows = spreads == sorted(set(spreads))
        if not grows and all(spread < 0.01 for spread in spreads):
            self._say(
                "generator",
                "The generator has collapsed: its translations hardly differ from a constant "
                "colour. Train anew with a lower lr or less weight of the adversarial loss, and "
                "check that the chips of a pair show the same place.",
            )

    def after_fit(self) -> None:
        """Compare the best row with what is simpler."""
        errors = [row["mae"] for row in self.rows if not math.isnan(row.get("mae", math.nan))]
        if self.error is not None or len(self.rows) < ENOUGH or not errors:
            return
        for name, sentence in BETTER.items():
            if min(errors) >= self.baselines.get(name, math.inf):
                self._say(
                    name,
                    f"The model is not better than {sentence}: its mean absolute error on the "
                    f"validation pairs is {min(errors):.4g} at best, that of the {name} is "
                    f"{self.baselines[name]:.4g}. Train for more epochs and with more pairs, check "
                    "that the chips of a pair show the same place and date, or use the simpler "
                    "one.",
                )
                return

    def _say(self, what: str, sentence: str) -> None:
        if what not in self._said and is_main_process():
            self._said.add(what)
            warn(f"Epoch {len(self.rows)}: {sentence}")


def _finite(tensors: Iterable[Tensor]) -> bool:
    return bool(torch.stack([tensor.detach().isfinite().all() for tensor in tensors]).all())
