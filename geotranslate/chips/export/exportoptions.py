"""Options of `export_chips`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rasterio.enums import Resampling
from rasterio.warp import SUPPORTED_RESAMPLING

from geotranslate.checks import choice, flag, number, whole_number
from geotranslate.chips.vectors import AreaLike
from geotranslate.errors import InvalidInputError


@dataclass(frozen=True, eq=False)
class ExportOptions:
    """Options of `export_chips`, which documents them.

    Raises:
        InvalidInputError: An option is invalid.
    """

    tile_size: int = 256
    stride: int | None = None
    aoi: AreaLike | None = None
    min_cover: float = 1.0
    min_valid: float = 0.5
    rotation_angle: float = 0.0
    burn: str | None = None
    resampling: str | Resampling | None = None
    resolution: float | None = None
    source_classes: bool | None = None
    target_classes: bool | None = None
    overwrite: bool = False
    append: bool = False
    progress: bool = True

    def __post_init__(self) -> None:
        for name in ("overwrite", "append", "progress"):
            flag(name, getattr(self, name))
        if self.overwrite and self.append:
            raise InvalidInputError("overwrite and append exclude each other; choose one.")
        if number("rotation_angle", self.rotation_angle, least=0, below=360) and (
            self.rotation_angle < 1
        ):
            raise InvalidInputError(
                f"rotation_angle is {self.rotation_angle}, by which every tile would be written "
                f"{360 / self.rotation_angle:.3g} times; give 1 degree or more, or 0 for none."
            )
        # NumPy integers become Python's, which JSON metadata can hold.
        object.__setattr__(self, "tile_size", whole_number("tile_size", self.tile_size, 1))
        if self.stride is not None:
            whole_number("stride", self.stride, 1)
        number("min_valid", self.min_valid, least=0, most=1)
        number("min_cover", self.min_cover, least=0, most=1)
        if self.resolution is not None:
            object.__setattr__(self, "resolution", number("resolution", self.resolution, above=0))
        if not (self.resampling is None or isinstance(self.resampling, Resampling)):
            choice("resampling", self.resampling, [one.name for one in SUPPORTED_RESAMPLING])

    @property
    def step(self) -> int:
        """Step from chip to chip, px."""
        return self.tile_size if self.stride is None else int(self.stride)

    @property
    def angles(self) -> list[float]:
        """Rotations in which every tile is written, degrees."""
        if not self.rotation_angle:
            return [0.0]
        return np.arange(0, 360, self.rotation_angle).tolist()

    @property
    def method(self) -> Resampling | None:
        """Resampling method of both sides; None to choose by their values."""
        return Resampling[self.resampling] if isinstance(self.resampling, str) else self.resampling

    @property
    def adds_or_replaces(self) -> bool:
        """Whether the folder may already hold chips."""
        return self.overwrite or self.append
