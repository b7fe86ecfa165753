"""Recognition of the layout of a chip folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from geotranslate.chips.layouts.base import (
    TRAIN,
    Listing,
    SideFolders,
    Sides,
    joined,
    known_label,
    with_parts,
)
from geotranslate.chips.layouts.directory import MAP_FILE, Folder, counted, map_rows
from geotranslate.chips.layouts.layered import list_numbered, numbered_folders
from geotranslate.chips.layouts.paired_folders import (
    LABELS_FOLDER,
    SOURCE_FOLDER,
    TARGET_FOLDER,
    EsriTiles,
    PairedFolders,
)
from geotranslate.chips.layouts.pairing import list_two_folders
from geotranslate.chips.layouts.unpaired_folders import (
    UNPAIRED_FOLDERS,
    SideBySidePictures,
    UnpairedFolders,
    odd_picture,
    pictures_in,
)
from geotranslate.errors import GeotranslateError, InvalidInputError, RasterFileError

SIDE_LAYOUTS: tuple[SideFolders, ...] = (
    EsriTiles(SOURCE_FOLDER, TARGET_FOLDER),
    # arcgis.learn's Pix2PixHD uses the labels as source; here, direction="BtoA" does so.
    EsriTiles(SOURCE_FOLDER, LABELS_FOLDER),
    PairedFolders("Images/train_a", "Images/train_b", deep=True),
    UnpairedFolders(*UNPAIRED_FOLDERS, validation=("valA", "valB"), tests=("testA", "testB")),
    UnpairedFolders("A", "B"),
)
"""Layouts with a folder for each side, the first that matches first."""
PICTURES = SideBySidePictures()
"""The layout of folders that match none of these."""
EXPECTED = (
    "A chip folder has chips of equal names in images/ and images2/, in images/ and labels/, or in "
    "Images/train_a/ and Images/train_b/; unpaired chips in trainA/ and trainB/, or in A/ and B/ "
    "(pairs with paired=True); "
    "or pictures with the source in the left half and the target in the right half, directly or in "
    "train/, val/ and test/. export_chips writes one from two rasters."
)
NEIGHBORS = 50
"""Largest number of sub-folders that are examined if a folder itself holds no chips."""


def list_chips(path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> Listing:
    """Recognize a chip folder, or several, and list their chips.

    Pairs are listed in an ArcGIS `map.txt` or, without it, are chips of equal names; the order of
    files never makes pairs. No chip is opened, except to read the headers of the first side-by-side
    pictures.

    Args:
        path: The folder, or several, whose names are then prefixed to their pairs' names.

    Raises:
        RasterFileError: A folder is missing or cannot be read.
        InvalidInputError: No layout matches, there is no pair, or it is ambiguous.
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
    """Return the folders' names, with as many parents as make them unique."""
    parts = [path.resolve().parts for path in paths]
    for twice in (path for i, path in enumerate(paths) if parts[i] in parts[:i]):
        raise InvalidInputError(f"{twice} is given twice; give every chip folder once.")
    depth = 1
    while len({part[-depth:] for part in parts}) < len(parts):
        depth += 1
    return ["/".join(part[-depth:]) for part in parts]


def _list_folder(path: Path) -> Listing:
    if not os.path.isdir(path):
        raise RasterFileError(_no_folder(path))
    folder = Folder.of(path)
    if numbered := numbered_folders(folder):
        return list_numbered(folder, numbered)
    found = _matching(folder)
    if found:
        listing = _in_parts(folder, found[0]) or found[0].read(folder)
        left_out = (*listing.left_out, *_other_sides(found[0], found[1:]))
        return replace(listing, left_out=left_out)
    if parts := _parts_of(folder):
        return parts
    # Chips in images/ of a chip folder are whole chips, however wide they are.
    if not _whole(path) and PICTURES.matches(folder):
        return PICTURES.read(folder)
    raise InvalidInputError(_nothing_found(folder))


def _in_parts(folder: Folder, layout: SideFolders) -> Listing | None:
    """Return the listing of sides that are divided into `train`, `val` and `test`; else None."""
    sides = Sides.of(folder, layout)
    both = (sides.source, sides.target)
    if any(side.chips or not any(map(known_label, side.folders)) for side in both):
        return None
    paired = not isinstance(layout, UnpairedFolders)
    listing = list_two_folders(sides.source.path, sides.target.path, paired=paired)
    return replace(listing, path=folder.path)


def _parts_of(folder: Folder) -> Listing | None:
    """Return the listing of `train`, `val` and `test` that have a layout each; else None."""
    names = {known_label(name): name for name in folder.folders if known_label(name)}
    held = {label: folder.path / name for label, name in names.items() if label is not None}
    held = {label: path for label, path in held.items() if _matching(Folder.of(path))}
    if TRAIN not in held:
        return None
    listings = {label: _list_folder(path) for label, path in held.items()}
    first = listings.pop(TRAIN)
    parts = " and ".join(path.name for path in held.values())
    layout = f"{first.layout} in {parts}"
    return replace(with_parts(first, listings), path=folder.path, layout=layout)


def _matching(folder: Folder) -> list[SideFolders]:
    return [layout for layout in SIDE_LAYOUTS if layout.matches(folder)]


def _other_sides(used: SideFolders, others: Sequence[SideFolders]) -> Iterator[str]:
    """Yield a line for each folder of other layouts that also match."""
    sides = {side for other in others for side in (other.source, other.target)}
    for name in sorted(sides - {used.source, used.target}):
        yield f"{name}/: not used, as {used.source}/ and {used.target}/ are there"


def _no_folder(path: Path) -> str:
    """Return the message about a path that is not a folder."""
    whole = _whole(path) if os.path.exists(path) else None
    advice = f", probably {whole}" if whole else ""
    if os.path.isfile(path) and not whole:
        advice = ", or beside a raster also target, the raster to translate it to"
    return f"{path} is not a folder; give the folder that holds the chips{advice}."


def _nothing_found(folder: Folder) -> str:
    """Return the message about a folder without a known layout."""
    # The deepest existing folder shows what the user meant: `Images/train_a`, not `Images`.
    meant = max(SIDE_LAYOUTS, key=lambda layout: layout.present(folder))
    missing = " and ".join(meant.missing(folder))
    return (
        f"{folder.path} holds no pairs: {missing} missing (found {folder.content}). "
        f"{_advice(folder, meant)}"
    )


def _advice(folder: Folder, meant: SideFolders) -> str:
    whole = _whole(folder.path)
    if whole:
        return f"It is a part of the chip folder {whole}; give that."
    inside = [folder.path / name for name in folder.folders[:NEIGHBORS]]
    inside = [path for path in inside if _is_chip_folder(path)]
    if inside:
        several = ", or a list of several" if len(inside) > 1 else ""
        return f"Give a chip folder in it: {' or '.join(map(str, inside[:3]))}{several}."
    rows = map_rows(folder)
    if rows and meant.present(folder):
        return (
            f"Its {MAP_FILE} names {counted(rows, 'pair')}, so only a part of the export is here: "
            f"copy {' and '.join(meant.missing(folder))} too, or write one with export_chips."
        )
    odd = odd_picture(pictures_in(folder))
    return f"{odd} {EXPECTED}" if odd else EXPECTED


def _whole(path: Path) -> Path | None:
    """Return the chip folder that contains the path, which may be a side or a file in it."""
    path = Path(os.path.abspath(path))
    for above in list(path.parents)[:2]:
        try:
            folder = Folder.of(above)
            found = [folder.find(n) for o in _matching(folder) for n in (o.source, o.target)]
        except GeotranslateError:
            continue
        for side in found:
            if side and (
                path in (side, *side.parents) or side in path.parents or os.path.isfile(path)
            ):
                return above
    return None


def _is_chip_folder(path: Path) -> bool:
    try:
        folder = Folder.of(path)
        return bool(_matching(folder)) or PICTURES.matches(folder)
    except GeotranslateError:
        return False
