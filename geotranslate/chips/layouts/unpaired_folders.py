"""Two folders of chips without pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from geotranslate.chips.layouts.base import SideFolders, Sides, unread_lines
from geotranslate.chips.layouts.directory import Folder, counted
from geotranslate.chips.layouts.listing import ChipFile, ListedSide, Listing, named_chips
from geotranslate.errors import InvalidInputError


@dataclass(frozen=True)
class UnpairedFolders(SideFolders):
    """Two folders of chips that are no pairs, each directly in its folder or in `images/`.

    Args:
        source: Name of the folder of source chips, in any case.
        target: Name of the folder of target chips.
        validation: Names of further folders of either side, whose chips are for validation.
        reserved: Names of further folders whose chips are not used.
    """

    validation: tuple[str, ...] = ()
    reserved: tuple[str, ...] = ()

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
        found = [folder.find(name) for name in self.validation]
        further = [None if path is None else Folder.of(path) for path in found]
        used = [sides.source, sides.target, *(part for part in further if part is not None)]
        reserved = [path for name in self.reserved if (path := folder.find(name)) is not None]
        left_out = (
            *(line for part in used for line in _not_used(sides, part)),
            *unread_lines([_held(part) for part in used], folder),
            *(f"{path.name}/: not for training" for path in reserved),
        )
        kept = further or [None, None]
        return Listing(
            folder.path,
            self.name,
            sides=(
                _side(folder.path, sides.source, kept[0]),
                _side(folder.path, sides.target, kept[1]),
            ),
            left_out=left_out,
        )


def _refuse_empty(sides: Sides, side: Folder) -> None:
    if not _held(side).chips:
        raise InvalidInputError(
            f"{sides.folder.path} holds no chips in {sides.name(side)} (it has {side.content}); "
            "each side needs some, directly or in a folder images/ of its own."
        )


def _held(part: Folder) -> Folder:
    """Return the folder that has the chips of a part: its `images/`, where that has some."""
    inner = part.find("images")
    held = Folder.of(inner) if inner else part
    return held if held.chips else part


def _not_used(sides: Sides, part: Folder) -> list[str]:
    """Return a line for an empty part, or for chips beside the folder with its chips."""
    held = _held(part)
    if not held.chips:
        return [f"{part.path.name}/: it holds no chips"]
    if held is part or not part.chips:
        return []
    return [f"{counted(part.chips)} in {sides.name(part)}: {sides.name(held)} is used"]


def _side(path: Path, training: Folder, validation: Folder | None) -> ListedSide:
    return ListedSide(path, named_chips(_files(training), _files(validation)))


def _files(part: Folder | None) -> Sequence[ChipFile]:
    if part is None:
        return []
    held = _held(part)
    return [ChipFile(held.path / chip) for chip in held.named_chips().values()]
