"""List the pairs, or the two sides, of a recognised chip folder without opening a chip."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from geotranslate.chips.layouts.directory import Folder, counted, not_read
from geotranslate.chips.layouts.esri import MAP_FILE, read_map
from geotranslate.errors import InvalidInputError
from geotranslate.raster.opening import refuse_special, special_kind


@dataclass(frozen=True, slots=True)
class ChipFile:
    """Where a chip's pixels are: a whole file, or one half of a side-by-side picture."""

    path: Path
    half: Literal["left", "right"] | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """Where the two chips of a pair are."""

    name: str
    """Unique within a listing."""
    source: ChipFile
    target: ChipFile
    subset: str | None = None
    """`train`, `val` or `test` where the folder itself is divided."""


SideFiles: TypeAlias = tuple[tuple[ChipFile, ...], tuple[ChipFile, ...]]
"""Source chips and target chips that are no pairs."""


@dataclass(frozen=True)
class Listing:
    """What a chip folder holds."""

    path: Path
    """The folder; the first of several."""
    layout: str
    """What it was recognised as, in words."""
    entries: tuple[Entry, ...]
    """The pairs; none where chips are unpaired."""
    unpaired: SideFiles | None
    """Source chips and target chips of an unpaired layout."""
    left_out: tuple[str, ...]
    """A line for everything that is not used, and why."""
    validation: SideFiles = ((), ())
    """Further chips of an unpaired layout, which the folder itself keeps for validation."""


@dataclass(frozen=True, slots=True)
class Sides:
    """The two folders of a chip folder that hold the chips of its sides."""

    folder: Folder
    source: Folder
    target: Folder

    @classmethod
    def of(cls, folder: Folder, source: str, target: str) -> Sides:
        """List the two folders, which are there."""
        paths = [folder.find(name) or folder.path / name for name in (source, target)]
        return cls(folder, *map(Folder.of, paths))

    def name(self, side: Folder) -> str:
        """Return a side's name as sentences say it."""
        return side.path.relative_to(self.folder.path).as_posix() + "/"


def list_pairs(sides: Sides, layout: str, *, deep: bool) -> Listing:
    """List pairs by `map.txt` where it names some of these folders, else by name.

    Args:
        sides: Where the chips are.
        layout: What to call it.
        deep: Whether chips lie in sub-folders too.

    Raises:
        InvalidInputError: There is no pair, or two chips have one name.
    """
    named = map_rows(sides.folder)
    rows = [row for row in named if _is_in(row[0], sides.source) and _is_in(row[1], sides.target)]
    by_map = bool(rows) and not deep
    entries, left_out = _by_map(sides, rows) if by_map else _by_name(sides, deep=deep)
    if named and not by_map:
        left_out.append(f"{MAP_FILE}: it is about other folders, so pairs are made by name")
    left_out += unread_lines((sides.source, sides.target), sides.folder, deep=deep)
    return Listing(sides.folder.path, layout, tuple(entries), None, tuple(left_out))


def unread_lines(held: Sequence[Folder], folder: Folder, *, deep: bool = False) -> list[str]:
    """Return a line for each folder in which files are not read though they may be chips.

    Args:
        held: The folders.
        folder: The chip folder that they are in.
        deep: Whether their sub-folders count.
    """
    lines = []
    for each in held:
        place = f"{each.path.relative_to(folder.path).as_posix()}/"
        if files := each.unread(deep=deep):
            lines.append(not_read(files, place))
        lines += [
            f"{place}{name}: {special_kind(each.path / name)} and no file"
            for name in each.no_files(deep=deep)
        ]
    return lines


def map_rows(folder: Folder) -> list[tuple[str, str]]:
    """Return the pairs that the folder's `map.txt` names, none where it has no such file.

    Raises:
        RasterFileError: It is no text.
        InvalidInputError: It names a chip outside the folder.
    """
    if MAP_FILE not in (*folder.others, *folder.special):
        return []
    rows = read_map(folder.path / MAP_FILE)
    # Exports that were moved may have the paths of the machine that wrote them: names count.
    places = {os.path.dirname(name): name for row in rows for name in row}
    for place, name in places.items():
        if _leads_out(place, folder.path):
            raise InvalidInputError(
                f"{MAP_FILE} in {folder.path} names {name}, which lies outside the folder; name "
                f"chips in it, or delete {MAP_FILE}: then chips of equal names are pairs."
            )
    return rows


def _leads_out(place: str, folder: Path) -> bool:
    """Tell whether a folder named in `map.txt` is another one than those in the chip folder."""
    if not os.path.isabs(place):
        return os.path.normpath(place).split("/")[0] == ".."
    try:
        return os.path.isdir(place) and not Path(place).resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):
        return False


def _is_in(name: str, side: Folder) -> bool:
    return os.path.normpath(name).lower().split("/")[-2:-1] == [side.path.name.lower()]


def _by_map(sides: Sides, rows: Sequence[tuple[str, str]]) -> tuple[list[Entry], list[str]]:
    chips = set(sides.source.chips), set(sides.target.chips)
    pairs: dict[str, tuple[str, str]] = {}
    left_out = []
    for row in rows:
        source, target = (os.path.basename(name) for name in row)
        _refuse_no_files(sides, source, target)
        absent = [row[i] for i, name in enumerate((source, target)) if name not in chips[i]]
        if absent:
            left_out.append(f"{' and '.join(absent)}: named in {MAP_FILE} but missing")
            continue
        former = pairs.setdefault(_stem(source), (source, target))
        if former != (source, target):
            raise InvalidInputError(
                f"{MAP_FILE} in {sides.folder.path} pairs {' with '.join(former)} and {source} "
                f"with {target}, so pair {_stem(source)} is ambiguous; keep one of the lines."
            )
    if not pairs:
        raise InvalidInputError(
            f"{sides.folder.path} holds no pairs: of the {counted(rows, 'pair')} that {MAP_FILE} "
            f"names none has both chips ({left_out[0]}{'; ...' if len(left_out) > 1 else ''}). "
            f"Copy the missing chips too, or delete {MAP_FILE}: then chips of equal names are "
            "pairs."
        )
    unknown = _unknown(sides, {_stem(name) for row in rows for name in row})
    if unknown:
        left_out.append(f"{counted(unknown)} such as {unknown[0]}: not named in {MAP_FILE}")
    return [_entry(sides, name, *pairs[name]) for name in sorted(pairs)], left_out


def _refuse_no_files(sides: Sides, source: str, target: str) -> None:
    for side, name in ((sides.source, source), (sides.target, target)):
        if name in side.special:
            refuse_special(side.path / name)


def _unknown(sides: Sides, listed: Set[str]) -> list[str]:
    """Return the chips of which `map.txt` lists neither side."""
    return [
        sides.name(side) + chip
        for side in (sides.source, sides.target)
        for chip in side.chips
        if _stem(chip) not in listed
    ]


def _stem(name: str) -> str:
    return os.path.splitext(os.path.basename(name))[0]


def _entry(sides: Sides, name: str, source: str, target: str) -> Entry:
    return Entry(name, ChipFile(sides.source.path / source), ChipFile(sides.target.path / target))


def _by_name(sides: Sides, *, deep: bool) -> tuple[list[Entry], list[str]]:
    source, target = (side.named_chips(deep=deep) for side in (sides.source, sides.target))
    shared = sorted(source.keys() & target.keys())
    names = [sides.name(side) for side in (sides.source, sides.target)]
    if not shared:
        found = "; ".join(
            f"{name} has {side.content}"
            for name, side in zip(names, (sides.source, sides.target), strict=True)
        )
        unread = unread_lines((sides.source, sides.target), sides.folder, deep=deep)
        advice = "A source chip and its target chip need one name."
        if unread and not (source and target):
            advice = f"{'; '.join(unread)}. Convert files to GeoTIFF."
        raise InvalidInputError(
            f"{sides.folder.path} holds no pairs: no chip in {names[0]} has a partner in "
            f"{names[1]} ({found}). {advice}"
        )
    lonely = [
        names[0] + source[name] if name in source else names[1] + target[name]
        for name in sorted(source.keys() ^ target.keys())
    ]
    entries = [_entry(sides, name, source[name], target[name]) for name in shared]
    return entries, [f"{chip}: no partner" for chip in lonely]


def joined(listings: Mapping[str, Listing]) -> Listing:
    """Return what several folders hold together, under the names they are given by.

    Raises:
        InvalidInputError: Some hold pairs and others do not.
    """
    first, *others = listings.values()
    for other in others:
        if (other.unpaired is None) != (first.unpaired is None):
            raise InvalidInputError(
                f"{first.path} ({first.layout}) and {other.path} ({other.layout}) cannot be used "
                "together: one holds pairs and the other unpaired chips. Give folders of one kind."
            )
    unpaired = [found.unpaired for found in listings.values() if found.unpaired is not None]
    sides = _side_by_side(unpaired)
    validation = _side_by_side([found.validation for found in listings.values()])
    layouts = " and ".join(dict.fromkeys(found.layout for found in listings.values()))
    return Listing(
        first.path,
        f"{len(listings)} folders: {layouts}",
        tuple(
            replace(entry, name=f"{name}/{entry.name}")
            for name, found in listings.items()
            for entry in found.entries
        ),
        sides if unpaired else None,
        tuple(f"{name}: {line}" for name, found in listings.items() for line in found.left_out),
        validation,
    )


def _side_by_side(folders: Sequence[SideFiles]) -> SideFiles:
    sources, targets = (tuple(chip for sides in folders for chip in sides[i]) for i in (0, 1))
    return sources, targets
