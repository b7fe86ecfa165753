"""Training in several processes, each with its share of the pairs."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from torch import distributed

from geotranslate.data import RANKS, TrainDL, launched, told
from geotranslate.errors import (
    GeotranslateError,
    InvalidInputError,
    MissingPackageError,
    ModelFileError,
    said,
)
from geotranslate.training.callbacks import Synchronization, SynchronizedHistory


@dataclass(frozen=True)
class Processes:
    """The processes that train one model together.

    Args:
        rank: Number of this process, from 0.
        count: Number of processes.
    """

    rank: int = 0
    count: int = 1

    @classmethod
    def join(cls, device: torch.device) -> Processes:
        """Join the process group of the launcher, if there is one.

        Args:
            device: Device of this process: GPUs communicate by NCCL, CPUs by Gloo.

        Raises:
            MissingPackageError: A launcher is used, but Accelerate is not installed.
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
                f"WORLD_SIZE announces {launched()} processes, but this one has no number (RANK, "
                "LOCAL_RANK); start the script by accelerate launch or torchrun, or unset "
                "WORLD_SIZE to train in one process."
            )
        first = not distributed.is_initialized()
        state = PartialState(cpu=device.type == "cpu")
        if first:
            atexit.register(state.destroy_process_group)
        return cls(state.process_index, state.num_processes)

    def callbacks(self, rows: list[dict[str, float]]) -> list[Callback]:
        """Return the callbacks that synchronize the processes.

        Args:
            rows: Rows of the history.
        """
        return (
            [Synchronization(self.rank, self.count), SynchronizedHistory(rows)]
            if self.count > 1
            else []
        )

    def agreed(self, done: int) -> int:
        """Return the number of finished epochs, which must be the same in all processes.

        Raises:
            ModelFileError: The processes see different checkpoints.
        """
        found = self._gathered(done)
        if len(set(found)) > 1:
            raise ModelFileError(
                f"The processes found checkpoints after {', '.join(map(str, found))} epochs; give "
                "a folder on a disk that all machines share."
            )
        return done

    def least(self, value: int) -> int:
        """Return the least of the numbers of all processes."""
        return min(self._gathered(value))

    @contextmanager
    def led(self, block: AbstractContextManager[object]) -> Iterator[None]:
        """Enter a context in the first process only; if that fails, all processes raise its error.

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
            # Otherwise the others would wait for the first process forever.
            if failed := self._gathered(failed)[0]:
                raise failed
            yield

    def wait(self) -> None:
        """Wait for all processes."""
        self._gathered(None)

    def _gathered(self, value: Any) -> list[Any]:
        if self.count == 1:
            return [value]
        found: list[Any] = [None] * self.count
        distributed.all_gather_object(found, value)
        return found

    @contextmanager
    def sharing(self, data: DataLoaders) -> Iterator[None]:
        """Give each process its share of the training pairs inside the block.

        Raises:
            InvalidInputError: There are too few pairs for one batch per process.
        """
        if self.count == 1:
            yield
            return
        loader: TrainDL = data.train
        pairs, together = loader.n, loader.bs * self.count
        if pairs < together:
            raise InvalidInputError(
                f"There are {pairs} training pairs but {self.count} processes with batches of "
                f"{loader.bs} take {together} a step; give prepare_data a smaller batch_size, or "
                "start fewer processes."
            )
        loader.rank, loader.count = self.rank, self.count
        try:
            yield
        finally:
            loader.rank, loader.count = 0, 1
