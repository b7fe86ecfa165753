"""Folders whose chips of one name are the layers of one source chip."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count, takewhile
from pathlib import Path

from rasterio.enums import Resampling
from rasterio.windows import Window

from geotranslate.chips.bands import resampling_for
from geotranslate.chips.layouts.base import ListedChip, ListedSide, Listing, RasterWindow
from geotranslate.chips.layouts.directory import Folder
from geotranslate.chips.layouts.pairing import by_part, in_pairs, matches_of, side_of
from geotranslate.errors import InvalidInputError
from geotranslate.raster.reader import RasterReader
from geotranslate.raster.stack import Layer, Stack

LOOKED_AT = 8
"""Largest number of chips of a folder that are examined for classes."""
FIRST = "images"
"""Name of the first of several numbered folders."""

Names = Mapping[str, ListedChip]


def list_layers(folders: Mapping[str, Path], target: Path, *, paired: bool = True) -> Listing:
    """List the stacks of the chips of several folders, and the chips of a target folder.

    Chips belong together by equal names, or by names that differ in one word.

    Args:
        folders: Folders of the layers by their names.
        target: Folder of target chips.
        paired: Whether source and target chips are pairs.

    Raises:
        RasterFileError: A folder or a chip cannot be read.
        InvalidInputError: A folder has no chips, or no names match.
    """
    source, lines = layered_side(folders)
    other, other_lines = side_of(Folder.of(target))
    listing = Listing(
        source.path,
        f"{' & '.join(folders)} + {target.name}",
        sides=(source, other),
        left_out=(*lines, *other_lines),
    )
    return in_pairs(listing) if paired else replace(listing, layout=f"{listing.layout}, unpaired")


def layered_side(folders: Mapping[str, Path]) -> tuple[ListedSide, list[str]]:
    """Return the stacks of the chips of several folders, and lines about what is not used.

    Raises:
        RasterFileError: A folder or a chip cannot be read.
        InvalidInputError: A folder has no chips, or no names match.
    """
    listed = {name: side_of(Folder.of(path)) for name, path in folders.items()}
    lines = [line for _, more in listed.values() for line in more]
    methods = [_method(side) for side, _ in listed.values()]
    first, *others = (by_part(side) for side, _ in listed.values())
    chips: list[ListedChip] = []
    for part, own in first.items():
        held = [own, *(other.get(part, {}) for other in others)]
        for stem, paths in _together(held):
            layers = map(Layer, folders, map(os.fspath, paths), methods)
            chips.append(replace(own[stem], place=_whole(Stack(tuple(layers)))))
        used = {path for chip in chips for path in _paths(chip)}
        lines += [line for each in held for line in _alone(each, used)]
    if not chips:
        raise InvalidInputError(
            f"No chip is in all of {', '.join(map(str, folders.values()))}; the layers of a chip "
            "need one name, or names that differ in one word, such as 1_s1.tif and 1_dem.tif."
        )
    return ListedSide(next(iter(folders.values())), tuple(chips)), lines


def _method(side: ListedSide) -> Resampling:
    """Return the resampling method of a layer, by some of its chips."""
    some = [chip.place.path for chip in side.chips[:LOOKED_AT]]
    return resampling_for("source", None, some)


def _together(held: Sequence[Names]) -> Iterator[tuple[str, list[Path]]]:
    """Yield the stem of each chip of the first folder that all have, and the files of all."""
    first = held[0]
    found = [dict(matches_of(list(first), list(other)).pairs) for other in held[1:]]
    for stem, chip in first.items():
        if all(stem in each for each in found):
            rest = (other[each[stem]] for other, each in zip(held[1:], found, strict=True))
            yield stem, [one.place.file for one in (chip, *rest)]


def _whole(stack: Stack) -> RasterWindow:
    """Return the whole of a stack, on the grid of its first layer."""
    with RasterReader(stack.main) as first:
        grid = first.grid
    window = Window(0, 0, grid.width, grid.height)
    return RasterWindow(stack, window, grid, Resampling.nearest, is_chip=True)


def _paths(chip: ListedChip) -> tuple[str, ...]:
    stack = chip.place.path
    return (
        tuple(os.fspath(layer.path) for layer in stack.layers) if isinstance(stack, Stack) else ()
    )


def _alone(chips: Names, used: set[str]) -> Iterator[str]:
    for chip in chips.values():
        path = chip.place.file
        if os.fspath(path) not in used:
            yield f"{path.parent.name}/{path.name}: not in all layers"


def numbered_folders(folder: Folder) -> tuple[Path, ...]:
    """Return the folders `images`, `images2`, `images3` and on; none if there are less than three.

    The last one holds the targets, the others the layers of the sources.
    """
    names = (FIRST if i == 1 else f"{FIRST}{i}" for i in count(1))
    found = tuple(takewhile(lambda path: path is not None, map(folder.find, names)))
    return found if len(found) > 2 else ()  # type: ignore[return-value]


def list_numbered(folder: Folder, paths: Sequence[Path]) -> Listing:
    """List the pairs of numbered folders."""
    *layers, target = paths
    listing = list_layers({path.name: path for path in layers}, target)
    return replace(listing, path=folder.path)
