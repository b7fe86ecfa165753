"""Options of `prepare_data`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from geotranslate.checks import choice, number, shown
from geotranslate.chips.bands import ScalingKind
from geotranslate.chips.finding import ChipOptions
from geotranslate.chips.split import SplitOptions
from geotranslate.data.augmentation import Augmentation, PairTransform
from geotranslate.errors import InvalidInputError
from geotranslate.schema import Fields, optional, real, whole

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

    chips: ChipOptions
    split: SplitOptions
    scalings: tuple[ScalingKind, ScalingKind]
    """Kinds of scaling of source and target."""
    classes: tuple[bool | None, bool | None]
    """Whether the values of source and target are classes."""
    resize_to: int | None
    transforms: PairTransform | Literal[False] | None
    jitter: float
    batch_size: int
    memory_mb: float
    num_workers: int | None

    def __post_init__(self) -> None:
        for name, check in CHECKS.items():
            object.__setattr__(self, name, check(name, getattr(self, name)))
        split = self.split
        whole(0, MOST_SEED)("seed", split.seed)
        number("val_split_pct", split.share, above=0, below=1)
        number("buffer", split.buffer, least=0)
        if not isinstance(split.column, str):
            raise InvalidInputError(
                f"split_column is {shown(split.column)}; give the name of a column of the polygons."
            )
        for name, kind in zip(("source_scaling", "target_scaling"), self.scalings, strict=True):
            choice(name, kind, get_args(ScalingKind))

    @property
    def augmentation(self) -> Augmentation:
        """Augmentation of training pairs."""
        turns, transform = self.transforms is not False, self.transforms or None
        return Augmentation(turns=turns, jitter=self.jitter, transform=transform)


def _transforms(name: str, value: Any) -> Any:
    if not (value is None or value is False or callable(value)):
        raise InvalidInputError(
            f"{name} is {shown(value)}; give None for flips and turns, False for none, or a "
            "function of two tensors."
        )
    return value


CHECKS: Fields = {
    "resize_to": optional(whole(1, MOST_SIDE)),
    "transforms": _transforms,
    "jitter": real(least=0, most=1),
    "batch_size": whole(1, MOST_ITEMS),
    "memory_mb": real(least=0),
    "num_workers": optional(whole(0, MOST_WORKERS)),
}
"""Check of each option that depends neither on the chips nor on the split."""
