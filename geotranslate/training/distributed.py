"""One training in several processes, each on its share of every batch."""

from __future__ import annotations

import atexit
import os
import random
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders, TfmdDL
from torch import Tensor, distributed, nn

from geotranslate.data.launcher import RANKS, launched, told
from geotranslate.errors import (
    GeotranslateError,
    InvalidInputError,
    MissingPackageError,
    ModelFileError,
    said,
)
from geotranslate.training.objectives.base import games

BUCKET = 2**23
"""Values that are sent at once: a message for each parameter would be mostly waiting."""


@dataclass(frozen=True)
class Processes:
    """The processes that train one model together.

    Args:
        rank: Number of this one, from 0.
        count: How many there are.
    """

    rank: int = 0
    count: int = 1

    @classmethod
    def join(cls, device: torch.device) -> Processes:
        """Meet the other processes of the launcher, if there is one.

        Args:
            device: What this process trains on: GPUs speak by NCCL, CPUs by Gloo.

        Raises:
            MissingPackageError: There is a launcher, but no Accelerate.
            InvalidInputError: The launcher did not number the processes.
        """
        if launched() == 1:
            return cls()
        try:
            from accelerate import PartialState
        except ImportError as error:
            raise MissingPackageError(
                f"Training in the {launched()} processes of a launcher needs accelerate, which "
                f"cannot be imported ({said(error)}); install it by: pip install "
                "'geotranslate[distributed]'."
            ) from error
        numbered = told(RANKS) is not None and (device.type == "cpu" or "LOCAL_RANK" in os.environ)
        if not numbered:
            raise InvalidInputError(
                f"There shall be {launched()} processes (WORLD_SIZE), but this one has no number "
                "(RANK, LOCAL_RANK); start the script by accelerate launch or torchrun, or unset "
                "WORLD_SIZE to train in one process."
            )
        first = not distributed.is_initialized()
        state = PartialState(cpu=device.type == "cpu")
        if first:
            atexit.register(state.destroy_process_group)
        return cls(state.process_index, state.num_processes)

    def callbacks(self, rows: list[dict[str, float]]) -> list[Callback]:
        """Return what keeps the processes in step.

        Args:
            rows: Rows of the history.
        """
        return [InStep(self), SameRows(rows)] if self.count > 1 else []

    def agreed(self, done: int) -> int:
        """Return how many epochs are done, which has to be so for all.

        Raises:
            ModelFileError: Not all see the same checkpoint.
        """
        found = self._gathered(done)
        if len(set(found)) > 1:
            raise ModelFileError(
                f"The processes found checkpoints after {', '.join(map(str, found))} epochs; give "
                "a folder on a disk that all machines share."
            )
        return done

    @contextmanager
    def led(self, block: AbstractContextManager[object]) -> Iterator[None]:
        """Enter a block in the first process alone; where it cannot be entered, all fail.

        Raises:
            GeotranslateError: The first process could not enter it.
        """
        failed: GeotranslateError | None = None
        with ExitStack() as stack:
            if self.rank == 0:
                try:
                    stack.enter_context(block)
                except GeotranslateError as error:
                    failed = error
            # Others would wait for the first one, which is gone.
            if failed := self._gathered(failed)[0]:
                raise failed
            yield

    def wait(self) -> None:
        """Wait until all are here."""
        self._gathered(None)

    def _gathered(self, value: Any) -> list[Any]:
        if self.count == 1:
            return [value]
        found: list[Any] = [None] * self.count
        distributed.all_gather_object(found, value)
        return found

    @contextmanager
    def sharing(self, data: DataLoaders) -> Iterator[None]:
        """Give each process its share of the training pairs meanwhile.

        All draw the same order, so batch by batch they have, together, the pairs of one process
        whose batches are so many times as large.

        Raises:
            InvalidInputError: There are too few pairs for one batch each.
        """
        if self.count == 1:
            yield
            return
        loader: TfmdDL = data.train
        pairs, together = loader.n, loader.bs * self.count
        if pairs < together:
            raise InvalidInputError(
                f"There are {pairs} training pairs but {self.count} processes with batches of "
                f"{loader.bs} take {together} a step; give prepare_data a smaller batch_size, or "
                "start fewer processes."
            )
        rounds = pairs // together

        def share() -> list[int]:
            order = np.array(loader.shuffle_fn(list(range(pairs))))
            batches = order[: rounds * together].reshape(rounds, self.count, loader.bs)
            return batches[:, self.rank].ravel().tolist()

        loader.get_idxs, loader.n = share, rounds * loader.bs
        try:
            yield
        finally:
            del loader.get_idxs
            loader.n = pairs


class InStep(Callback):
    """Keep the networks of all processes the same.

    They start from the first one's weights and step by the mean of all gradients, those of the
    discriminator too, which `Adversary` brings here; so they stay the same without a wrapper. Batch
    normalisation uses each process's own batch; its running statistics become the mean of all at
    the end of an epoch.

    Args:
        processes: Those that train together.
    """

    # After GradientAccumulation (6), which puts steps off, and before MixedPrecision (10), so that
    # what float16 cannot hold in one process is seen in all, and before GradientClip (11).
    order = 8

    def __init__(self, processes: Processes) -> None:
        self.processes = processes

    def before_fit(self) -> None:
        """Take the first process's weights and statistics."""
        self._take_state()

    def after_fit(self) -> None:
        """Take them again: whatever machines compute differently, all have one model."""
        self._take_state()

    def _take_state(self) -> None:
        state = [*self.learn.model.parameters(), *self.learn.model.buffers()]
        _in_buckets(state, lambda values: distributed.broadcast(values, 0))

    def before_epoch(self) -> None:
        """Take the first one's order of the pairs, and other random numbers than any process.

        What they are follows from the state of the first one, which a checkpoint holds: a training
        that is resumed draws the same ones. What its game remembers is that of all for the same
        reason.
        """
        seed = zlib.crc32(torch.get_rng_state().numpy().tobytes())
        played = games(self.learn)
        states = [{name: one.cpu() for name, one in game.state().items()} for game in played]
        given: list[Any] = [seed, self.dls.train.rng.getstate(), states]
        distributed.broadcast_object_list(given, 0)
        if self.processes.rank:
            self.dls.train.rng.setstate(given[1])
            mine = (given[0] + self.processes.rank) % 2**32
            random.seed(mine)
            np.random.seed(mine)
            torch.manual_seed(mine)
            for game, state in zip(played, given[2], strict=True):
                game.restore(state)

    def before_step(self) -> None:
        """Average the generator's gradients."""
        self.average_gradients(self.learn.model)

    def average_gradients(self, network: nn.Module) -> None:
        """Give gradients, where there are any, their mean over all processes."""
        self.average([one.grad for one in network.parameters() if one.grad is not None])

    def after_train(self) -> None:
        """Average running statistics, of which each process has its own."""
        self.average([one for one in self.learn.model.buffers() if one.is_floating_point()])

    def average(self, tensors: list[Tensor]) -> None:
        """Change tensors to their means over all processes."""

        def mean(values: Tensor) -> None:
            distributed.all_reduce(values)
            values /= self.processes.count

        _in_buckets(tensors, mean)


class SameRows(Callback):
    """Give every process the first one's rows of measures, so that all decide alike.

    Args:
        rows: Rows of the history.
    """

    # After History (51), before those who judge the rows.
    order = 53

    def __init__(self, rows: list[dict[str, float]]) -> None:
        self.rows = rows

    def after_epoch(self) -> None:
        """Replace the last row."""
        row = [self.rows[-1]]
        distributed.broadcast_object_list(row, 0)
        self.rows[-1] = row[0]


@torch.no_grad()
def _in_buckets(tensors: list[Tensor], send: Callable[[Tensor], Any]) -> None:
    """Change tensors by what `send` does in place to many of them laid end to end."""
    for bucket in _buckets(tensors):
        flat = torch.cat([one.reshape(-1) for one in bucket])
        send(flat)
        parts = flat.split([one.numel() for one in bucket])
        torch._foreach_copy_(
            [one.detach() for one in bucket],
            [part.view(one.shape) for part, one in zip(parts, bucket, strict=True)],
        )


def _buckets(tensors: list[Tensor]) -> Iterator[list[Tensor]]:
    for dtype in dict.fromkeys(one.dtype for one in tensors):
        bucket: list[Tensor] = []
        for one in (tensor for tensor in tensors if tensor.dtype == dtype):
            if bucket and sum(map(torch.numel, bucket)) + one.numel() > BUCKET:
                yield bucket
                bucket = []
            bucket.append(one)
        yield bucket
