"""What a user means by paths: pairs or two sides, chips or windows of rasters."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from geotranslate.checks import choice, folder_path, shown, whole_number
from geotranslate.chips.chip import Bands
from geotranslate.chips.folder import ChipFolder
from geotranslate.chips.layouts import list_chips
from geotranslate.chips.unpaired import ChipSides, FoundChips
from geotranslate.errors import InvalidInputError

PathLike = str | os.PathLike[str]
WINDOW = 256
"""Side of the windows of two rasters where none is given, px."""
MOST_PIXELS = 2**31 - 1
"""On a side of the largest raster that GDAL knows."""


def find_chips(
    path: PathLike | Sequence[PathLike],
    target: PathLike | None,
    *,
    paired: bool | None,
    chip_size: int | None,
    stride: int | None,
    source_bands: Bands | None,
    target_bands: Bands | None,
    target_classes: bool | None,
    direction: str,
) -> FoundChips:
    """Return the chips that the arguments of `prepare_data` mean.

    These are two sides where the layout is an unpaired one, or where two rasters are not paired.

    Raises:
        RasterFileError: A folder or raster is missing or cannot be read.
        InvalidInputError: There are no chips, they do not fit each other, or an argument is
            impossible.
        GridMismatchError: The two sides of pairs lie on different ground.
    """
    choice("direction", direction, ("AtoB", "BtoA"))
    if not (paired is None or isinstance(paired, bool)):
        raise InvalidInputError(
            f"paired is {shown(paired)}; give True for pairs, False for chips that are no pairs, "
            "or None to go by the layout of the folder."
        )
    if chip_size is not None:
        whole_number("chip_size", chip_size, 1, MOST_PIXELS)
    if stride is not None:
        whole_number("stride", stride, 1, MOST_PIXELS)
    if not isinstance(path, str | os.PathLike | list | tuple):
        raise InvalidInputError(
            f"path is {type(path).__name__}; give a folder of pairs, a list of folders, or the "
            "path of a raster with target."
        )
    swap = direction == "BtoA"
    bands: dict[str, Any] = {"source_bands": source_bands, "target_bands": target_bands}
    if target is None:
        if stride is not None:
            raise InvalidInputError(
                f"stride is {stride}, but a chip folder's chips are cut already; leave it out, or "
                "give two rasters."
            )
        return _of_folder(path, paired, swap=swap, **bands)
    left, right = _rasters(path, target)
    side = WINDOW if chip_size is None else chip_size
    cut: dict[str, Any] = {"tile_size": side, "stride": side if stride is None else stride}
    rasters = (right, left) if swap else (left, right)
    if paired is False:
        return ChipSides.of_rasters(rasters[0], rasters[1], **cut, **bands)
    return ChipFolder.of_rasters(
        rasters[0], rasters[1], **cut, **bands, target_classes=target_classes
    )


def _of_folder(
    path: PathLike | Sequence[PathLike], paired: bool | None, **options: Any
) -> FoundChips:
    if isinstance(path, str | os.PathLike):
        listing = list_chips(folder_path("path", path))
    else:
        listing = list_chips([folder_path("path", item) for item in path])
    if listing.unpaired is None:
        return ChipFolder.of(listing, **options)
    if paired:
        raise InvalidInputError(
            f"paired is True, but {listing.path} holds two sets of chips that are not paired "
            f"({listing.layout}). Give a folder of pairs, in which a source chip and its target "
            "chip share a name, or leave paired out."
        )
    return ChipSides.of(listing, **options)


def _rasters(path: object, target: object) -> tuple[PathLike, PathLike]:
    if not isinstance(path, str | os.PathLike):
        raise InvalidInputError("With target, path has to be one raster; give two rasters.")
    if not isinstance(target, str | os.PathLike):
        raise InvalidInputError(
            f"target is {type(target).__name__}; give the path of a raster, which is opened when "
            "its pixels are needed."
        )
    return path, target


def side_of_tensors(folder: FoundChips, wanted: int | None, resize_to: int | None) -> int:
    """Return the side of the tensors of chips, px.

    Args:
        folder: The chips.
        wanted: What the user wants; None for that of the chips, the smaller one where the squares
            of one side are smaller than those of the other.
        resize_to: Side that chips are resampled to first, px.

    Raises:
        InvalidInputError: The chips are smaller, or they differ in size.
    """
    sides = [
        {(chip.grid.height, chip.grid.width) for chip in chips}
        for chips in (folder.sources, folder.targets)
    ]
    sizes = sorted(sides[0] | sides[1])
    smallest = min(min(size) for size in sizes) if resize_to is None else resize_to
    if wanted is None:
        alike = all(len(side) == 1 for side in sides) and all(h == w for h, w in sizes)
        if resize_to is None and not alike:
            shown = ", ".join(f"{width} x {height}" for height, width in sizes[:3])
            raise InvalidInputError(
                f"The chips of {folder.path} are not squares of one size ({shown} px); pass "
                f"chip_size, at most {smallest}, to crop them, or resize_to."
            )
        return smallest
    if wanted > smallest:
        raise InvalidInputError(
            f"chip_size is {wanted} but the smallest chip of {folder.path} has a side of "
            f"{smallest} px; give at most that, or export larger chips."
        )
    return wanted
