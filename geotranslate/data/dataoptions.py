"""Options of `prepare_data`, and the augmentation of training pairs."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from geotranslate.checks import file_path, number, shown
from geotranslate.chips.bands import ClassesLike, ScalingLike, check_scaling
from geotranslate.chips.finding import ChipOptions
from geotranslate.chips.split import SplitOptions
from geotranslate.chips.stacking import as_raster
from geotranslate.data.radiometry import Augment, Exchange, Radiometry
from geotranslate.data.sourcelayers import SourceLayers
from geotranslate.errors import InvalidInputError
from geotranslate.raster.composite import Composite
from geotranslate.schema import Fields, one_of, optional, real, whole

PairTransform = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
Turns = Literal["dihedral", "mirror"]
"""Flips and quarter turns of chips, or left and right exchanged."""

MOST_SIDE = 2**14
"""Largest side of resampled chips, px; one band of such a chip has 1 GiB."""
MOST_ITEMS, MOST_WORKERS = 2**20, 2**10
"""Largest batch, and most processes that read chips."""
PLAIN_BATCH = 4
"""Pairs per batch by default, and for "auto" on a CPU."""
MOST_SEED = 2**63 - 1
"""Largest seed that torch takes."""


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training pairs.

    Args:
        turns: Whether chips are flipped and rotated by multiples of 90 degrees; "mirror" to only
            exchange left and right.
        jitter: Largest change of the source's brightness and contrast, as a share of its range;
            the target is never changed.
        transform: User's function of scaled source and target `(bands, rows, cols)`.
        radiometry: Random gamma, gain and offset of the source.
        exchange: Random change of the source towards the histograms of other scenes.
        layers: Layers of the source, of which some are hidden at random.
    """

    turns: bool | Literal["mirror"] = True
    jitter: float = 0.0
    transform: PairTransform | None = None
    radiometry: Radiometry | None = None
    exchange: Exchange | None = None
    layers: SourceLayers | None = None

    def __call__(
        self, source: Tensor, target: Tensor, *, alike: bool = True, item: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Augment a source and a target.

        Args:
            source: `(bands, rows, cols)` in -1..1.
            target: The same, of the target.
            alike: Whether both are flipped and rotated the same way.
            item: Position of the source among the training sources.
        """
        if self.turns:
            symmetry = self._symmetry()
            source = turn(source, symmetry)
            target = turn(target, symmetry if alike else self._symmetry())
        source = self.recolored(source, item)
        return (source, target) if self.transform is None else self._transformed(source, target)

    def _symmetry(self) -> int:
        """Draw one of the orientations of `turn`."""
        if self.turns == "mirror":
            return 4 * int(torch.randint(2, ()))
        return int(torch.randint(8, ()))

    @property
    def recolors(self) -> bool:
        """Whether `recolored` changes sources."""
        hides = self.layers is not None and bool(self.layers.dropout)
        changes = (self.radiometry, self.exchange)
        return bool(self.jitter) or hides or any(each is not None for each in changes)

    def recolored(self, source: Tensor, item: int) -> Tensor:
        """Change the values of a source, not its geometry.

        Args:
            source: `(bands, rows, cols)` in -1..1.
            item: Its position among the training sources.
        """
        given = source
        if self.exchange is not None:
            source = self.exchange(source, item)
        if self.radiometry is not None:
            source = self.radiometry(source)
        if self.jitter:
            contrast, brightness = (torch.rand(2) * 2 - 1) * self.jitter
            source = source * (1 + contrast) + brightness
        if self.layers is not None:
            source = self.layers.thinned(self.layers.restored(source, given))
        return source

    def _transformed(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Apply the user's function to a pair.

        Raises:
            InvalidInputError: The function does not return two float tensors of the same shapes.
        """
        assert self.transform is not None
        given, found = (source, target), self.transform(source, target)
        fits = isinstance(found, tuple | list) and len(found) == 2
        if not fits or not all(
            isinstance(new, Tensor) and new.shape == old.shape and new.is_floating_point()
            for new, old in zip(found, given, strict=True)
        ):
            raise InvalidInputError(
                f"The function transforms returned {_shown(found)}; it has to return a source and "
                f"a target of the shapes that it was given, {_shown(given)}."
            )
        return found[0].to(source.dtype), found[1].to(target.dtype)


def _shown(value: object) -> str:
    """Return a value's type, or the dtypes and shapes of tensors, for an error message."""
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    if isinstance(value, tuple | list) and 0 < len(value) <= 4:
        return " and ".join(map(_shown, value))
    return type(value).__name__


def turn(image: Tensor, symmetry: int) -> Tensor:
    """Return `(..., rows, cols)` in one of its eight orientations; 0 is the identity."""
    # In numpy, because for so little work torch's threads mostly wait for each other.
    turned = np.rot90(image.numpy(), symmetry % 4, (-2, -1))
    flipped = turned[..., ::-1] if symmetry >= 4 else turned
    return torch.from_numpy(np.ascontiguousarray(flipped))


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Checked keywords of `prepare_data`, which documents them.

    Options that depend on the chips are checked when the chips are opened.

    Raises:
        InvalidInputError: An option is invalid; the sentence names it.
    """

    chips: ChipOptions
    split: SplitOptions
    scalings: tuple[ScalingLike, ScalingLike]
    """Kinds of scaling of source and target."""
    classes: tuple[ClassesLike, bool | None]
    """Whether the values of source and target are classes, or the class numbers of layers."""
    resize_to: int | None
    transforms: Turns | PairTransform | Literal[False] | None
    jitter: float
    augment: Augment
    look_like: tuple[str | Composite, ...]
    """Rasters, or "training"."""
    layer_dropout: float
    batch_size: int | Literal["auto"]
    memory_mb: float
    num_workers: int | None
    device: Any = None
    """Device of torch, checked when the loaders are made."""

    def __post_init__(self) -> None:
        for name, check in CHECKS.items():
            object.__setattr__(self, name, check(name, getattr(self, name)))
        split = self.split
        whole(0, MOST_SEED)("seed", split.seed)
        number("val_split_pct", split.share, least=0, most=1)
        number("buffer", split.buffer, least=0)
        if self.chips.valid_path is not None and split.split not in ("auto", "folder"):
            raise InvalidInputError(
                f"valid_path names the pairs for validation, but split is {shown(split.split)}; "
                "leave one of the two out."
            )
        if not isinstance(split.column, str):
            raise InvalidInputError(
                f"split_column is {shown(split.column)}; give the name of a column of the polygons."
            )
        for name, kind in zip(("source_scaling", "target_scaling"), self.scalings, strict=True):
            check_scaling(name, kind)

    @property
    def pairs_per_batch(self) -> int:
        """Pairs per batch; the plain number where "auto" has not chosen one."""
        return PLAIN_BATCH if self.batch_size == "auto" else self.batch_size

    @property
    def augmentation(self) -> Augmentation:
        """Augmentation of training pairs, without the changes that depend on the chips."""
        turns: bool | Literal["mirror"] = self.transforms is not False
        if isinstance(self.transforms, str):
            turns = "mirror" if self.transforms == "mirror" else True
        transform = self.transforms if callable(self.transforms) else None
        return Augmentation(turns=turns, jitter=self.jitter, transform=transform)


def _transforms(name: str, value: Any) -> Any:
    known = value is None or value is False or (isinstance(value, str) and value in get_args(Turns))
    if not (known or callable(value)):
        raise InvalidInputError(
            f"{name} is {shown(value)}; give 'dihedral' (or None) for flips and turns, 'mirror' to "
            "only exchange left and right, False for neither, or a function of two tensors."
        )
    return value


def _batch_size(name: str, value: Any) -> int | Literal["auto"]:
    if isinstance(value, str) and value == "auto":
        return "auto"
    if isinstance(value, str):
        raise InvalidInputError(
            f"{name} is {shown(value)}; give a number of pairs, or 'auto' for as many as fit in "
            "the memory of a GPU."
        )
    return whole(1, MOST_ITEMS)(name, value)


def _looks(name: str, value: Any) -> tuple[str | Composite, ...]:
    """Return the rasters of `look_like` as texts or stacks; a single one may stand alone."""
    if value is None:
        return ()
    given = [value] if isinstance(value, str | os.PathLike) else value
    if not isinstance(given, list | tuple):
        raise InvalidInputError(
            f"{name} is {shown(value)}; give rasters to look like, or 'training' for the scenes of "
            "the training chips."
        )
    found = (as_raster(one) for one in given)
    return tuple(
        dict.fromkeys(
            one if isinstance(one, Composite) else os.fspath(file_path(name, one)) for one in found
        )
    )


CHECKS: Fields = {
    "resize_to": optional(whole(1, MOST_SIDE)),
    "transforms": _transforms,
    "jitter": real(least=0, most=1),
    "augment": one_of(Augment),
    "look_like": _looks,
    "layer_dropout": real(least=0, below=1),
    "batch_size": _batch_size,
    "memory_mb": real(least=0),
    "num_workers": optional(whole(0, MOST_WORKERS)),
}
"""Check of each option that belongs neither to the chips nor to the split."""
