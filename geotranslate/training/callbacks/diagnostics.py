"""Warnings and errors about trainings that fail or diverge."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from fastai.callback.core import Callback, CancelFitException
from torch import Tensor

from geotranslate.data import everywhere, is_main_process
from geotranslate.errors import TrainingError, warn

FROM_EPOCH, LASTING = 5, 3
"""First epoch of a warning, and the number of epochs that the problem has to last."""

BETTER = {
    "constant": "a constant, the median of the training targets",
    "start": "its start, which looks at single pixels and their blurred neighbors",
}
"""Baselines that a model should be better than, the worst first."""

ENOUGH = 10
"""Epochs after which a model should be better than the baselines."""

CHECK_EVERY = 50
"""Batches between checks of the loss; checking each batch would stall a GPU."""


class Diagnostics(Callback):
    """Warn if a training fails, and end it if losses or weights are not finite.

    fastai's `TerminateOnNaNCallback` checks every loss but no weights, and gives no reason.

    Args:
        rows: Rows of the history.
        baselines: Mean absolute errors of baselines on the validation pairs.
    """

    order = 62

    def __init__(
        self, rows: Sequence[dict[str, float]], baselines: Mapping[str, float] | None = None
    ) -> None:
        self.rows, self.baselines = rows, dict(baselines or {})
        self.error: TrainingError | None = None
        """The error that ended the training; raised here, fastai would prefix its message."""
        self._warned: set[str] = set()

    def after_loss(self) -> None:
        """Check the loss of every 50th batch."""
        if self.training and self.iter % CHECK_EVERY == CHECK_EVERY - 1:
            self._check("losses", _finite([self.learn.loss]))

    def after_train(self) -> None:
        """Check the last loss of the epoch."""
        self._check("losses", _finite([self.learn.loss]))

    def after_validate(self) -> None:
        """Check the weights after the last step, before a checkpoint can hold them."""
        loss = self.recorder.loss.value  # None without validation pairs
        self._check("losses", loss is None or math.isfinite(loss))
        self._check("weights", _finite(self.learn.model.parameters()))

    def _check(self, part: str, finite: bool) -> None:
        if everywhere(finite):
            return
        rate = max(hyper["lr"] for hyper in self.opt.hypers)
        self.error = TrainingError(
            f"The {part} are not finite in epoch {len(self.rows) + 1}: the learning rate "
            f"{rate:.2g} is too high, or the chips hold extreme values. Train a new model with a "
            "tenth of it, or go on from the last checkpoint with resume=True and a lower lr."
        )
        raise CancelFitException

    def after_epoch(self) -> None:
        """Check the losses of the last epochs; the first epochs are not representative."""
        rows = self.rows[-LASTING:] if len(self.rows) >= FROM_EPOCH else [{}]
        # The losses of a critic with a penalty have no least value.
        has_labels = not any("d_penalty" in row for row in rows)
        if has_labels and all(
            max(row.get("d_real", 1.0), row.get("d_fake", 1.0)) < 0.02 for row in rows
        ):
            self._warn(
                "discriminator",
                "The discriminator has won: it tells all translations from real targets, so the "
                "generator learns nothing from it. Give it a lower rate, fit(lr=(2e-4, 5e-5)), or "
                "train anew with label_smoothing=0.1 or less weight of the adversarial loss.",
            )
        ratios = [row.get("std_ratio", 1.0) for row in rows]
        # An untrained network returns nearly one color too, but the ratio grows with every epoch.
        grows = ratios == sorted(set(ratios))
        if not grows and all(ratio < 0.01 for ratio in ratios):
            self._warn(
                "generator",
                "The generator has collapsed: its translations hardly differ from a constant "
                "color. Train anew with a lower lr or less weight of the adversarial loss, and "
                "check that the chips of a pair show the same place.",
            )

    def after_fit(self) -> None:
        """Compare the best row with the baselines."""
        errors = [row["mae"] for row in self.rows if not math.isnan(row.get("mae", math.nan))]
        if self.error is not None or len(self.rows) < ENOUGH or not errors:
            return
        for name, description in BETTER.items():
            if min(errors) >= self.baselines.get(name, math.inf):
                self._warn(
                    name,
                    f"The model is not better than {description}: its mean absolute error on the "
                    f"validation pairs is {min(errors):.4g} at best, that of the {name} is "
                    f"{self.baselines[name]:.4g}. Train for more epochs and with more pairs, check "
                    "that the chips of a pair show the same place and date, or use the simpler "
                    "one.",
                )
                return

    def _warn(self, problem: str, sentence: str) -> None:
        if problem not in self._warned and is_main_process():
            self._warned.add(problem)
            warn(f"Epoch {len(self.rows)}: {sentence}")


def _finite(tensors: Iterable[Tensor]) -> bool:
    return bool(torch.stack([tensor.detach().isfinite().all() for tensor in tensors]).all())
