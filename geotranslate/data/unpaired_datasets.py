"""Chips of two sides that are no pairs as tensors: each cropped, flipped and turned for itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geotranslate.chips.bands import DataCard, Side
from geotranslate.chips.chip import Chip
from geotranslate.data.datasets import Augmentation, ChipDataset, Pixels, resize
from geotranslate.data.tensors import TensorSource, TensorTarget
from geotranslate.raster.reader import fill_gaps


class UnpairedDataset(ChipDataset):
    """Source chips, each with a target chip of another place, as typed tensors.

    It is as long as the larger side, and the sources begin again where they end. In training the
    target is drawn at random, in validation the targets begin again as well.

    Args:
        sources: Training or validation chips of the source.
        targets: Those of the target.
        card: Scalings, means and size.
        augmentation: What is done to training chips, which are cropped at random places; None for
            validation chips, which are whole where all have one size, else cropped in the middle.
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
        # As a list has it: a loop over the items has to end.
        index = range(len(self))[index]
        first = index % len(self.sources)
        # torch's generator is the one that seed, resume and workers set.
        drawn = index if self.augmentation is None else int(torch.randint(len(self.targets), ()))
        second = drawn % len(self.targets)
        card = self.card
        left = self._memory.read("source", first, self.sources[first])
        right = self._memory.read("target", second, self.targets[second])
        source = self._tensor(left, card.source, card.source.fill)
        target = self._tensor(right, card.target, np.nan)
        if self.augmentation is not None:
            source, target = self.augmentation(source, target, alike=False)
        return TensorSource(source), TensorTarget(target)

    def _tensor(self, pixels: Pixels, side: Side, gap: float | tuple[float, ...]) -> Tensor:
        """Return a chip cropped and scaled, its invalid pixels as the gap."""
        data, valid = pixels
        resize_to, size = self.card.resize_to, self.card.chip_size
        height, width = valid.shape if resize_to is None else (resize_to, resize_to)
        at: Any = np.s_[..., :, :]
        if not self._whole:
            row, col = self._place(height, width)
            at = np.s_[..., row : row + size, col : col + size]
        if resize_to is None:
            data, valid = data[at], valid[at]
        scaled = torch.from_numpy(side.scaling.scale(fill_gaps(data, valid, gap)))
        if resize_to is None:
            return scaled
        return resize(scaled, resize_to, classes=side.classes is not None)[at].contiguous()
