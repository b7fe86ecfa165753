"""Options of `predict_raster` and the automatic tile size."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isqrt
from typing import Any, Literal, TypeAlias, get_args

from geotranslate.checks import choice, flag, shown, whole_number
from geotranslate.chips.vectors import AreaLike
from geotranslate.errors import InvalidInputError
from geotranslate.prediction.resampling import Resolution, checked_resolution
from geotranslate.raster.pipeline import check_executor
from geotranslate.raster.reader import band_choice
from geotranslate.raster.tiling import Blend, corners
from geotranslate.raster.writing import Driver, driver_named

TileSize: TypeAlias = "int | Literal['auto', 'chip']"
Match = Literal["training"]
"""Data whose quantiles a scene gets before it is translated."""

LARGEST_BATCH = 65_536
"""Most tiles at once."""

HALOS = (8, 6, 5)
"""Candidate tile sizes, in halos. With 8, about 1.8 times as many pixels are computed as are kept;
with 5, the least for which "auto" crops, 2.8 times."""

CHIPS = (4, 2, 1)
"""Candidate tile sizes, in chips, if no cropped tile fits in memory; larger tiles are better."""

COPIES = 4
"""Peak memory of a network, in outputs of its largest layer (measured: 2.5 to 4.3 for U-Nets and
ResNets)."""


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """Checked arguments of `predict_raster` that are the same for every scene.

    A tile size of "auto" or "chip" and a batch size of None are resolved for each scene.

    Raises:
        InvalidInputError: An argument is invalid; the sentence names it.
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
    resolution: Resolution = "auto"
    match: Match | None = None
    bands: Sequence[int | str] | None = None
    stac: bool = False

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
        for name in ("overwrite", "resume", "progress", "stac"):
            self._set(name, flag(name, getattr(self, name)))
        if self.bands is not None:
            self._set("bands", band_choice(self.bands))
        self._set("driver", driver_named(self.driver))
        self._set("resolution", checked_resolution(self.resolution))
        if self.stac and self.part is not None:
            raise InvalidInputError(
                f"stac is true, but part is {shown(self.part)}, and a part of an output has no "
                "STAC Item; leave stac out."
            )

    def check_stride(self, stride: int) -> None:
        """Check the tile size against the stride of a generator.

        Raises:
            InvalidInputError: The tile size is smaller than the stride or not a number.
        """
        if isinstance(self.tile_size, str) and self.tile_size in ("auto", "chip"):
            return
        side = whole_number("tile_size", self.tile_size, 0)
        self._set("tile_size", side)
        if side < stride:
            raise InvalidInputError(
                f"tile_size is {self.tile_size} but the generator shrinks tiles by {stride}; give "
                f"at least {stride}, best a multiple of it."
            )

    @property
    def workers(self) -> int:
        """Number of processes or threads that share the memory."""
        return 1 if self.executor is None else os.cpu_count() or 1

    @property
    def parameters(self) -> dict[str, Any]:
        """Options that determine the pixels, as written into outputs as JSON."""
        names = ("bbox", "tile_size", "overlap", "padding", "blend", "dtype", "nodata")
        found = {name: getattr(self, name) for name in names}
        later = {"match": self.match, "bands": self.bands}
        return found | {name: value for name, value in later.items() if value is not None}

    def _whole(self, name: str, least: int, most: int | None = None) -> None:
        if (value := getattr(self, name)) is not None:
            self._set(name, whole_number(name, value, least, most))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


def fitting_tile(
    size: tuple[int, int], stride: int, radius: int | None, chip_size: int, most: int, *, crop: bool
) -> int:
    """Return the side of the tiles for a scene.

    Tiles several halos wide can be cropped exactly; a halo is the radius rounded up to whole
    strides. Of the sizes that fit in memory, the one that computes the fewest pixels is chosen. If
    none fits, tiles of four chips, or of fewer if memory requires it, are blended. If the receptive
    field is the whole tile, tiles have the size of a chip, as in training.

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
    # The rest of a tile larger than the scene would be discarded.
    scene = _whole(max(size), stride)
    halo = _whole(radius, stride)

    exact = {min(times * halo, scene) for times in HALOS} if crop and halo else set()
    sides = [side for side in exact if side <= most]
    if sides:
        return min(sides, key=lambda side: (_computed(size, side, 2 * halo), -side))
    blended = [min(_whole(times * chip_size, stride), scene) for times in CHIPS]
    return next((side for side in blended if side <= most), blended[-1])


def side_in_memory(memory: int, workers: int, chip_size: int, largest: int) -> int:
    """Return the side of the largest tile that fits in a quarter of a memory, px.

    Args:
        memory: The memory, bytes. It is the total one, not the free one, so that a resumed run has
            the same tiles.
        workers: Number of processes or threads that share the memory.
        chip_size: Side of the training chips, px.
        largest: Largest output of a layer for a chip, bytes.
    """
    return isqrt(memory // (4 * workers) * chip_size**2 // (COPIES * largest))


def _whole(length: int, stride: int) -> int:
    return ceil(length / stride) * stride


def _computed(size: tuple[int, int], side: int, overlap: int) -> int:
    """Return the number of pixels of all tiles, whose sides are at most the scene's."""
    rows, cols = (
        length if length <= side else ceil((length - overlap) / (side - overlap)) * side
        for length in size
    )
    return rows * cols
