"""Two folders of chips without pairs, and side-by-side pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from geotranslate.chips.layouts.base import (
    ChipFile,
    Layout,
    ListedPair,
    ListedSide,
    Listing,
    SideFolders,
    Sides,
    known_label,
    named_chips,
    unread_lines,
)
from geotranslate.chips.layouts.directory import Folder, counted
from geotranslate.errors import InvalidInputError
from geotranslate.raster.reader import RasterReader

UNPAIRED_FOLDERS = ("trainA", "trainB")
"""Folders of source and target chips in the manner of CycleGAN."""
SAMPLE = 3
"""Number of pictures of a folder whose sizes are examined."""


@dataclass(frozen=True)
class UnpairedFolders(SideFolders):
    """Two folders of unpaired chips, which lie directly in their folder or in its `images/`.

    Args:
        source: Name of the folder of source chips, in any case.
        target: Name of the folder of target chips.
        validation: Names of further folders of either side, with chips for validation.
        tests: The same, with chips for tests.
    """

    validation: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its name, as a summary says it."""
        return f"{super().name}, unpaired"

    def read(self, folder: Folder) -> Listing:
        """List the chips of both sides.

        Raises:
            InvalidInputError: A side has no chips.
        """
        sides = Sides.of(folder, self)
        for side in (sides.source, sides.target):
            _refuse_empty(sides, side)
        further = [_listed(folder, names) for names in (self.validation, self.tests)]
        used = [sides.source, sides.target, *(part for both in further for part in both if part)]
        left_out = (
            *(line for part in used for line in _not_used(sides, part)),
            *unread_lines([_held(part) for part in used], folder),
        )
        source, target = zip(*further, strict=True)
        return Listing(
            folder.path,
            self.name,
            sides=(
                _side(folder.path, sides.source, *source),
                _side(folder.path, sides.target, *target),
            ),
            left_out=left_out,
        )


def _listed(folder: Folder, names: Sequence[str]) -> tuple[Folder | None, Folder | None]:
    """Return the folders of both sides for a part; None for missing ones."""
    paths = [folder.find(name) for name in names] or [None, None]
    source, target = (None if path is None else Folder.of(path) for path in paths)
    return source, target


def _refuse_empty(sides: Sides, side: Folder) -> None:
    if not _held(side).chips:
        raise InvalidInputError(
            f"{sides.folder.path} holds no chips in {sides.name(side)} (it has {side.content}); "
            "each side needs some, directly or in a folder images/ of its own."
        )


def _held(part: Folder) -> Folder:
    """Return the folder with the chips of a part: its `images/` if that has chips."""
    held = part.inner("images") if part.find("images") else part
    return held if held.chips else part


def _not_used(sides: Sides, part: Folder) -> list[str]:
    """Return a line for an empty part, or for chips outside of its `images/`."""
    held = _held(part)
    if not held.chips:
        return [f"{part.path.name}/: it holds no chips"]
    if held is part or not part.chips:
        return []
    return [f"{counted(part.chips)} in {sides.name(part)}: {sides.name(held)} is used"]


def _side(
    path: Path, training: Folder, validation: Folder | None, tests: Folder | None
) -> ListedSide:
    return ListedSide(path, named_chips(*map(_files, (training, validation, tests))))


def _files(part: Folder | None) -> Sequence[ChipFile]:
    if part is None:
        return []
    held = _held(part)
    return [ChipFile(path) for path in held.named_paths().values()]


class SideBySidePictures(Layout):
    """Pictures of two squares, directly in a folder or in its parts train, val and test."""

    def matches(self, folder: Folder) -> bool:
        """Tell whether there are pictures whose first ones are twice as wide as high."""
        pictures = pictures_in(folder)
        return bool(pictures) and not odd_picture(pictures)

    def read(self, folder: Folder) -> Listing:
        """List the halves of the pictures as pairs.

        Raises:
            InvalidInputError: Two pictures have one name.
        """
        pictures = pictures_in(folder)
        pairs = [
            ListedPair(
                f"{place}/{name}" if place else name,
                ChipFile(path, "left"),
                ChipFile(path, "right"),
                known_label(place),
            )
            for place, held in pictures.items()
            for name, path in held.named_paths().items()
        ]
        places = " and ".join(name for name in pictures if name)
        direct = () if "" in pictures else folder.chips
        left_out = [f"{counted(direct)} beside {places}: not used"] if direct else []
        if places:
            left_out += unread_lines(list(pictures.values()), folder)
        layout = f"side-by-side pictures in {places}" if places else "side-by-side pictures"
        return Listing(folder.path, layout, pairs=tuple(pairs), left_out=tuple(left_out))


def pictures_in(folder: Folder) -> dict[str, Folder]:
    """Return folders that may hold side-by-side pictures, by name; "" for the folder itself."""
    subsets = {n: Folder.of(folder.path / n) for n in folder.folders if known_label(n)}
    held = {name: subset for name, subset in subsets.items() if subset.chips}
    return held or ({"": folder} if folder.chips else {})


def odd_picture(pictures: Mapping[str, Folder]) -> str | None:
    """Return a sentence about the first picture that is not two squares side by side."""
    for place, folder in pictures.items():
        for name in folder.chips[:SAMPLE]:
            with RasterReader(folder.path / name) as picture:
                width, height = picture.grid.width, picture.grid.height
            if width != 2 * height:
                return (
                    f"{f'{place}/' if place else ''}{name} is {width} x {height} px; side-by-side "
                    "pictures are twice as wide as high."
                )
    return None
