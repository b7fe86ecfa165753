"""The fastai learner of a translator."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

# Importing these gives learners their progress bar, lr_find and the fit_... methods.
import fastai.callback.progress
import fastai.callback.schedule  # noqa: F401
from fastai.data.core import DataLoaders
from fastai.learner import Learner

from geotranslate.training.adversarial_pair import AdversarialPair
from geotranslate.training.callbacks import EpochMean, History
from geotranslate.training.objectives import masked_l1
from geotranslate.training.optimizer import BETAS, LEARNING_RATE, make_optimizer


def make_learner(
    data: DataLoaders | None,
    pair: AdversarialPair,
    callbacks: Sequence[Any],
    rows: list[dict[str, float]],
    betas: tuple[float, float] = BETAS,
) -> Learner:
    """Return the learner of a pair of networks, whose own loss is the L1.

    Args:
        data: The loaders; None for a model that only translates.
        pair: The networks.
        callbacks: Callbacks of the objective and of the measures, each with its `columns` of the
            progress table.
        rows: List that the rows of the table are appended to.
        betas: How much Adam keeps of its means of gradients and of their squares.
    """
    learn = Learner(
        DataLoaders() if data is None else data,
        pair,
        loss_func=masked_l1,
        lr=LEARNING_RATE,
        opt_func=partial(make_optimizer, betas=betas),
        splitter=AdversarialPair.parameter_groups,
        moms=(betas[0],) * 3,
        metrics=[column for callback in callbacks for column in callback.columns],
        cbs=[*callbacks, History(rows)],
        # Not beside the chips, which belong to the user.
        path=Path(),
    )
    learn.recorder.smooth_loss = EpochMean()
    return learn
