"""Search for a batch size that fits in the memory of a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from fastai.callback.core import Callback, CancelFitException
from fastai.learner import Learner
from torch import Tensor

from geotranslate.training.callbacks import (
    ReducedPrecision,
    TrainingPrecision,
    training_precision,
)
from geotranslate.training.reproducibility import (
    MemoryFullError,
    memory_errors,
    quiet,
    random_state,
    restored,
    set_random_state,
    tidy,
)

SMALLEST = 2
"""Smallest batch that is tried, as batch normalization may need two images."""
LARGEST = 64
"""Largest batch that is chosen: larger ones are hardly faster, and take fewer steps."""
LEAST_STEPS = 8
"""Number of steps of an epoch that a chosen batch leaves."""


def has_own_memory(device: torch.device) -> bool:
    """Tell whether a device has a memory of its own, which a batch can fill."""
    return device.type == "cuda"


def fitting_batch_size(learn: Learner, precision: TrainingPrecision) -> int:
    """Return a batch size for the memory of the learner's device.

    It is half of the largest power of two at which a training step fits in memory, at most 64, and
    few enough for 8 steps of an epoch, but at least 2. Weights, optimizer and random numbers stay
    as they are.

    Args:
        learn: The learner.
        precision: Precision of the training.
    """
    most = max(min(LARGEST, len(learn.dls.train_ds) // LEAST_STEPS), SMALLEST)
    data = learn.dls
    tensors, facts = random_state(data)
    try:
        pair = data.train_ds[0]
        with restored(learn):
            fits = largest_fitting(partial(_step, learn, precision, pair), 2 * most)
    finally:
        set_random_state(data, tensors, facts)
    return max(fits // 2, SMALLEST)


def largest_fitting(step: Callable[[int], None], most: int) -> int:
    """Return the largest power of two for which a step finds enough memory; 0 if even 2 does not.

    Args:
        step: Function of a batch size, which raises a `MemoryFullError` if memory is full.
        most: Largest batch size that is tried.
    """
    fits, size = 0, SMALLEST
    while size <= most:
        try:
            step(size)
        except MemoryFullError:
            break
        fits, size = size, 2 * size
    return fits


class _OneStep(Callback):
    """End a training after its first step."""

    order = 1000

    def after_batch(self) -> None:
        """End it."""
        raise CancelFitException


def _step(
    learn: Learner, precision: TrainingPrecision, pair: tuple[Tensor, Tensor], size: int
) -> None:
    """Take a training step on one pair, repeated.

    Raises:
        MemoryFullError: It does not fit in memory.
    """
    device = learn.dls.device
    callbacks: list[Callback] = [_OneStep()]
    used = training_precision(precision, device)
    if used != "float32":
        callbacks.append(ReducedPrecision(used, device))
    with memory_errors(size), quiet(learn):
        try:
            batch = tuple(side.repeat(size, 1, 1, 1).to(device) for side in pair)
            with _only_batch(learn, batch):
                learn.fit(1, cbs=callbacks)
        finally:
            tidy(learn, callbacks)
            _free(learn)


@contextmanager
def _only_batch(learn: Learner, batch: tuple[Tensor, ...]) -> Iterator[None]:
    """Make a batch the only one that a learner trains on inside the block."""
    loaders = learn.dls.loaders
    kept = loaders[0]
    loaders[0] = [batch]
    try:
        yield
    finally:
        loaders[0] = kept


def _free(learn: Learner) -> None:
    """Release the tensors of the last batch, and torch's cache of freed memory."""
    learn.xb = learn.yb = (None,)
    learn.pred = learn.loss = learn.loss_grad = None
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
