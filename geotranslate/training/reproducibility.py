"""Random states, memory errors, compilation and cleanup of a training."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from torch import Tensor, nn

from geotranslate.errors import InvalidInputError, TrainingError
from geotranslate.memory import reused_memory
from geotranslate.schema import Json
from geotranslate.training.callbacks import ReducedPrecision
from geotranslate.training.objectives import objectives_of

NO_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    # oneDNN has no other message.
    "could not create a primitive",
)


class MemoryFullError(InvalidInputError):
    """A batch does not fit in memory."""


def draw_first_pair(data: DataLoaders) -> None:
    """Make fastai draw the pair that it inspects before its first batch.

    Otherwise a resumed training would draw different random numbers.
    """
    _ = [loader.n_inp for loader in data.loaders if len(loader.dataset)]


def random_state(data: DataLoaders) -> tuple[dict[str, Tensor], Json]:
    """Return the states of all random number generators, as tensors and JSON values."""
    tensors = {"random.torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        for number, state in enumerate(torch.cuda.get_rng_state_all()):
            tensors[f"random.cuda.{number}"] = state
    kind, keys, *rest = np.random.get_state(legacy=True)
    tensors["random.numpy"] = torch.from_numpy(np.asarray(keys).astype(np.int64))
    facts: Json = {"numpy": [kind, *map(float, rest)]}
    for name, generator in (("python", random), ("order", data.train.rng)):
        version, words, gauss = generator.getstate()
        tensors[f"random.{name}"] = torch.tensor(words, dtype=torch.int64)
        facts[name] = [version, gauss]
    return tensors, facts


def set_random_state(data: DataLoaders, tensors: dict[str, Tensor], facts: Json) -> None:
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


@contextmanager
def fit_context(
    learn: Learner, callbacks: Iterable[Callback] = (), shown: bool = True
) -> Iterator[None]:
    """Train inside the block.

    Args:
        learn: The learner.
        callbacks: Callbacks in addition to its own.
        shown: Whether to show a progress bar and the table.

    Raises:
        InvalidInputError: A batch does not fit in memory.
    """
    bar = nullcontext() if shown else quiet(learn)
    with memory_errors(getattr(learn.dls.train, "bs", 1)), reused_memory(), bar:
        try:
            yield
        finally:
            tidy(learn, callbacks)


def tidy(learn: Learner, callbacks: Iterable[Callback]) -> None:
    """Clean up what callbacks would in `after_fit`, which errors and interruptions skip."""
    for callback in callbacks:
        if isinstance(callback, ReducedPrecision):
            callback.leave()
    learn.scaler = None
    if learn.opt is not None:
        learn.opt.zero_grad()
    if learn.model.discriminator is not None:
        learn.model.discriminator.requires_grad_(True)
    for objective in objectives_of(learn):
        objective.end_batch()


@contextmanager
def quiet(learn: Learner) -> Iterator[None]:
    """Keep a learner from showing a progress bar and its table."""
    with ExitStack() as stack:
        stack.enter_context(learn.no_bar())
        stack.enter_context(learn.no_logging())
        yield


@contextmanager
def compiled(network: nn.Module) -> Iterator[None]:
    """Compile a network inside the block.

    Raises:
        TrainingError: torch.compile cannot compile it.
    """
    network.compile()
    try:
        yield
    except RuntimeError as error:
        kinds = {kind.__module__ for kind in type(error).__mro__}
        if not any(kind.startswith(("torch._dynamo", "torch._inductor")) for kind in kinds):
            raise
        raise TrainingError(
            f"torch.compile cannot compile the generator ({_first_line(error)}); install what it "
            "needs, on a CPU a C++ compiler, or train without compile=True."
        ) from error
    finally:
        # Module.compile sets it, and torch has no method to undo that.
        for module in network.modules():
            module._compiled_call_impl = None


@contextmanager
def memory_errors(batch_size: int) -> Iterator[None]:
    """Raise a `MemoryFullError` if a batch does not fit in memory.

    Raises:
        MemoryFullError: A batch does not fit.
    """
    try:
        yield
    except (RuntimeError, MemoryError, IndexError) as error:
        # fastai raises an IndexError for an error without a message, such as a MemoryError.
        reason = error.__context__ if isinstance(error, IndexError) else error
        full = isinstance(reason, torch.cuda.OutOfMemoryError | MemoryError)
        words = str(reason).lower() if isinstance(reason, RuntimeError) else ""
        if not full and not any(phrase in words for phrase in NO_MEMORY):
            raise
        smaller = max(batch_size // 2, 1)
        advice = (
            f"prepare_data(..., batch_size={smaller}), and fit(accumulate=2) for the same step"
            if batch_size > 1
            else "a smaller chip_size, or a model with a smaller ngf"
        )
        raise MemoryFullError(
            f"A batch of {batch_size} pairs does not fit in memory; give {advice}."
        ) from error


@contextmanager
def restored(learn: Learner) -> Iterator[None]:
    """Restore weights, optimizer and objective after the block, and leave no file behind."""
    weights = copy.deepcopy(learn.model.state_dict())
    optimizer = copy.deepcopy(learn.opt.opt.state_dict()) if learn.opt else None
    states = [(each, each.state()) for each in objectives_of(learn)]
    path = learn.path
    # fastai also saves a copy in a file under this path.
    with TemporaryDirectory() as folder:
        learn.path = Path(folder)
        try:
            yield
        finally:
            learn.path = path
            learn.model.load_state_dict(weights)
            for objective, state in states:
                objective.restore(state)
            if optimizer is None:
                learn.opt = None
            else:
                learn.opt.opt.load_state_dict(optimizer)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
