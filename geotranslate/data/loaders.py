"""Loaders of pairs, and the process that they belong to."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fastai.data.core import DataLoaders, TfmdDL
from fastai.torch_basics import subplots
from fastai.torch_core import default_device
from torch import Tensor, distributed

from geotranslate.checks import flag, whole_number
from geotranslate.chips.bands import DataCard
from geotranslate.chips.pair_set import FoundChips
from geotranslate.chips.split import Split, ground_of
from geotranslate.chips.summary import summarize
from geotranslate.data.dataoptions import Augmentation, DataOptions
from geotranslate.data.datasets import PairDataset, UnpairedDataset, decoded_bytes
from geotranslate.data.plotting import RgbBands, draw_split
from geotranslate.errors import InvalidInputError
from geotranslate.tables import Summary

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


class TrainDL(TfmdDL):
    """fastai's loader of training items, of which several processes can each take a share."""

    rank, count = 0, 1
    """Number of this process, from 0, and of all processes."""

    def get_idxs(self) -> list[int]:
        """Return the items in the order of an epoch: all of them, or this process's share.

        All processes draw the same order. Batch by batch their items are, together, those of one
        process whose batches are so many times as large.
        """
        order: list[int] = super().get_idxs()
        if self.count == 1:
            return order
        rounds = self.n // (self.bs * self.count)
        batches = np.array(order[: rounds * self.count * self.bs])
        share: list[int] = (
            batches.reshape(rounds, self.count, self.bs)[:, self.rank].ravel().tolist()
        )
        return share

    def __len__(self) -> int:
        return super().__len__() if self.count == 1 else self.n // (self.bs * self.count)


class PairLoaders(DataLoaders):
    """Training and validation loaders, with a description of their data.

    `card` describes the data for a model, `folder` holds the pairs that were found, or both sides
    of unpaired chips, and `split` their division into training and validation, for unpaired sides
    one of the source chips and one of the target chips.
    """

    card: DataCard
    folder: FoundChips
    split: Split | tuple[Split, Split]

    @classmethod
    def of(
        cls,
        folder: FoundChips,
        splits: tuple[Split, Split],
        card: DataCard,
        options: DataOptions,
    ) -> PairLoaders:
        """Build the loaders of chips.

        Args:
            folder: The chips.
            splits: Splits of the source chips and of the target chips; of pairs the same twice.
            card: Description of the data.
            options: Augmentation, batch size, memory and workers.
        """
        memory = int(options.memory_mb * 2**20)
        fits = decoded_bytes([*folder.sources, *folder.targets]) <= memory
        workers = options.num_workers
        if workers is None:
            workers = 0 if fits else max(1, (os.cpu_count() or 2) - 1)
        budget = memory if fits else 0
        train, valid = _datasets(folder, splits, card, options.augmentation, budget)
        data = cls(
            TrainDL(
                train,
                shuffle=True,
                # A last batch of one pair would upset batch statistics.
                drop_last=len(train) >= options.batch_size,
                bs=options.batch_size,
                num_workers=workers,
            ),
            TfmdDL(
                valid,
                # Whole validation chips may be larger: as many of them as have the pixels of a
                # batch.
                bs=max(1, int(options.batch_size / (valid.side / card.chip_size) ** 2)),
                num_workers=workers,
            ),
            path=_home(folder.path),
            device=own_device(),
        )
        data.train.rng = random.Random(card.seed)
        data.card, data.folder = card, folder
        data.split = splits[0] if folder.pairs else splits
        return data

    @property
    def validates_pairs(self) -> bool:
        """Whether source and target of a validation batch are pairs, as measures need them."""
        return bool(self.folder.pairs)

    def summary(self) -> Summary:
        """Return counts, sizes, CRS, bands, nodata, and the chips left out with the reason."""
        splits = self.split if isinstance(self.split, tuple) else (self.split, self.split)
        return summarize(self.folder, self.card, splits)

    def plot_split(self) -> Any:
        """Draw the ground of training, validation and left-out chips; return the axes.

        Training chips are drawn without the ground that is hidden in their targets, and the title
        gives the shares of the ground that chips cover.

        Unpaired chips give a list of axes: a map for each side, as the two may lie far apart, and
        none for a side without a CRS.

        Raises:
            InvalidInputError: The chips have no CRS.
        """
        splits = self.split if isinstance(self.split, tuple) else (self.split,)
        maps = [
            (part.side, outlines, split)
            for part, split in zip(self.folder.divided, splits, strict=True)
            if (outlines := ground_of(part)) is not None
        ]
        if not maps:
            raise InvalidInputError("The chips have no CRS, so there is no map of the split.")
        if self.folder.pairs:
            return draw_split(*maps[0], axes=None)
        _, table = subplots(1, len(maps), figsize=(6 * len(maps), 5))
        return [draw_split(*drawn, axes=axes) for drawn, axes in zip(maps, table, strict=True)]

    def show_batch(
        self,
        rows: int = 4,
        *,
        max_n: int | None = None,
        rgb_bands: RgbBands | None = None,
        **others: Any,
    ) -> None:
        """Draw training pairs, source and target side by side; unpaired ones show other places.

        Args:
            rows: Pairs, at most those of a batch.
            max_n: The same, as fastai calls it.
            rgb_bands: Three bands to draw as colors or one to draw in gray, by number from 1, in
                the columns that have them.
            others: Other arguments of fastai's `TfmdDL.show_batch`: `b`, `ctxs`, `show`, `unique`.

        Raises:
            InvalidInputError: A number is impossible, or there is no such argument.
        """
        unknown = sorted(others.keys() - {"b", "ctxs", "show", "unique"})
        if unknown:
            raise InvalidInputError(
                f"show_batch has no argument {unknown[0]!r}; it has rows and rgb_bands."
            )
        shown = rows if max_n is None else max_n
        whole_number("rows" if max_n is None else "max_n", shown, 1)
        for name in others.keys() & {"show", "unique"}:
            flag(name, others[name])
        _check_batch(others.get("b"))
        return self.train.show_batch(max_n=shown, rgb_bands=rgb_bands, **others)


def _datasets(
    folder: FoundChips,
    splits: tuple[Split, Split],
    card: DataCard,
    augmentation: Augmentation,
    budget: int,
) -> tuple[PairDataset | UnpairedDataset, PairDataset | UnpairedDataset]:
    """Return the datasets of training and validation; paired chips are validated as pairs."""
    parts = [[split.train for split in splits], [split.validation for split in splits]]
    (sources, targets), (valid_sources, valid_targets) = (
        ([folder.sources[i] for i in part[0]], [folder.targets[i] for i in part[1]])
        for part in parts
    )
    train: PairDataset | UnpairedDataset
    if folder.pairs:
        pairs, valid_pairs = ([folder.pairs[i] for i in part[0]] for part in parts)
        if card.paired:
            train = PairDataset(pairs, card, augmentation, budget)
        else:
            train = UnpairedDataset(sources, targets, card, augmentation, budget)
        return train, PairDataset(valid_pairs, card, None, budget)
    train = UnpairedDataset(sources, targets, card, augmentation, budget)
    return train, UnpairedDataset(valid_sources, valid_targets, card, None, budget)


def _check_batch(batch: object) -> None:
    """Refuse a value that is no batch of sources and targets."""
    if batch is None:
        return
    sides = batch if isinstance(batch, tuple | list) else []
    if len(sides) != 2 or not all(isinstance(side, Tensor) and side.ndim == 4 for side in sides):
        raise InvalidInputError(
            "b is no batch; give one that the loaders made, a source and a target (n, bands, rows, "
            "cols), or leave it out."
        )


def _home(path: str | os.PathLike[str]) -> Path:
    """Return the folder of fastai's files: that of the chips, or of a raster."""
    near = [place for place in (Path(path), Path(path).parent) if place.is_dir()]
    return near[0] if near else Path()


def data_card(data: DataLoaders | DataCard) -> DataCard:
    """Return the data card, bare or of loaders.

    Raises:
        InvalidInputError: The loaders are not from `prepare_data`.
    """
    card = data if isinstance(data, DataCard) else getattr(data, "card", None)
    if not isinstance(card, DataCard):
        raise InvalidInputError(
            f"data is {type(data).__name__} without a data card; give what prepare_data returns."
        )
    return card


def paired_card(data: DataLoaders | DataCard, name: str) -> DataCard:
    """Return the data card, bare or of loaders, for a translator that learns from pairs.

    Args:
        data: Loaders of `prepare_data`, or a data card.
        name: Name of the translator, for the error.

    Raises:
        InvalidInputError: The data is unpaired, or the loaders are not from `prepare_data`.
    """
    card = data_card(data)
    if not card.paired:
        folder = getattr(data, "folder", None)
        layout = f" ({folder.layout})" if folder is not None else ""
        raise InvalidInputError(
            f"{name} learns from pairs, but the data is unpaired{layout}; use CycleGAN, or give "
            "prepare_data a folder of pairs or two rasters of one place, without paired=False."
        )
    return card


def validates_pairs(data: DataLoaders | DataCard) -> bool:
    """Return whether there are pairs to validate on, whatever the training chips are."""
    return data.paired if isinstance(data, DataCard) else getattr(data, "validates_pairs", True)
