"""Discovery of the chips that the arguments of `prepare_data` describe."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import geopandas as gpd

from geotranslate.checks import choice, folder_path, shown, whole_number
from geotranslate.chips.bands import resampling_for
from geotranslate.chips.chip import Bands
from geotranslate.chips.layouts import (
    TEST,
    VALIDATION,
    Folder,
    Listing,
    TwoRasters,
    in_pairs,
    known_label,
    list_chips,
    list_layers,
    list_on_raster,
    list_two_folders,
    with_parts,
)
from geotranslate.chips.pair_set import FoundChips, PairSet, UnpairedSets
from geotranslate.chips.stacking import as_raster, layer_names, stack
from geotranslate.chips.vectors import BurnedLayer, is_layer, layer_name
from geotranslate.errors import InvalidInputError, RasterFileError
from geotranslate.memory import collector_paused
from geotranslate.raster.factor import TargetResolution, checked_target_resolution
from geotranslate.raster.opening import open_raster
from geotranslate.raster.reader import RasterReader, band_choice

PathLike = str | os.PathLike[str]
PartLike: TypeAlias = "PathLike | Sequence[PathLike] | tuple[Mapping[str, PathLike], PathLike]"
WINDOW = 256
"""Default side of the windows of two rasters, px."""
MOST_PIXELS = 2**31 - 1
"""Largest width or height of a raster in GDAL."""


@dataclass(frozen=True)
class ChipOptions:
    """Options of `prepare_data` that choose the chips.

    Args:
        paired: Whether chips are pairs; None to follow the layout.
        chip_size: Side of the tensors, px, and of the windows of two rasters; None for the chips'
            own, or 256 for rasters.
        stride: Step from window to window of two rasters, px; `chip_size` by default.
        source_bands: Bands of the source, by number from 1 or by name; None for all.
        target_bands: Bands of the target.
        target_classes: Whether the target is resampled as classes; None to find out.
        direction: "AtoB", or "BtoA" to translate from target to source.
        valid_path: Chip folder for validation, or several; None for none of its own. For folders
            of layers, a folder with folders of the same names, or its layers and its target.
        test_path: The same for tests.
        burn: Column of a vector layer whose numbers are burned; None for the value 1.
        target_resolution: Pixel size of the target's windows of two rasters, see `prepare_data`.

    Raises:
        InvalidInputError: An option is invalid.
    """

    paired: bool | None = None
    chip_size: int | None = None
    stride: int | None = None
    source_bands: Bands | None = None
    target_bands: Bands | None = None
    target_classes: bool | None = None
    direction: str = "AtoB"
    valid_path: PartLike | None = None
    test_path: PartLike | None = None
    burn: str | None = None
    target_resolution: TargetResolution = "source"

    def __post_init__(self) -> None:
        pixels = checked_target_resolution(self.target_resolution)
        object.__setattr__(self, "target_resolution", pixels)
        choice("direction", self.direction, ("AtoB", "BtoA"))
        if not (self.paired is None or isinstance(self.paired, bool)):
            raise InvalidInputError(
                f"paired is {shown(self.paired)}; give True for pairs, False for chips that are no "
                "pairs, or None to go by the layout of the folder."
            )
        if self.chip_size is not None:
            whole_number("chip_size", self.chip_size, 1, MOST_PIXELS)
        if self.stride is not None:
            whole_number("stride", self.stride, 1, MOST_PIXELS)

    @property
    def parts(self) -> dict[str, tuple[str, Any]]:
        """Names and values of the arguments with chips for validation and tests, by label."""
        given = {
            VALIDATION: ("valid_path", self.valid_path),
            TEST: ("test_path", self.test_path),
        }
        return {label: part for label, part in given.items() if part[1] is not None}

    @property
    def swapped(self) -> bool:
        """Whether source and target are swapped."""
        return self.direction == "BtoA"


def find_chips(
    path: PathLike | Sequence[PathLike] | Mapping[str, PathLike] | gpd.GeoDataFrame,
    target: PathLike | gpd.GeoDataFrame | None,
    options: ChipOptions,
) -> FoundChips:
    """Return the chips of a folder, of several, of two folders for the sides, or of two rasters.

    The result is two sets for unpaired layouts and for two rasters that are not paired.

    Args:
        path: The folder, a list of folders, the raster to translate from, or folders or rasters of
            its layers by their names.
        target: The raster to translate to, or the folder of target chips. One of two rasters may be
            a vector layer.
        options: Choice of their chips.

    Raises:
        RasterFileError: A folder or raster is missing or cannot be read.
        InvalidInputError: There are no chips, they do not match each other, or an argument is
            invalid.
        GridMismatchError: The two sides of pairs lie on different ground.
    """
    if options.burn is not None and not (_is_layer(path) or _is_layer(target)):
        raise InvalidInputError(
            f"burn is {shown(options.burn)}, but no side is a vector layer; leave it out, or give "
            "a raster and a layer with that column."
        )
    if isinstance(path, Mapping):
        return _of_layers(path, target, options)
    if not isinstance(path, str | os.PathLike | list | tuple | gpd.GeoDataFrame):
        raise InvalidInputError(
            f"path is {type(path).__name__}; give a folder of pairs, a list of folders, or the "
            "path of a raster with target."
        )
    return _found(_listing(as_raster(path), as_raster(target), options), options)


def _found(listing: Listing, options: ChipOptions) -> FoundChips:
    bands = (_chosen(options.source_bands), _chosen(options.target_bands))
    return (PairSet if listing.sides is None else UnpairedSets).of(listing, bands)


def _of_layers(
    layers: Mapping[str, PathLike],
    target: PathLike | gpd.GeoDataFrame | None,
    options: ChipOptions,
) -> FoundChips:
    """Return the chips whose sources have layers, given as folders or as rasters by their names."""
    if target is None or not layers:
        raise InvalidInputError(
            f"path is {shown(layers)} and target {shown(target)}; give layers by their names, and "
            "the folder of target chips or the raster to translate to as target."
        )
    if not all(_is_folder(path) for path in layers.values()):
        return find_chips(stack(*layers.values(), names=list(layers)), target, options)
    if options.stride is not None:
        raise InvalidInputError(
            f"stride is {options.stride}, but folders of layers hold chips that are cut already; "
            "leave it out, or give rasters as layers."
        )
    _check_windows(options)
    layer_names(list(layers), [os.fspath(one) for one in layers.values()])
    folders, goal = _layers_of("path", layers), folder_path("target", target)
    paired = options.paired is not False
    listing = list_layers(folders, goal, paired=paired)
    parts = {
        label: list_layers(*_layers_of_part(name, given, folders, goal), paired=paired)
        for label, (name, given) in options.parts.items()
    }
    listing = with_parts(listing, parts) if parts else listing
    return _found(listing.swapped() if options.swapped else listing, options)


def _layers_of(name: str, layers: Mapping[str, PathLike]) -> dict[str, Path]:
    return {key: folder_path(f"{name}[{key!r}]", one) for key, one in layers.items()}


def _layers_of_part(
    name: str, given: Any, layers: Mapping[str, Path], target: Path
) -> tuple[dict[str, Path], Path]:
    """Return the folders of the layers and the target of chips for validation or tests."""
    if isinstance(given, str | os.PathLike):
        folder = folder_path(name, given)
        folders = [*layers.values(), target]
        if len({one.name for one in folders}) == len(folders):
            return {key: folder / one.name for key, one in layers.items()}, folder / target.name
    elif isinstance(given, list | tuple) and len(given) == 2 and isinstance(given[0], Mapping):
        if given[0].keys() == layers.keys():
            # In the order of the training, which is the order of the bands.
            own = {key: given[0][key] for key in layers}
            return _layers_of(name, own), folder_path(name, given[1])
    raise InvalidInputError(
        f"{name} is {shown(given)}, but path has the layers {', '.join(layers)}; give their "
        'folders and the folder of targets, as ({"' + next(iter(layers)) + '": ..., ...}, '
        '"val/targets"), or a folder with folders of the names of path and target.'
    )


@collector_paused()
def _listing(path: Any, target: Any, options: ChipOptions) -> Listing:
    if _is_layer(path) or _is_layer(target):
        return _listed_with_layer(path, target, options)
    folders = [_is_folder(one) for one in (path, target)]
    if target is None or all(folders):
        return _listed_folders(path, target, options)
    if folders[0] and isinstance(target, str | os.PathLike):
        return _listed_on_raster(path, target, options)
    if any(folders):
        one, other = ("path", "target") if folders[0] else ("target", "path")
        raise InvalidInputError(
            f"{one} is a folder, but {other} is {shown(target if folders[0] else path)}, which is "
            "none; give two folders of chips, a folder and a raster, or two rasters."
        )
    return _listed_rasters(path, target, options)


def _listed_with_layer(path: Any, target: Any, options: ChipOptions) -> Listing:
    """Return the windows of a raster and of a vector layer, burned into the raster's grid."""
    layer, other = (path, target) if _is_layer(path) else (target, path)
    name = "path" if layer is path else "target"
    if _is_layer(other):
        raise InvalidInputError(
            "Both sides are vector layers; give a raster on one side, whose grid the chips take."
        )
    if not isinstance(other, str | os.PathLike) or _is_folder(other):
        raise InvalidInputError(
            f"{name} is {shown(layer_name(layer))}, a vector layer, but the other side is "
            f"{shown(other)}; give the path of a raster, into whose grid the layer is burned."
        )
    with RasterReader(other) as raster:
        burned = BurnedLayer.of(layer, options.burn, raster.grid)
    source, to = (burned, other) if layer is path else (other, burned)
    listing = _listed_rasters(source, to, options)
    return replace(listing, layout="a raster, and a vector layer burned into its grid")


def _is_layer(side: object) -> bool:
    """Tell whether a side is a vector layer, and not a folder with such a name."""
    return is_layer(side) and (isinstance(side, gpd.GeoDataFrame) or not os.path.isdir(str(side)))


def _listed_on_raster(path: object, raster: PathLike, options: ChipOptions) -> Listing:
    for name in ("stride", "valid_path", "test_path"):
        if getattr(options, name) is not None:
            raise InvalidInputError(
                f"{name} is {shown(getattr(options, name))}, but chips on a raster take none; "
                "leave it out, or write both sides with export_chips."
            )
    _check_windows(options)
    if options.paired is False:
        raise InvalidInputError(
            "paired is False, but the raster is cut under each chip, so the two are pairs; leave "
            "it out, or give two folders."
        )
    bands = _chosen(options.target_bands)
    method = resampling_for("target", options.target_classes, [raster], bands)
    listing = list_on_raster(folder_path("path", path), raster, method)
    return listing.swapped() if options.swapped else listing


def _is_folder(path: object) -> bool:
    """Tell whether a path is a folder, and not a raster of a format that is one."""
    if not isinstance(path, str | os.PathLike) or not os.path.isdir(path):
        return False
    folder = Folder.of(Path(path))
    if folder.chips or any(map(known_label, folder.folders)):
        return True
    try:
        with ExitStack() as opened:
            open_raster(path, opened)
    except RasterFileError:
        return True
    return False


def _listed_folders(
    path: PathLike | Sequence[PathLike], target: PathLike | None, options: ChipOptions
) -> Listing:
    if options.stride is not None:
        raise InvalidInputError(
            f"stride is {options.stride}, but a chip folder's chips are cut already; leave it "
            "out, or give two rasters."
        )
    _check_windows(options)
    if target is None:
        listing = _listed("path", path)
    else:
        sides = folder_path("path", path), folder_path("target", target)
        listing = list_two_folders(*sides, paired=options.paired is not False)
    parts = {label: _listed(name, given) for label, (name, given) in options.parts.items()}
    if parts:
        listing = with_parts(listing, parts)
    if options.paired and listing.sides is not None:
        listing = in_pairs(listing)
    return listing.swapped() if options.swapped else listing


def _check_windows(options: ChipOptions) -> None:
    """Refuse an option of two rasters for chips that are cut already."""
    if options.target_resolution != "source":
        raise InvalidInputError(
            f"target_resolution is {options.target_resolution!r}, but the chips of a folder are "
            "cut already; leave it out, or give two rasters, or write chips with "
            "export_chips(target_resolution=...)."
        )


def _listed(name: str, path: object) -> Listing:
    if isinstance(path, list | tuple):
        return list_chips([folder_path(name, item) for item in path])
    return list_chips(folder_path(name, path))


def _listed_rasters(path: object, target: object, options: ChipOptions) -> Listing:
    for name in ("valid_path", "test_path"):
        if getattr(options, name) is not None:
            raise InvalidInputError(
                f"{name} is {shown(getattr(options, name))}, but two rasters are divided by split; "
                "leave it out, or cut chip folders with export_chips."
            )
    if options.paired is False and options.target_resolution != "source":
        raise InvalidInputError(
            f"target_resolution is {options.target_resolution!r}, but paired is False, and "
            "rasters that are no pairs keep their own grids; leave one of the two out."
        )
    if not isinstance(path, str | os.PathLike):
        raise InvalidInputError(
            "With target, path has to be one raster; give two rasters, or cut several scenes into "
            "chips with export_chips."
        )
    if not isinstance(target, str | os.PathLike):
        raise InvalidInputError(
            f"target is {type(target).__name__}; give the path of a raster, which is opened when "
            "its pixels are needed."
        )
    side = WINDOW if options.chip_size is None else options.chip_size
    rasters = TwoRasters(
        tile_size=side,
        stride=side if options.stride is None else options.stride,
        paired=options.paired is not False,
        target_bands=_chosen(options.target_bands),
        target_classes=options.target_classes,
        target_resolution=options.target_resolution,
    )
    # The source gives the grid.
    return rasters.read(target, path) if options.swapped else rasters.read(path, target)


def _chosen(bands: Bands | None) -> Bands | None:
    """Return bands as a list, or None for all."""
    return None if bands is None else band_choice(bands)


def side_of_tensors(chips: FoundChips, wanted: int | None, resize_to: int | None) -> int:
    """Return the side of the tensors made from chips, px.

    Args:
        chips: The chips.
        wanted: Side that the user wants; None for the side of the chips, the smaller one if source
            and target chips differ.
        resize_to: Side that chips are resampled to first, px.

    Raises:
        InvalidInputError: The chips are smaller than `wanted`, differ in size, or cannot be cut
            into whole pixels of the target.
    """
    found = _side_of_tensors(chips, wanted, resize_to)
    whole = chips.factor.denominator
    for name, side in (("chip_size", found), ("resize_to", resize_to)):
        if side is not None and side % whole:
            raise InvalidInputError(
                f"{name} is {side}, but a pixel of the target covers {whole} x {whole} of the "
                f"source; give a multiple of {whole}."
            )
    return found


def _side_of_tensors(chips: FoundChips, wanted: int | None, resize_to: int | None) -> int:
    # The targets of pairs have the same ground, but may have other pixels.
    sides = [
        {(chip.grid.height, chip.grid.width) for chip in side}
        for side in (chips.sources, chips.sources if chips.pairs else chips.targets)
    ]
    sizes = sorted(sides[0] | sides[1])
    smallest = min(min(size) for size in sizes) if resize_to is None else resize_to
    if wanted is None:
        alike = all(len(side) == 1 for side in sides) and all(h == w for h, w in sizes)
        if resize_to is None and not alike:
            shown = ", ".join(f"{width} x {height}" for height, width in sizes[:3])
            raise InvalidInputError(
                f"The chips of {chips.path} are not squares of one size ({shown} px); pass "
                f"chip_size, at most {smallest}, to crop them, or resize_to."
            )
        return smallest
    if wanted > smallest:
        raise InvalidInputError(
            f"chip_size is {wanted} but the smallest chip of {chips.path} has a side of "
            f"{smallest} px; give at most that, or export larger chips."
        )
    return wanted
