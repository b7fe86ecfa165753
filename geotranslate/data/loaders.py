"""DataLoaders of chips, their data cards, and the processes that share them."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from fastai.data.core import DataLoaders, TfmdDL
from fastai.torch_basics import subplots
from fastai.torch_core import default_device
from torch import Tensor, distributed

from geotranslate.checks import choice, flag, shown, whole_number
from geotranslate.chips.bands import DataCard
from geotranslate.chips.chip import Chip
from geotranslate.chips.pair_set import FoundChips, PairSet
from geotranslate.chips.pairshift import clear_shift, registration_of
from geotranslate.chips.registration import Registration
from geotranslate.chips.split import Split, ground_of
from geotranslate.chips.summary import summarize
from geotranslate.data.dataoptions import Augmentation, DataOptions
from geotranslate.data.datasets import PairDataset, UnpairedDataset, decoded_bytes
from geotranslate.data.notebook import loaders_html
from geotranslate.data.plotting import RgbBands, draw_split
from geotranslate.data.radiometry import Exchange, Radiometry, strength_for
from geotranslate.data.sourcelayers import SourceLayers
from geotranslate.errors import InvalidInputError
from geotranslate.migration import unknown_argument
from geotranslate.tables import Summary

Part: TypeAlias = Literal["train", "val", "test", "all"]

# Set by torchrun, Intel MPI, Open MPI and MVAPICH; Accelerate reads the same variables.
SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
RANKS = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")


def launched() -> int:
    """Return the number of processes started by `accelerate launch` or `torchrun`, else 1."""
    return max(1, told(SIZES) or 1)


def told(names: Sequence[str]) -> int | None:
    """Return the first of some environment variables that is set, as a number."""
    return next((int(os.environ[name]) for name in names if os.environ.get(name)), None)


def is_main_process() -> bool:
    """Tell whether this is the first process of a launcher, or the only one.

    In a script that a launcher starts in several processes, only the first one should run the code
    after `fit`.
    """
    return launched() == 1 or not told(RANKS)


def checked_device(name: str, value: Any) -> torch.device | None:
    """Return a device after checking that this machine has it; None for the default.

    Raises:
        InvalidInputError: The value is no device, or torch cannot use it here.
    """
    if value is None:
        return None
    try:
        if not isinstance(value, str | torch.device):
            raise TypeError
        device = torch.device(value)
        # The only test that all kinds of devices have.
        torch.zeros(1, device=device).add(1)
    except (TypeError, RuntimeError, AssertionError, NotImplementedError) as error:
        raise InvalidInputError(
            f"{name} is {shown(value)}, which torch does not find on this machine; give 'cpu', "
            "'cuda' or 'cuda:1' for a GPU, 'mps' on a Mac, or leave it out."
        ) from error
    return device


def own_device() -> torch.device:
    """Return fastai's default device; under a launcher, the GPU of this process."""
    if launched() > 1:
        if os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes"):
            return torch.device("cpu")
        if torch.cuda.is_available():
            torch.cuda.set_device((told(["LOCAL_RANK"]) or 0) % torch.cuda.device_count())
    return default_device()


def everywhere(fact: bool) -> bool:
    """Tell whether a fact is true in all processes that train together; all have to call this."""
    if not distributed.is_initialized():
        return fact
    facts: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(facts, fact)
    return all(facts)


class TrainDL(TfmdDL):
    """fastai's loader of training items, which can be shared between processes."""

    rank, count = 0, 1
    """Number of this process, from 0, and of all processes."""

    def get_idxs(self) -> list[int]:
        """Return the items of an epoch in random order, or this process's share of them.

        All processes draw the same order. Their n-th batches together are the n-th batch that a
        single process with a larger batch size would have.
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

    `card` describes the data for a model, `folder` holds the pairs, or both sides of unpaired
    chips, and `split` assigns them to training and validation; unpaired sides have a split each.
    """

    card: DataCard
    folder: FoundChips
    split: Split | tuple[Split, Split]
    options: DataOptions

    @classmethod
    def of(
        cls,
        folder: FoundChips,
        splits: tuple[Split, Split],
        card: DataCard,
        options: DataOptions,
    ) -> PairLoaders:
        """Make the loaders of chips.

        Args:
            folder: The chips.
            splits: Splits of the source chips and of the target chips; the same for pairs.
            card: Description of the data.
            options: Augmentation, batch size, memory and workers.
        """
        memory = int(options.memory_mb * 2**20)
        fits = decoded_bytes([*folder.sources, *folder.targets]) <= memory
        workers = options.num_workers
        if workers is None:
            workers = 0 if fits else max(1, (os.cpu_count() or 2) - 1)
        budget = memory if fits else 0
        options = _decided(options, [folder.sources[i] for i in splits[0].train], card)
        augmentation = _augmentation(folder, splits[0], card, options)
        train, valid = _datasets(folder, splits, card, augmentation, budget)
        data = cls(
            TrainDL(
                train,
                shuffle=True,
                # A last batch of one pair would upset batch statistics.
                drop_last=len(train) >= options.pairs_per_batch,
                bs=options.pairs_per_batch,
                num_workers=workers,
            ),
            TfmdDL(
                valid,
                # Whole validation chips may be larger; a batch has about as many pixels as in
                # training.
                bs=max(1, int(options.pairs_per_batch / (valid.side / card.chip_size) ** 2)),
                num_workers=workers,
            ),
            path=_home(folder.path),
            device=checked_device("device", options.device) or own_device(),
        )
        data.train.rng = random.Random(card.seed)
        data.card, data.folder, data.options = card, folder, options
        data.split = splits[0] if folder.pairs else splits
        return data

    @property
    def test(self) -> TfmdDL | None:
        """Loader of the chips for tests: of a part `test`, or of `test_path`; None without any."""
        return self.part("test") if all(self._positions("test")) else None

    def part(self, which: Part) -> TfmdDL:
        """Return a loader of some chips, whole and in their order, without augmentation.

        Args:
            which: "train", "val", "test" or "all" for every chip, with no pixel hidden.

        Raises:
            InvalidInputError: There is no such part.
        """
        if choice("which", which, get_args(Part)) == "val" and len(self.valid_ds):
            return self.valid
        positions = self._positions(which)
        if not all(positions):
            raise InvalidInputError(
                f"which is {which!r}, but the data has no such chips; it has "
                f"{len(self.train_ds)} for training and {len(self.valid_ds)} for validation."
            )
        folder = self.folder
        if which == "all" and isinstance(folder, PairSet):
            folder = folder.unmasked()
        items = _items(folder, positions, self.card, None, 0)
        size = self._whole_chips(items)
        return TfmdDL(items, bs=size, num_workers=self.train.fake_l.num_workers, device=self.device)

    def _positions(self, which: Part) -> list[Sequence[int]]:
        """Return the positions of the source chips and of the target chips of a part."""
        splits = self.split if isinstance(self.split, tuple) else (self.split, self.split)
        sets = self.folder.divided
        found: list[Sequence[int]] = []
        for side, split in zip((sets[0], sets[-1]), splits, strict=True):
            everything = range(len(side.members))
            parts = {"train": split.train, "val": split.validation, "test": split.tests}
            found.append(everything if which == "all" else parts[which])
        return found

    @property
    def chooses_batch_size(self) -> bool:
        """Whether the first training chooses the batch size by the memory of its device."""
        return self.options.batch_size == "auto"

    def set_batch_size(self, size: int) -> None:
        """Use another number of pairs per batch."""
        self.options = replace(self.options, batch_size=size)
        self.train.bs, self.train.drop_last = size, len(self.train_ds) >= size
        if len(self.valid_ds):
            self.valid.bs = self._whole_chips(self.valid_ds)

    def _whole_chips(self, items: PairDataset | UnpairedDataset) -> int:
        """Return a number of whole chips that have about as many pixels as a training batch."""
        return max(1, int(self.options.pairs_per_batch / (items.side / self.card.chip_size) ** 2))

    def with_card(self, card: DataCard) -> PairLoaders:
        """Return new loaders of the same chips, scaled as another card says."""
        splits = self.split if isinstance(self.split, tuple) else (self.split, self.split)
        return PairLoaders.of(self.folder, splits, card, self.options)

    @property
    def validates_pairs(self) -> bool:
        """Whether source and target of a validation batch are pairs, as metrics require."""
        return bool(self.folder.pairs)

    def summary(self) -> Summary:
        """Return counts, sizes, CRS, bands, nodata, and the dropped chips with the reasons.

        A shift between the sides is mentioned if it is clearly not 0, by a few of the pairs.

        Raises:
            RasterFileError: A chip cannot be read any more.
        """
        splits = self.split if isinstance(self.split, tuple) else (self.split, self.split)
        shift = clear_shift(self.folder, self.card) if self.card.paired else None
        return summarize(self.folder, self.card, splits, shift, self.options.augment)

    def check_registration(self, pairs: int = 200) -> Registration:
        """Measure the shift of the targets against their sources.

        The gradients of both sides are correlated, for each pair and over all pairs. Shifts of up
        to 16 px are found; chips need a side of 32 px or more.

        Args:
            pairs: Largest number of pairs that are compared, evenly spread over the folder.

        Raises:
            InvalidInputError: The data is unpaired, or the number is invalid.
            RasterFileError: A chip cannot be read.
        """
        return registration_of(self.folder, self.card, whole_number("pairs", pairs, 1))

    _repr_html_ = loaders_html

    def plot_split(self) -> Any:
        """Draw a map of training, validation, test and dropped chips; return the axes.

        Ground that is hidden in training targets is not drawn as training ground. The title shows
        the share of the ground in each part.

        For unpaired chips, each side with a CRS has its own map, because the two may lie far apart,
        and the result is a list of axes.

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
        """Draw training pairs, source and target side by side.

        Args:
            rows: Number of pairs, at most a batch.
            max_n: fastai's name for `rows`.
            rgb_bands: Three bands to draw as colors or one to draw in gray, by number from 1, in
                the columns that have them.
            others: Other arguments of fastai's `TfmdDL.show_batch`: `b`, `ctxs`, `show`, `unique`.

        Raises:
            InvalidInputError: A number is invalid.
            UnknownArgumentError: There is no such argument.
        """
        unknown = sorted(others.keys() - {"b", "ctxs", "show", "unique"})
        if unknown:
            raise unknown_argument("show_batch", ("rows", "max_n", "rgb_bands"), unknown[0])
        shown = rows if max_n is None else max_n
        whole_number("rows" if max_n is None else "max_n", shown, 1)
        for name in others.keys() & {"show", "unique"}:
            flag(name, others[name])
        _check_batch(others.get("b"))
        return self.train.show_batch(max_n=shown, rgb_bands=rgb_bands, **others)


def _decided(options: DataOptions, chips: Sequence[Chip], card: DataCard) -> DataOptions:
    """Return options in which a strength takes the place of `augment="auto"`."""
    if options.augment != "auto":
        return options
    chosen = bool(options.jitter or options.look_like)
    return replace(options, augment="none" if chosen else strength_for(chips, card))


def _augmentation(
    folder: FoundChips, split: Split, card: DataCard, options: DataOptions
) -> Augmentation:
    """Return the augmentation of training sources."""
    chips = [folder.sources[i] for i in split.train]
    return replace(
        options.augmentation,
        radiometry=Radiometry.of(options.augment, card.source),
        exchange=Exchange.of(options.look_like, chips, card.source),
        layers=SourceLayers.of(card.source, options.layer_dropout),
    )


def _datasets(
    folder: FoundChips,
    splits: tuple[Split, Split],
    card: DataCard,
    augmentation: Augmentation,
    budget: int,
) -> tuple[PairDataset | UnpairedDataset, PairDataset | UnpairedDataset]:
    """Return training and validation datasets; paired chips are always validated as pairs."""
    parts = [[split.train for split in splits], [split.validation for split in splits]]
    train = _items(folder, parts[0], card, augmentation, budget)
    return train, _items(folder, parts[1], card, None, budget)


def _items(
    folder: FoundChips,
    positions: Sequence[Sequence[int]],
    card: DataCard,
    augmentation: Augmentation | None,
    budget: int,
) -> PairDataset | UnpairedDataset:
    """Return the dataset of the chips at some positions of the sources and of the targets."""
    if folder.pairs and (card.paired or augmentation is None):
        return PairDataset([folder.pairs[i] for i in positions[0]], card, augmentation, budget)
    sources, targets = (
        [chips[i] for i in part]
        for chips, part in zip((folder.sources, folder.targets), positions, strict=True)
    )
    return UnpairedDataset(sources, targets, card, augmentation, budget)


def _check_batch(batch: object) -> None:
    """Raise an error if a value is not a batch of sources and targets."""
    if batch is None:
        return
    sides = batch if isinstance(batch, tuple | list) else []
    if len(sides) != 2 or not all(isinstance(side, Tensor) and side.ndim == 4 for side in sides):
        raise InvalidInputError(
            "b is no batch; give one that the loaders made, a source and a target (n, bands, rows, "
            "cols), or leave it out."
        )


def _home(path: str | os.PathLike[str]) -> Path:
    """Return the folder of the chips or of the raster, in which fastai puts its files."""
    near = [place for place in (Path(path), Path(path).parent) if os.path.isdir(place)]
    return near[0] if near else Path()


def data_card(data: DataLoaders | DataCard) -> DataCard:
    """Return the data card of loaders, or the given card.

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
    """Return the data card of loaders, or the given card, and require paired data.

    Args:
        data: Loaders from `prepare_data`, or a data card.
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
    """Tell whether validation chips are pairs, even if training is unpaired."""
    return data.paired if isinstance(data, DataCard) else getattr(data, "validates_pairs", True)
