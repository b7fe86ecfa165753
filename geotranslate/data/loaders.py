"""The loaders of a training set: said, mapped and drawn."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
from fastai.data.core import DataLoaders, TfmdDL
from fastai.torch_basics import subplots
from matplotlib.patches import Patch
from shapely import difference
from torch import Tensor

from geotranslate.checks import flag, whole_number
from geotranslate.chips.bands import DataCard
from geotranslate.chips.labels import TRAIN, VALIDATION
from geotranslate.chips.pair_set import FoundChips
from geotranslate.chips.split import GroundShares, Split, ground_of
from geotranslate.chips.summary import summarize
from geotranslate.data.datasets import Augmentation, PairDataset, decoded_bytes
from geotranslate.data.launcher import own_device
from geotranslate.data.tensors import RgbBands
from geotranslate.data.unpaired_datasets import UnpairedDataset
from geotranslate.errors import InvalidInputError
from geotranslate.tables import Summary

LEFT_OUT = "left out"
SPLIT_COLOURS = {TRAIN: "tab:blue", VALIDATION: "tab:orange", LEFT_OUT: "lightgrey"}


class PairLoaders(DataLoaders):
    """Training and validation loaders, with what is known of their data.

    `card` holds what a model has to know, `folder` the pairs that were found, or both sides of
    chips that are no pairs, `split` which of them train and which validate, for unpaired sides one
    of the source chips and one of the target chips.
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
        augmentation: Augmentation,
        *,
        batch_size: int,
        memory: int,
        num_workers: int | None,
    ) -> PairLoaders:
        """Build the loaders of what was found.

        Args:
            folder: The chips.
            splits: Which of the source chips, and which of the target chips, train and validate;
                of pairs the same twice.
            card: What a model has to know of them.
            augmentation: What is done to training chips.
            batch_size: Items per batch.
            memory: Bytes of decoded chips to keep, where all fit.
            num_workers: Processes that read chips; None for none where all chips fit into memory,
                else one less than there are cores.
        """
        fits = decoded_bytes([*folder.sources, *folder.targets]) <= memory
        if num_workers is None:
            num_workers = 0 if fits else max(1, (os.cpu_count() or 2) - 1)
        train, valid = _datasets(folder, splits, card, augmentation, memory if fits else 0)
        data = cls(
            TfmdDL(
                train,
                shuffle=True,
                # A last batch of one pair would upset batch statistics.
                drop_last=len(train) >= batch_size,
                bs=batch_size,
                num_workers=num_workers,
            ),
            TfmdDL(
                valid,
                # Whole validation chips may be larger: as many of them as have the pixels of a
                # batch.
                bs=max(1, int(batch_size / (valid.side / card.chip_size) ** 2)),
                num_workers=num_workers,
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
        """Say what was found: counts, sizes, CRS, bands, nodata, and what was left out and why."""
        splits = self.split if isinstance(self.split, tuple) else (self.split, self.split)
        return summarize(self.folder, self.card, splits)

    def plot_split(self) -> Any:
        """Draw the ground of training, validation and left-out chips; return the axes.

        Training chips are drawn without what is hidden in their targets, and the title says the
        shares of the ground that chips cover.

        Of chips that are no pairs they are a list: a map for each side, as the two may lie far
        apart, and none for a side without a CRS.

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
            return _draw_split(*maps[0], axes=None)
        _, table = subplots(1, len(maps), figsize=(6 * len(maps), 5))
        return [_draw_split(*drawn, axes=axes) for drawn, axes in zip(maps, table, strict=True)]

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
            rgb_bands: Three bands to draw as colours or one to draw in grey, by number from 1, in
                the columns that have them.
            others: What else fastai's `TfmdDL.show_batch` takes: `b`, `ctxs`, `show`, `unique`.

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
    """Return what trains and what validates: pairs stay pairs wherever there are some."""
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
    """Refuse to draw what is no batch of sources and targets."""
    if batch is None:
        return
    sides = batch if isinstance(batch, tuple | list) else []
    if len(sides) != 2 or not all(isinstance(side, Tensor) and side.ndim == 4 for side in sides):
        raise InvalidInputError(
            "b is no batch; give one that the loaders made, a source and a target (n, bands, rows, "
            "cols), or leave it out."
        )


def _home(path: str | os.PathLike[str]) -> Path:
    """Return the folder that fastai keeps its files in: the chips' own, or that of a raster."""
    near = [place for place in (Path(path), Path(path).parent) if place.is_dir()]
    return near[0] if near else Path()


def _draw_split(title: str, outlines: gpd.GeoSeries, split: Split, axes: Any) -> Any:
    labels = [LEFT_OUT] * len(outlines)
    parts: Sequence[tuple[str, Sequence[int]]] = (
        (TRAIN, split.train),
        (VALIDATION, split.validation),
    )
    for label, positions in parts:
        for position in positions:
            labels[position] = label
    drawn: dict[str, Any] = {"alpha": 0.5, "edgecolor": "black"}
    shares = GroundShares.of(split, outlines)
    if split.masks:
        shown = outlines.to_numpy(copy=True)
        masked = list(split.masks)
        shown[masked] = difference(shown[masked], split.hidden)
        outlines = gpd.GeoSeries(shown, crs=outlines.crs)
    axes = outlines.plot(color=[SPLIT_COLOURS[label] for label in labels], ax=axes, **drawn)
    patches = [
        Patch(facecolor=colour, label=label, **drawn)
        for label, colour in SPLIT_COLOURS.items()
        if label in labels
    ]
    axes.legend(handles=patches, title=title or None)
    axes.set_title(f"ground: {shares}")
    return axes


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
        data: What `prepare_data` returned, or a data card.
        name: That of the translator, which the sentence says.

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
