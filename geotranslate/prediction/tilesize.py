"""Options of a prediction and the size of its tiles."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isqrt
from typing import Any, Literal, TypeAlias, get_args

import psutil
import torch
from torch import nn

from geotranslate.checks import choice, flag, whole_number
from geotranslate.chips.bands import DataCard
from geotranslate.chips.vectors import AreaLike
from geotranslate.errors import InvalidInputError
from geotranslate.raster.pipeline import check_executor
from geotranslate.raster.tiling import Blend, corners
from geotranslate.raster.writing import Driver, driver_named

TileSize: TypeAlias = "int | Literal['auto']"

LARGEST_BATCH = 65_536
"""Most tiles at once."""


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """Arguments of `predict_raster` that hold for every scene, checked.

    Where the tile size is "auto", and the batch size None, each scene decides.

    Raises:
        InvalidInputError: An argument is impossible; the sentence names it.
    """

    aoi: AreaLike | None
    bbox: Sequence[float] | None
    tile_size: TileSize
    overlap: int | None
    padding: int | None
    blend: Blend
    dtype: str
    nodata: float | None
    driver: Driver
    batch_size: int | None
    overwrite: bool
    resume: bool
    executor: Any
    part: str | tuple[int, int] | None
    max_memory: int | None
    progress: bool

    def __post_init__(self) -> None:
        choice("blend", self.blend, get_args(Blend))
        if self.bbox is not None:
            corners(self.bbox)
        if self.executor is not None:
            check_executor(self.executor)
        for name in ("overlap", "padding"):
            self._whole(name, 0)
        self._whole("batch_size", 1, LARGEST_BATCH)
        self._whole("max_memory", 1)
        for name in ("overwrite", "resume", "progress"):
            self._set(name, flag(name, getattr(self, name)))
        self._set("driver", driver_named(self.driver))

    def check_stride(self, stride: int) -> None:
        """Check the tile size against the stride of a generator.

        Raises:
            InvalidInputError: Tiles are smaller than the stride, or no number.
        """
        if isinstance(self.tile_size, str) and self.tile_size == "auto":
            return
        self._set("tile_size", whole_number("tile_size", self.tile_size, 0))
        if self.tile_size < stride:
            raise InvalidInputError(
                f"tile_size is {self.tile_size} but the generator shrinks tiles by {stride}; give "
                f"at least {stride}, best a multiple of it."
            )

    @property
    def workers(self) -> int:
        """How many processes or threads share the memory."""
        return 1 if self.executor is None else os.cpu_count() or 1

    @property
    def parameters(self) -> dict[str, Any]:
        """What the pixels depend on, as it is written into outputs as JSON."""
        names = ("bbox", "tile_size", "overlap", "padding", "blend", "dtype", "nodata")
        return {name: getattr(self, name) for name in names}

    def _whole(self, name: str, least: int, most: int | None = None) -> None:
        if (value := getattr(self, name)) is not None:
            self._set(name, whole_number(name, value, least, most))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


HALOS = (8, 6, 5)
"""Sides of tiles in halos that are tried: of 8 all but 1.8 times as much is computed as is kept,
of 5, which is the least that is cropped by itself, 2.8 times."""

CHIPS = (4, 2, 1)
"""Sides of tiles in chips, where no tile that can be cropped fits: larger ones translate better."""

COPIES = 4
"""What a network holds at its widest place, in outputs of the largest layer (measured: 2.5 to 4.3
of U-Nets and ResNets)."""


def fitting_tile(
    size: tuple[int, int], stride: int, radius: int | None, chip_size: int, most: int, *, crop: bool
) -> int:
    """Return the side of the tiles for a scene.

    Cropped tiles are exact where they are some halos wide, the halo being the radius in whole
    strides. Of those that memory allows, the one that computes the fewest pixels is taken. Where
    none fits, tiles of four chips are blended, or of as many as memory allows. A network whose
    receptive field is the whole tile gets tiles of a chip, as in training.

    Args:
        size: Rows and columns of the scene.
        stride: Factor by which the generator shrinks tiles.
        radius: Radius of its receptive field; None for the whole tile.
        chip_size: Side of the training chips.
        most: Largest side that memory allows.
        crop: Whether tiles may be cropped.
    """
    if radius is None:
        return _whole(chip_size, stride)
    # Larger tiles than the scene would be extended to be thrown away.
    scene = _whole(max(size), stride)
    halo = _whole(radius, stride)

    exact = {min(times * halo, scene) for times in HALOS} if crop and halo else set()
    sides = [side for side in exact if side <= most]
    if sides:
        return min(sides, key=lambda side: (_computed(size, side, 2 * halo), -side))
    blended = [min(_whole(times * chip_size, stride), scene) for times in CHIPS]
    return next((side for side in blended if side <= most), blended[-1])


def largest_tile(network: nn.Module, card: DataCard, workers: int) -> int:
    """Return the side of the largest tile for a quarter of the machine's memory, px.

    It is not that of the free memory, so that a run that goes on has the same tiles.

    Args:
        network: A generator in eval mode, of which the largest layer is looked at with a chip.
        card: What it was trained on.
        workers: How many share the memory.
    """
    first = next(network.parameters())
    largest = 0

    def look(module: nn.Module, given: object, found: object) -> None:
        nonlocal largest
        if isinstance(found, torch.Tensor):
            largest = max(largest, found.numel() * found.element_size())

    hooks = [m.register_forward_hook(look) for m in network.modules() if not list(m.children())]
    chip = torch.zeros(1, card.source.bands, card.chip_size, card.chip_size)
    try:
        with torch.inference_mode():
            network(chip.to(first.device, first.dtype))
    finally:
        for hook in hooks:
            hook.remove()
    if first.device.type == "cuda":
        memory = torch.cuda.get_device_properties(first.device).total_memory
    else:
        memory = psutil.virtual_memory().total
    return isqrt(memory // (4 * workers) * card.chip_size**2 // (COPIES * largest))


def _whole(length: int, stride: int) -> int:
    return ceil(length / stride) * stride


def _computed(size: tuple[int, int], side: int, overlap: int) -> int:
    """Return how many pixels tiles have together; they are no longer than the scene."""
    rows, cols = (
        length if length <= side else ceil((length - overlap) / (side - overlap)) * side
        for length in size
    )
    return rows * cols
