"""Callbacks that keep the networks of several processes the same."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from fastai.callback.core import Callback
from torch import Tensor, distributed, nn

from geotranslate.training.objectives import objectives_of

BUCKET = 2**23
"""Values per message; one message per parameter would mostly wait."""


class Synchronization(Callback):
    """Keep the networks of all processes the same.

    They start from the weights of the first process and step with averaged gradients, including the
    discriminator's, which `GANCallback` averages by this callback; no wrapper is needed. Batch
    normalization uses each process's own batch; its running statistics are averaged at the end of
    an epoch.

    Args:
        rank: Number of this process, from 0.
        count: Number of processes.
    """

    # After GradientAccumulation (6), which postpones steps, and before MixedPrecision (10), so that
    # all processes see an overflow of float16, and before GradientClip (11).
    order = 8

    def __init__(self, rank: int, count: int) -> None:
        self.rank, self.count = rank, count

    def before_fit(self) -> None:
        """Take the first process's weights and statistics."""
        self._take_state()

    def after_fit(self) -> None:
        """Take them again, in case the machines have computed slightly different weights."""
        self._take_state()

    def _take_state(self) -> None:
        state = [*self.learn.model.parameters(), *self.learn.model.buffers()]
        _in_buckets(state, lambda values: distributed.broadcast(values, 0))

    def before_epoch(self) -> None:
        """Take the first process's order of the pairs, and seed each process differently.

        The seeds follow from the random state of the first process, which a checkpoint holds, so
        that a resumed training draws the same numbers. For the same reason all use the image pools
        of the first process.
        """
        seed = zlib.crc32(torch.get_rng_state().numpy().tobytes())
        objectives = objectives_of(self.learn)
        states = [{name: one.cpu() for name, one in each.state().items()} for each in objectives]
        given: list[Any] = [seed, self.dls.train.rng.getstate(), states]
        distributed.broadcast_object_list(given, 0)
        if self.rank:
            self.dls.train.rng.setstate(given[1])
            mine = (given[0] + self.rank) % 2**32
            random.seed(mine)
            np.random.seed(mine)
            torch.manual_seed(mine)
            for objective, state in zip(objectives, given[2], strict=True):
                objective.restore(state)

    def before_step(self) -> None:
        """Average the generator's gradients."""
        self.average_gradients(self.learn.model)

    def average_gradients(self, network: nn.Module) -> None:
        """Replace existing gradients by their means over all processes."""
        self.average([one.grad for one in network.parameters() if one.grad is not None])

    def after_train(self) -> None:
        """Average running statistics, of which each process has its own."""
        self.average([one for one in self.learn.model.buffers() if one.is_floating_point()])

    def average(self, tensors: list[Tensor]) -> None:
        """Replace tensors by their means over all processes, in place."""

        def mean(values: Tensor) -> None:
            distributed.all_reduce(values)
            values /= self.count

        _in_buckets(tensors, mean)


class SynchronizedHistory(Callback):
    """Copy the history of the first process to all, so that all decide alike.

    Args:
        rows: Rows of the history.
    """

    # After History (51), before callbacks that compare the rows.
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
    """Change tensors in place by `send`, which gets them concatenated in large buckets."""
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
