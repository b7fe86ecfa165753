"""Datasets of paired and unpaired chips, which are cropped, scaled and augmented."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from geotranslate.chips.bands import DataCard, Side
from geotranslate.chips.chip import Chip
from geotranslate.chips.pair_set import Pair
from geotranslate.chips.split import LEAST_LEFT
from geotranslate.data.dataoptions import Augmentation
from geotranslate.data.tensors import TensorSource, TensorTarget
from geotranslate.raster.factor import valid_at
from geotranslate.raster.reader import fill_gaps

Pixels: TypeAlias = "tuple[NDArray[Any], NDArray[np.bool_]]"
CROPS_TRIED = 32
"""Random crops of a chip that are tried for one with enough valid pixels."""


class ChipCache:
    """Cache of decoded chips.

    Args:
        budget: Largest size, bytes.
    """

    def __init__(self, budget: int) -> None:
        self._left = budget
        self._known: dict[tuple[str, int], Pixels] = {}

    def read(self, side: str, number: int, chip: Chip) -> Pixels:
        """Return the pixels of a chip of a side, from the cache if they fitted in it."""
        known = self._known.get((side, number))
        if known is not None:
            return known
        data, valid = chip.read()
        size = data.nbytes + valid.nbytes
        if size <= self._left:
            self._left -= size
            self._known[side, number] = data, valid
        return data, valid


class ChipDataset:
    """Base of the datasets of pairs and of unpaired chips.

    Args:
        chips: All chips of both sides.
        card: Scalings, fill values of invalid pixels, and size.
        augmentation: Augmentation of training chips, which are cropped at random places; None for
            validation chips, which are whole if all have one size, else cropped in the middle.
        budget: Bytes of decoded chips to keep.
    """

    paired = True
    """Whether source and target of an item show the same place."""

    def __init__(
        self,
        chips: Sequence[Chip],
        card: DataCard,
        augmentation: Augmentation | None,
        budget: int,
    ) -> None:
        self.card, self.augmentation = card, augmentation
        sizes = {(chip.grid.height, chip.grid.width) for chip in chips}
        self._whole = augmentation is None and (len(sizes) == 1 or card.resize_to is not None)
        self._memory = ChipCache(budget)
        self.side = card.resize_to or max((max(size) for size in sizes), default=card.chip_size)
        """Side of the largest chip, px."""

    def decode(
        self, pair: tuple[Tensor, Tensor], full: bool = True
    ) -> tuple[TensorSource, TensorTarget]:
        """Return a pair with the descriptions of its sides, which plots need."""
        source, target = pair
        return (
            TensorSource(source, side=self.card.source, paired=self.paired),
            TensorTarget(target, side=self.card.target, paired=self.paired),
        )

    def _place(
        self, height: int, width: int, size: int, usable: NDArray[np.bool_] | None = None
    ) -> tuple[int, int]:
        """Return the first row and column of a crop, random in training, else in the middle.

        Args:
            height: Rows to choose from.
            width: Columns.
            size: Side of the crop.
            usable: Valid pixels `(rows, cols)`. A training crop is the first of some random ones
                with enough valid pixels, or else the best one. None accepts any crop.
        """
        room = (height - size, width - size)
        if self.augmentation is None:
            return room[0] // 2, room[1] // 2
        best, place = -1, (0, 0)
        for _ in range(CROPS_TRIED if usable is not None and any(room) else 1):
            row, col = (int(torch.randint(free + 1, ())) for free in room)
            if usable is None:
                return row, col
            count = int(np.count_nonzero(usable[row : row + size, col : col + size]))
            if count > best:
                best, place = count, (row, col)
            if best >= LEAST_LEFT * size**2:
                break
        return place


class PairDataset(ChipDataset):
    """Dataset of pairs as typed tensors; both sides are cropped on the same ground.

    Args:
        pairs: Training or validation pairs.
        card: Scalings, fill values of invalid pixels, and size.
        augmentation: Augmentation of training pairs, which are cropped at random places; None for
            validation pairs, which are whole if they all have one size, else cropped in the
            middle.
        budget: Bytes of decoded chips to keep.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        card: DataCard,
        augmentation: Augmentation | None,
        budget: int = 0,
    ) -> None:
        self.pairs = tuple(pairs)
        super().__init__([pair.source for pair in pairs], card, augmentation, budget)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[TensorSource, TensorTarget]:
        pair, card = self.pairs[index], self.card
        pixels = (
            self._memory.read("source", index, pair.source),
            self._memory.read("target", index, pair.target),
        )
        if card.resize_to is None:
            tensors = self._scaled(*(pixels if self._whole else self._crop(*pixels)))
        else:
            tensors = self._resized(card.resize_to, *self._scaled(*pixels))
        if self.augmentation is not None:
            tensors = self.augmentation(*tensors, item=index)
        return TensorSource(tensors[0]), TensorTarget(tensors[1])

    def _scaled(self, left: Pixels, right: Pixels) -> tuple[Tensor, Tensor]:
        (source, source_valid), (target, target_valid) = left, right
        filled = fill_gaps(source, source_valid, self.card.source.fill)
        both = valid_at(source_valid, self.card.factor) & target_valid
        holed = fill_gaps(target, both, np.nan)
        return (
            torch.from_numpy(self.card.source.scaling.scale(filled)),
            torch.from_numpy(self.card.target.scaling.scale(holed)),
        )

    def _crop(self, *sides: Pixels) -> tuple[Pixels, Pixels]:
        coarse = [valid_at(sides[i][1], Fraction(1, self._counts[i])) for i in (0, 1)]
        at = self._crops(coarse[0] & coarse[1])
        left, right = (
            (data[one], valid[one]) for (data, valid), one in zip(sides, at, strict=True)
        )
        return left, right

    def _resized(self, side: int, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        card = self.card
        left = resized(tensors[0], side, card.source)
        right = resized(tensors[1], int(side * card.factor), card.target)
        if self._whole:
            return left, right
        usable = valid_at(~torch.isnan(right[0]).numpy(), Fraction(1, self._counts[1]))
        at = self._crops(usable)
        return left[at[0]].contiguous(), right[at[1]].contiguous()

    @property
    def _counts(self) -> tuple[int, int]:
        """Pixels of source and target along an axis for each pixel of the coarser side."""
        return self.card.factor.denominator, self.card.factor.numerator

    def _crops(self, usable: NDArray[np.bool_]) -> tuple[Any, Any]:
        """Return the indices of a crop of both sides, given the valid pixels of the coarser."""
        size = self.card.chip_size // self._counts[0]
        row, col = self._place(usable.shape[0], usable.shape[1], size, usable)
        source, target = (
            np.s_[..., row * k : (row + size) * k, col * k : (col + size) * k] for k in self._counts
        )
        return source, target


class UnpairedDataset(ChipDataset):
    """Dataset of source chips, each with an unrelated target chip, as typed tensors.

    It is as long as the larger side; if there are fewer sources, they repeat. In training, targets
    are drawn at random; in validation, they repeat too.

    Args:
        sources: Training or validation chips of the source.
        targets: Training or validation chips of the target.
        card: Scalings, fill values of invalid pixels, and size.
        augmentation: Augmentation of training chips, which are cropped at random places; None for
            validation chips, which are whole if all have one size, else cropped in the middle.
        budget: Bytes of decoded chips to keep.
    """

    paired = False

    def __init__(
        self,
        sources: Sequence[Chip],
        targets: Sequence[Chip],
        card: DataCard,
        augmentation: Augmentation | None,
        budget: int = 0,
    ) -> None:
        self.sources, self.targets = tuple(sources), tuple(targets)
        super().__init__([*sources, *targets], card, augmentation, budget)

    def __len__(self) -> int:
        return max(len(self.sources), len(self.targets))

    def __getitem__(self, index: int) -> tuple[TensorSource, TensorTarget]:
        # An index beyond the end raises an IndexError, as in a list, so that loops end.
        index = range(len(self))[index]
        first = index % len(self.sources)
        # torch's generator is seeded, in workers and resumed trainings too.
        drawn = index if self.augmentation is None else int(torch.randint(len(self.targets), ()))
        second = drawn % len(self.targets)
        card = self.card
        left = self._memory.read("source", first, self.sources[first])
        right = self._memory.read("target", second, self.targets[second])
        source = self._tensor(left, card.source, card.source.fill)
        target = self._tensor(right, card.target, np.nan)
        if self.augmentation is not None:
            source, target = self.augmentation(source, target, alike=False, item=first)
        return TensorSource(source), TensorTarget(target)

    def _tensor(self, pixels: Pixels, side: Side, gap: float | tuple[float, ...]) -> Tensor:
        """Return a chip cropped and scaled, with `gap` in place of its invalid pixels."""
        data, valid = pixels
        resize_to, size = self.card.resize_to, self.card.chip_size
        height, width = valid.shape if resize_to is None else (resize_to, resize_to)
        at: Any = np.s_[..., :, :]
        if not self._whole:
            row, col = self._place(height, width, size)
            at = np.s_[..., row : row + size, col : col + size]
        if resize_to is None:
            data, valid = data[at], valid[at]
        scaled = torch.from_numpy(side.scaling.scale(fill_gaps(data, valid, gap)))
        if resize_to is None:
            return scaled
        return resized(scaled, resize_to, side)[at].contiguous()


def resized(image: Tensor, size: int, side: Side) -> Tensor:
    """Resample `(bands, rows, cols)` of a side to a square, its bands of classes by `resize`."""
    categorical = list(side.categorical_bands)
    if len(categorical) in (0, side.bands):
        return resize(image, size, classes=bool(categorical))
    found = resize(image, size, classes=False)
    found[categorical] = resize(image[categorical], size, classes=True)
    return found


def resize(image: Tensor, side: int, *, classes: bool) -> Tensor:
    """Resample `(bands, rows, cols)` to a square, by nearest neighbor if classes, else antialiased.

    A pixel computed from any NaN is NaN.
    """
    if classes:
        return F.interpolate(image[None], (side, side), mode="nearest-exact")[0]
    return F.interpolate(
        image[None], (side, side), mode="bilinear", antialias=True, align_corners=False
    )[0]


def decoded_bytes(chips: Sequence[Chip]) -> int:
    """Return the size of the decoded pixels of chips, bytes."""
    return sum(
        chip.grid.height * chip.grid.width * (chip.bands * np.dtype(chip.dtype).itemsize + 1)
        for chip in chips
    )
