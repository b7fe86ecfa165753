"""List the two sides of an unpaired chip folder without opening a chip."""

from __future__ import annotations

from geotranslate.chips.layouts.directory import Folder, counted
from geotranslate.chips.layouts.listing import ChipFile, Listing, Sides, unread_lines
from geotranslate.errors import InvalidInputError


def list_sides(sides: Sides, layout: str, validation: tuple[str, str] | None = None) -> Listing:
    """List the chips of two sides that are no pairs, each directly in its folder or in `images/`.

    Args:
        sides: Where the chips are.
        layout: What to call it.
        validation: Folders beside them that may hold further chips of either side, for validation.

    Raises:
        InvalidInputError: A side has no chips.
    """
    held, left_out = [], []
    for side in (sides.source, sides.target):
        folder = _held(side)
        if not folder.chips:
            raise InvalidInputError(
                f"{sides.folder.path} holds no chips in {sides.name(side)} (it has "
                f"{side.content}); each side needs some, directly or in a folder images/ of its "
                "own."
            )
        held.append(folder)
        left_out += _beside(sides, side, folder)
    kept = [sides.folder.find(name) for name in validation or ()]
    further = [None if path is None else Folder.of(path) for path in kept]
    for part in further:
        if part is not None:
            folder = _held(part)
            empty = [f"{part.path.name}/: it holds no chips"]
            left_out += _beside(sides, part, folder) if folder.chips else empty
    parts = [_held(part) for part in further if part is not None]
    left_out += unread_lines([*held, *parts], sides.folder)
    source, target = map(_files, held)
    return Listing(
        sides.folder.path,
        layout,
        (),
        (source, target),
        tuple(left_out),
        (_files(further[0]), _files(further[1])) if further else ((), ()),
    )


def _held(side: Folder) -> Folder:
    """Return the folder that has the chips of a side: its `images/`, where that has some."""
    inner = side.find("images")
    held = Folder.of(inner) if inner else side
    return held if held.chips else side


def _beside(sides: Sides, side: Folder, held: Folder) -> list[str]:
    """Return a line for chips of a side that lie beside the folder with its chips."""
    if held is side or not side.chips:
        return []
    return [f"{counted(side.chips)} in {sides.name(side)}: {sides.name(held)} is used"]


def _files(side: Folder | None) -> tuple[ChipFile, ...]:
    if side is None:
        return ()
    held = _held(side)
    return tuple(ChipFile(held.path / chip) for chip in held.named_chips().values())
