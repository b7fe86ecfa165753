"""Options of `export_chips`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from rasterio.enums import Resampling
from rasterio.warp import SUPPORTED_RESAMPLING

from geotranslate.checks import choice, flag, number, shown, whole_number
from geotranslate.chips.layouts import SOURCE_FOLDER, TARGET_FOLDER, UNPAIRED_FOLDERS
from geotranslate.chips.registration import checked_shift
from geotranslate.chips.vectors import AreaLike
from geotranslate.errors import InvalidInputError
from geotranslate.raster.factor import TargetResolution, checked_target_resolution

FORMATS = ("tiff", "png", "jpeg")
LAYOUTS = {"pairs": (SOURCE_FOLDER, TARGET_FOLDER), "cyclegan": UNPAIRED_FOLDERS}
"""Folders of source chips and target chips by the value of `layout`."""


@dataclass(frozen=True, eq=False)
class ExportOptions:
    """Options of `export_chips`, which documents them.

    Raises:
        InvalidInputError: An option is invalid.
    """

    tile_size: int | Sequence[int] = 256
    stride: int | Sequence[int] | None = None
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
    shift: Literal["auto"] | tuple[float, float] = (0.0, 0.0)
    format: Literal["tiff", "png", "jpeg"] = "tiff"
    layout: Literal["pairs", "cyclegan"] = "pairs"
    blacken: bool = False
    target_resolution: TargetResolution = "source"

    def __post_init__(self) -> None:
        object.__setattr__(self, "shift", checked_shift(self.shift))
        for name in ("overwrite", "append", "progress", "blacken"):
            flag(name, getattr(self, name))
        object.__setattr__(self, "format", _word("format", self.format, FORMATS))
        object.__setattr__(self, "layout", _word("layout", self.layout, list(LAYOUTS)))
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
        object.__setattr__(self, "tile_size", _rows_and_cols("tile_size", self.tile_size))
        if self.stride is not None:
            object.__setattr__(self, "stride", _rows_and_cols("stride", self.stride))
        number("min_valid", self.min_valid, least=0, most=1)
        number("min_cover", self.min_cover, least=0, most=1)
        if self.resolution is not None:
            object.__setattr__(self, "resolution", number("resolution", self.resolution, above=0))
        pixels = checked_target_resolution(self.target_resolution)
        object.__setattr__(self, "target_resolution", pixels)
        if not (self.resampling is None or isinstance(self.resampling, Resampling)):
            choice("resampling", self.resampling, [one.name for one in SUPPORTED_RESAMPLING])

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of a chip."""
        return _pair(self.tile_size)

    @property
    def steps(self) -> tuple[int, int]:
        """Steps from chip to chip, down and across, px."""
        return _pair(self.tile_size if self.stride is None else self.stride)

    @property
    def angles(self) -> list[float]:
        """Rotations in which every tile is written, degrees."""
        if not self.rotation_angle:
            return [0.0]
        return np.arange(0, 360, self.rotation_angle).tolist()

    @property
    def folders(self) -> tuple[str, str]:
        """Folders of source chips and target chips."""
        return LAYOUTS[self.layout]

    @property
    def method(self) -> Resampling | None:
        """Resampling method of both sides; None to choose by their values."""
        return Resampling[self.resampling] if isinstance(self.resampling, str) else self.resampling

    @property
    def adds_or_replaces(self) -> bool:
        """Whether the folder may already hold chips."""
        return self.overwrite or self.append


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _rows_and_cols(name: str, value: object) -> int | tuple[int, int]:
    """Return a whole number of at least 1, or two of them for rows and columns.

    Raises:
        InvalidInputError: It is something else.
    """
    if not isinstance(value, list | tuple):
        return whole_number(name, value, 1)
    if len(value) != 2:
        raise InvalidInputError(
            f"{name} is {shown(value)}; give one whole number, or two: (rows, columns)."
        )
    rows, cols = (whole_number(f"{name}[{i}]", value[i], 1) for i in (0, 1))
    return rows, cols


def _word(name: str, value: object, choices: Sequence[str]) -> str:
    """Return one of some words, which may be given in capitals as in ArcGIS.

    Raises:
        InvalidInputError: It is something else.
    """
    found: str = choice(name, value.lower() if isinstance(value, str) else value, choices)
    return found
