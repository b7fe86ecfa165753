"""From a chip folder to fastai DataLoaders of typed, scaled, paired tensors."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from fastai.data.core import DataLoaders, TfmdDL
from fastai.torch_core import default_device
from rasterio.windows import Window
from shapely.geometry import Polygon
from torch import Tensor

from geotranslate.chips.datacard import DataCard, Side
from geotranslate.chips.folder import Chip, ChipFolder, Pair
from geotranslate.chips.split import split_pairs
from geotranslate.chips.statistics import Scaling, Statistics
from geotranslate.errors import GeotranslateWarning, InvalidInputError
from geotranslate.raster.source import Source, fill_gaps
from geotranslate.training.tensors import TensorSource, TensorTarget


def prepare_data(
    path: str | os.PathLike[str],
    *,
    chip_size: int | None = None,
    batch_size: int = 4,
    val_split_pct: float = 0.1,
    seed: int = 42,
    num_workers: int = 0,
) -> DataLoaders:
    """Return training and validation loaders of the pairs in a chip folder.

    Batches are `TensorSource` and `TensorTarget`, float32 `(n, bands, rows, cols)`, each band
    scaled from its units to -1..1: uint8 by 0..255, other dtypes by the minimum and maximum of
    the training chips. Training pairs are flipped and turned by quarters, both chips alike.
    Invalid pixels are the band's mean in the source and NaN in the target, which losses and
    metrics ignore. What was found is in `data.card`.

    Args:
        path: Folder with `images/` and `images2/`, as `export_chips` and ArcGIS Pro write them.
        chip_size: Side of the tensors, px; the chips' own by default. Where it is smaller,
            training pairs are cropped at random places and validation pairs in the middle.
        batch_size: Pairs per batch.
        val_split_pct: Share of the pairs to validate on, 0 to 1. Where chips overlap on the
            ground, the validation pairs form one patch and the training pairs that reach into it
            are left out, with a warning.
        seed: Seed of the split and of the order of the batches.
        num_workers: Processes that read chips; 0 reads them in this one.

    Raises:
        RasterFileError: The folder is missing or a chip cannot be read.
        InvalidInputError: The folder holds no pairs, or they do not fit each other or `chip_size`.
        GridMismatchError: The two chips of a pair lie on different ground.
    """
    if not 0 < val_split_pct < 1 or batch_size < 1:
        raise InvalidInputError(
            f"val_split_pct is {val_split_pct} and batch_size {batch_size}; give a share between 0 "
            "and 1, and at least 1 pair."
        )
    folder = ChipFolder.read(path)
    pairs = folder.pairs
    if len(pairs) < 2:
        raise InvalidInputError(
            f"{folder.path} holds one pair; two are needed, one to train and one to validate on."
        )
    size = _chip_size(folder, chip_size)
    split = split_pairs(len(pairs), val_split_pct, seed, _footprints(pairs))
    if split.left_out:
        warnings.warn(
            f"{len(split.left_out)} of {len(pairs)} pairs are left out because they overlap the "
            f"{len(split.validation)} validation pairs on the ground; export with stride=tile_size "
            "to use all of them.",
            GeotranslateWarning,
            stacklevel=2,
        )
    train = [pairs[i] for i in split.train]
    valid = [pairs[i] for i in split.validation]
    first = pairs[0].source.grid
    card = DataCard(
        source=_side([pair.source for pair in train]),
        target=_side([pair.target for pair in train]),
        chip_size=size,
        crs=None if first.crs is None else first.crs.to_string(),
        resolution=None if first.crs is None else first.resolution,
        train_pairs=tuple(pair.name for pair in train),
        validation_pairs=tuple(pair.name for pair in valid),
        seed=seed,
    )
    shared = {"bs": batch_size, "num_workers": num_workers}
    data = DataLoaders(
        TfmdDL(
            PairDataset(train, card, augment=True),
            shuffle=True,
            # A last batch of one pair would upset batch statistics.
            drop_last=len(train) >= batch_size,
            **shared,
        ),
        TfmdDL(PairDataset(valid, card, augment=False), **shared),
        path=folder.path,
        device=default_device(),
    )
    data.train.rng = random.Random(seed)
    data.card = card
    return data


class PairDataset:
    """Reads a pair as scaled tensors; with `augment`, at a random place, flip and quarter turn."""

    def __init__(self, pairs: Sequence[Pair], card: DataCard, *, augment: bool) -> None:
        self.pairs, self.card, self.augment = tuple(pairs), card, augment

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[TensorSource, TensorTarget]:
        pair = self.pairs[index]
        window = self._window(pair.source)
        with Source(pair.source.path) as source, Source(pair.target.path) as target:
            left, left_valid = source.read(window)
            right, right_valid = target.read(window)
        left = fill_gaps(left, left_valid, self.card.source.mean)
        right = fill_gaps(right, left_valid & right_valid, np.nan)
        tensors = (
            torch.from_numpy(self.card.source.scaling.scale(left)),
            torch.from_numpy(self.card.target.scaling.scale(right)),
        )
        if self.augment:
            symmetry = int(torch.randint(8, ()))
            tensors = (turn(tensors[0], symmetry), turn(tensors[1], symmetry))
        return TensorSource(tensors[0]), TensorTarget(tensors[1])

    def _window(self, chip: Chip) -> Window:
        size = self.card.chip_size
        room = (chip.grid.height - size, chip.grid.width - size)
        row, col = (
            int(torch.randint(spare + 1, ())) if self.augment else spare // 2 for spare in room
        )
        return Window(col, row, size, size)


def turn(image: Tensor, symmetry: int) -> Tensor:
    """Return one of the eight flips and quarter turns of `(..., rows, cols)`; 0 is the identity."""
    turned = torch.rot90(image, symmetry % 4, (-2, -1))
    return (turned.flip(-1) if symmetry >= 4 else turned).contiguous()


def _chip_size(folder: ChipFolder, wanted: int | None) -> int:
    sizes = sorted({(pair.source.grid.height, pair.source.grid.width) for pair in folder.pairs})
    smallest = min(min(size) for size in sizes)
    if wanted is None:
        if len(sizes) > 1 or sizes[0][0] != sizes[0][1]:
            shown = ", ".join(f"{width} x {height}" for height, width in sizes[:3])
            raise InvalidInputError(
                f"The chips of {folder.path} are not squares of one size ({shown} px); pass "
                f"chip_size, at most {smallest}, to crop them."
            )
        return smallest
    if not 1 <= wanted <= smallest:
        raise InvalidInputError(
            f"chip_size is {wanted} but the smallest chip of {folder.path} has a side of "
            f"{smallest} px; give at most that, or export larger chips."
        )
    return wanted


def _footprints(pairs: Sequence[Pair]) -> list[Polygon] | None:
    """Return the outlines of the pairs in the CRS of the first; None if one has no CRS."""
    grids = [pair.source.grid for pair in pairs]
    if any(grid.crs is None for grid in grids):
        return None
    return [grid.footprint_in(grids[0].crs) for grid in grids]


def _side(chips: Sequence[Chip]) -> Side:
    first = chips[0]
    total = sum((chip.statistics for chip in chips), Statistics.empty(first.bands))
    return Side(
        bands=first.bands,
        dtype=first.dtype,
        nodata=first.nodata,
        band_names=first.band_names,
        mean=tuple(map(float, total.mean)),
        scaling=Scaling.for_side(total, first.dtype),
    )
