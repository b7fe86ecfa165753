"""Recognise how a chip folder is laid out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from geotranslate.chips.layouts.directory import Folder, counted
from geotranslate.chips.layouts.esri import MAP_FILE, SOURCE_FOLDER, TARGET_FOLDER
from geotranslate.chips.layouts.listing import (
    ChipFile,
    Entry,
    Listing,
    Sides,
    joined,
    list_pairs,
    map_rows,
)
from geotranslate.chips.layouts.pictures import list_pictures, odd_picture, pictures_in
from geotranslate.chips.layouts.sidefolders import list_sides
from geotranslate.errors import GeotranslateError, InvalidInputError, RasterFileError

__all__ = ["ChipFile", "Entry", "Listing", "list_chips"]

NEIGHBOURS = 50
"""Sub-folders that are looked into where a folder itself holds no chips."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Names of the two folders that hold the chips of the sides."""

    source: str
    target: str
    paired: bool = True
    deep: bool = False
    """Whether chips lie in sub-folders too."""
    reserved: tuple[str, ...] = ()
    """Further folders whose chips are not used."""
    validation: tuple[str, str] | None = None
    """Further folders of source and target chips that are for validation."""

    @property
    def name(self) -> str:
        """What to call it."""
        return f"{self.source} + {self.target}" + ("" if self.paired else ", unpaired")

    def missing(self, folder: Folder) -> list[str]:
        """Return those of the two that are not there."""
        return [name for name in (self.source, self.target) if folder.find(name) is None]


LAYOUTS = (
    Layout(SOURCE_FOLDER, TARGET_FOLDER),
    # arcgis.learn's Pix2PixHD takes the labels for the source: direction="BtoA" does so here.
    Layout(SOURCE_FOLDER, "labels"),
    Layout("Images/train_a", "Images/train_b", deep=True),
    Layout(
        "trainA",
        "trainB",
        paired=False,
        reserved=("testA", "testB"),
        validation=("valA", "valB"),
    ),
    Layout("A", "B", paired=False),
)
EXPECTED = (
    "A chip folder has chips of equal names in images/ and images2/, in images/ and labels/, or in "
    "Images/train_a/ and Images/train_b/; unpaired chips in trainA/ and trainB/, or in A/ and B/; "
    "or pictures with the source in the left half and the target in the right half, directly or in "
    "train/, val/ and test/. export_chips writes one from two rasters."
)


def list_chips(path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> Listing:
    """Recognise a chip folder, or several, and list what they hold.

    Pairs are those that an ArcGIS `map.txt` names or, without it, chips of equal names; never
    those that happen to stand at equal places. No chip is opened, but for the headers of the first
    side-by-side pictures.

    Args:
        path: The folder; of several, whose names then stand before those of their pairs.

    Raises:
        RasterFileError: A folder is missing or cannot be read.
        InvalidInputError: No layout fits, there is no pair, or it is ambiguous.
    """
    if isinstance(path, str | os.PathLike):
        return _list_folder(Path(path))
    paths = [Path(item) for item in path]
    if not paths:
        raise InvalidInputError("The list of chip folders is empty; give at least one folder.")
    if len(paths) == 1:
        return _list_folder(paths[0])
    names = _short_names(paths)
    return joined({name: _list_folder(item) for name, item in zip(names, paths, strict=True)})


def _short_names(paths: Sequence[Path]) -> list[str]:
    """Return the folders' names, with as many of their parents' as tell them apart."""
    parts = [path.resolve().parts for path in paths]
    for twice in (path for i, path in enumerate(paths) if parts[i] in parts[:i]):
        raise InvalidInputError(f"{twice} is given twice; give every chip folder once.")
    depth = 1
    while len({part[-depth:] for part in parts}) < len(parts):
        depth += 1
    return ["/".join(part[-depth:]) for part in parts]


def _list_folder(path: Path) -> Listing:
    if not path.is_dir():
        whole = _whole(path) if path.exists() else None
        advice = f", probably {whole}" if whole else ""
        if path.is_file() and not whole:
            advice = ", or beside a raster also target, the raster to translate it to"
        raise RasterFileError(
            f"{path} is not a folder; give the folder that holds the chips{advice}."
        )
    folder = Folder.of(path)
    found = _complete(folder)
    if found:
        return _list_layout(folder, *found)
    pictures = pictures_in(folder)
    # Chips in the images/ of a chip folder are whole chips, however wide they are.
    if pictures and not _whole(path) and not odd_picture(pictures):
        return list_pictures(folder, pictures)
    raise InvalidInputError(_nothing_found(folder))


def _complete(folder: Folder) -> list[Layout]:
    """Return the layouts of which both folders are there."""
    return [layout for layout in LAYOUTS if not layout.missing(folder)]


def _list_layout(folder: Folder, layout: Layout, *others: Layout) -> Listing:
    sides = Sides.of(folder, layout.source, layout.target)
    if layout.paired:
        listing = list_pairs(sides, layout.name, deep=layout.deep)
    else:
        listing = list_sides(sides, layout.name, layout.validation)
    return replace(listing, left_out=(*listing.left_out, *_unused(folder, layout, others)))


def _unused(folder: Folder, layout: Layout, others: Sequence[Layout]) -> Iterator[str]:
    for name in layout.reserved:
        if path := folder.find(name):
            yield f"{path.name}/: not for training"
    sides = {side for other in others for side in (other.source, other.target)}
    for name in sorted(sides - {layout.source, layout.target}):
        yield f"{name}/: not used, as {layout.source}/ and {layout.target}/ are there"


def _nothing_found(folder: Folder) -> str:
    """Return the sentence about a folder without a layout."""
    # The deepest folder that is there says what the user meant: `Images/train_a`, not `Images`.
    meant = max(LAYOUTS, key=lambda layout: _present(folder, layout))
    missing = " and ".join(meant.missing(folder))
    return (
        f"{folder.path} holds no pairs: {missing} missing (found {folder.content}). "
        f"{_advice(folder, meant)}"
    )


def _present(folder: Folder, layout: Layout) -> int:
    names = {layout.source, layout.target} - set(layout.missing(folder))
    return sum(name.count("/") + 1 for name in names)


def _advice(folder: Folder, meant: Layout) -> str:
    whole = _whole(folder.path)
    if whole:
        return f"It is a part of the chip folder {whole}; give that."
    inside = [folder.path / name for name in folder.folders[:NEIGHBOURS]]
    inside = [path for path in inside if _is_chip_folder(path)]
    if inside:
        several = ", or a list of several" if len(inside) > 1 else ""
        return f"Give a chip folder in it: {' or '.join(map(str, inside[:3]))}{several}."
    rows = map_rows(folder)
    if rows and _present(folder, meant):
        return (
            f"Its {MAP_FILE} names {counted(rows, 'pair')}, so only a part of the export is here: "
            f"copy {' and '.join(meant.missing(folder))} too, or write one with export_chips."
        )
    odd = odd_picture(pictures_in(folder))
    return f"{odd} {EXPECTED}" if odd else EXPECTED


def _whole(path: Path) -> Path | None:
    """Return the chip folder of which the path is a part: a side, a file, or in between."""
    path = Path(os.path.abspath(path))
    for above in list(path.parents)[:2]:
        try:
            folder = Folder.of(above)
            found = [folder.find(n) for o in _complete(folder) for n in (o.source, o.target)]
        except GeotranslateError:
            continue
        for side in found:
            if side and (path in (side, *side.parents) or side in path.parents or path.is_file()):
                return above
    return None


def _is_chip_folder(path: Path) -> bool:
    try:
        folder = Folder.of(path)
        pictures = pictures_in(folder)
        return bool(_complete(folder) or (pictures and not odd_picture(pictures)))
    except GeotranslateError:
        return False
