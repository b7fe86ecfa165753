"""Options of `prepare_data`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

import geopandas as gpd

from geotranslate.checks import shown
from geotranslate.chips.bands import ScalingKind
from geotranslate.chips.chip import Bands
from geotranslate.chips.split import SplitMethod
from geotranslate.data.augmentation import Augmentation, PairTransform
from geotranslate.errors import InvalidInputError
from geotranslate.schema import Fields, one_of, optional, real, whole

MOST_SIDE = 2**14
"""Side of resampled chips, px: one band of a chip is then 1 GiB."""
MOST_ITEMS, MOST_WORKERS = 2**20, 2**10
"""Pairs of a batch, and processes that read chips."""
MOST_SEED = 2**63 - 1
"""Largest seed that torch takes."""


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Keywords of `prepare_data`, which documents them.

    Options that depend on the chips are checked with the chips.

    Raises:
        InvalidInputError: An option is impossible; the sentence names it.
    """

    paired: bool | None
    chip_size: int | None
    stride: int | None
    batch_size: int
    val_split_pct: float
    seed: int
    split: SplitMethod | str | os.PathLike[str] | gpd.GeoDataFrame
    split_column: str
    buffer: float
    source_scaling: ScalingKind
    target_scaling: ScalingKind
    source_bands: Bands | None
    target_bands: Bands | None
    source_classes: bool | None
    target_classes: bool | None
    direction: Literal["AtoB", "BtoA"]
    resize_to: int | None
    transforms: PairTransform | Literal[False] | None
    jitter: float
    memory_mb: float
    num_workers: int | None

    def __post_init__(self) -> None:
        for name, check in CHECKS.items():
            object.__setattr__(self, name, check(name, getattr(self, name)))

    @property
    def augmentation(self) -> Augmentation:
        """Augmentation of training pairs."""
        turns, transform = self.transforms is not False, self.transforms or None
        return Augmentation(turns=turns, jitter=self.jitter, transform=transform)


def _split_column(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidInputError(
            f"{name} is {shown(value)}; give the name of a column of the polygons."
        )
    return value


def _transforms(name: str, value: Any) -> Any:
    if not (value is None or value is False or callable(value)):
        raise InvalidInputError(
            f"{name} is {shown(value)}; give None for flips and turns, False for none, or a "
            "function of two tensors."
        )
    return value


CHECKS: Fields = {
    "batch_size": whole(1, MOST_ITEMS),
    "seed": whole(0, MOST_SEED),
    "val_split_pct": real(above=0, below=1),
    "buffer": real(least=0),
    "jitter": real(least=0, most=1),
    "memory_mb": real(least=0),
    "num_workers": optional(whole(0, MOST_WORKERS)),
    "source_scaling": one_of(ScalingKind),
    "target_scaling": one_of(ScalingKind),
    "split_column": _split_column,
    "resize_to": optional(whole(1, MOST_SIDE)),
    "transforms": _transforms,
}
"""Check of each option that does not depend on the chips."""
