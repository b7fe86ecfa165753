"""Options of `predict_raster`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from geotranslate.checks import choice, flag, whole_number
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
