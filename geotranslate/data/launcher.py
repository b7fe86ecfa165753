"""Environment of the processes that a launcher starts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from fastai.torch_core import default_device
from torch import distributed

# Set by torchrun, Intel MPI, Open MPI and MVAPICH; Accelerate reads the same.
SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
RANKS = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")


def launched() -> int:
    """Return how many processes a launcher (`accelerate launch`, `torchrun`) started, else 1."""
    return max(1, told(SIZES) or 1)


def told(names: Sequence[str]) -> int | None:
    """Return the first environment variable of some names as a number."""
    return next((int(os.environ[name]) for name in names if os.environ.get(name)), None)


def is_main_process() -> bool:
    """Tell whether this is the first of a launcher's processes, or the only one.

    Of a script that a launcher starts in several processes, the code after `fit` is for
    the first one.
    """
    return launched() == 1 or not told(RANKS)


def own_device() -> torch.device:
    """Return fastai's device, under a launcher the GPU of this process."""
    if launched() > 1:
        if os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes"):
            return torch.device("cpu")
        if torch.cuda.is_available():
            torch.cuda.set_device((told(["LOCAL_RANK"]) or 0) % torch.cuda.device_count())
    return default_device()


def everywhere(fact: bool) -> bool:
    """Tell whether a fact holds in all processes that train together; all have to call."""
    if not distributed.is_initialized():
        return fact
    facts: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(facts, fact)
    return all(facts)
