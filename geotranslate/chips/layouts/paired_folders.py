"""Two folders of chips, paired by `map.txt` or by equal names.

ArcGIS Pro's "Export Tiles" writes such folders. Of its metadata only `map.txt` is read: sizes,
bands and values are read from the chips themselves, so an export may lack the other files or hold
placeholders where numbers belong.
"""

from __future__ import annotations

import os
from collections.abc import Sequence, Set
from dataclasses import dataclass

from geotranslate.chips.layouts.base import (
    ChipFile,
    ListedPair,
    Listing,
    SideFolders,
    Sides,
    unread_lines,
)
from geotranslate.chips.layouts.directory import MAP_FILE, Folder, counted, map_rows
from geotranslate.errors import InvalidInputError
from geotranslate.raster.opening import refuse_special

SOURCE_FOLDER, TARGET_FOLDER, LABELS_FOLDER = "images", "images2", "labels"

Found = tuple[list[ListedPair], list[str]]
"""Pairs, and a line for each chip without a pair."""
Rows = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class PairedFolders(SideFolders):
    """Two folders whose chips of equal names are pairs.

    Args:
        source: Name of the folder of source chips, in any case.
        target: Name of the folder of target chips.
        deep: Whether chips lie in sub-folders too.
    """

    deep: bool = False

    def read(self, folder: Folder) -> Listing:
        """List the pairs.

        Raises:
            InvalidInputError: There is no pair, or two chips have one name.
        """
        sides = Sides.of(folder, self)
        pairs, left_out = self._pairs(sides)
        left_out += unread_lines((sides.source, sides.target), folder, deep=self.deep)
        return Listing(folder.path, self.name, pairs=tuple(pairs), left_out=tuple(left_out))

    def _pairs(self, sides: Sides) -> Found:
        rows = map_rows(sides.folder)
        pairs, left_out = _pairs_by_name(sides, deep=self.deep)
        if rows:
            left_out.append(f"{MAP_FILE}: it is about other folders, so pairs are made by name")
        return pairs, left_out


@dataclass(frozen=True)
class EsriTiles(PairedFolders):
    """Two folders with pairs listed in `map.txt`, or paired by equal names without it."""

    def _pairs(self, sides: Sides) -> Found:
        rows = [
            row
            for row in map_rows(sides.folder)
            if _is_in(row[0], sides.source) and _is_in(row[1], sides.target)
        ]
        return _pairs_by_map(sides, rows) if rows else super()._pairs(sides)


def _pairs_by_name(sides: Sides, *, deep: bool) -> Found:
    """Return the chips of equal names as pairs.

    Args:
        sides: The folders of the chips.
        deep: Whether chips lie in sub-folders too.

    Raises:
        InvalidInputError: There is no pair, or two chips have one name.
    """
    source, target = (side.named_chips(deep=deep) for side in (sides.source, sides.target))
    shared = sorted(source.keys() & target.keys())
    if not shared:
        raise InvalidInputError(_no_partner(sides, bool(source and target), deep=deep))
    names = [sides.name(side) for side in (sides.source, sides.target)]
    lonely = [
        names[0] + source[name] if name in source else names[1] + target[name]
        for name in sorted(source.keys() ^ target.keys())
    ]
    pairs = _listed_pairs(sides, [(name, source[name], target[name]) for name in shared])
    return pairs, [f"{chip}: no partner" for chip in lonely]


def _no_partner(sides: Sides, both: bool, *, deep: bool) -> str:
    """Return the message about two folders without a pair."""
    folders = (sides.source, sides.target)
    names = [sides.name(side) for side in folders]
    found = "; ".join(
        f"{name} has {side.content}" for name, side in zip(names, folders, strict=True)
    )
    unread = unread_lines(folders, sides.folder, deep=deep)
    advice = "A source chip and its target chip need one name."
    if unread and not both:
        advice = f"{'; '.join(unread)}. Convert files to GeoTIFF."
    return (
        f"{sides.folder.path} holds no pairs: no chip in {names[0]} has a partner in "
        f"{names[1]} ({found}). {advice}"
    )


def _listed_pairs(sides: Sides, pairs: Sequence[tuple[str, str, str]]) -> list[ListedPair]:
    """Return the pairs of names, source files and target files."""
    sources = sides.source.paths(source for _, source, _ in pairs)
    targets = sides.target.paths(target for _, _, target in pairs)
    return [
        ListedPair(name, ChipFile(source), ChipFile(target))
        for (name, _, _), source, target in zip(pairs, sources, targets, strict=True)
    ]


def _is_in(name: str, side: Folder) -> bool:
    return os.path.normpath(name).lower().split("/")[-2:-1] == [side.path.name.lower()]


def _pairs_by_map(sides: Sides, rows: Rows) -> Found:
    pairs, left_out = _named_pairs(sides, rows)
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
    return _listed_pairs(sides, [(name, *pairs[name]) for name in sorted(pairs)]), left_out


def _named_pairs(sides: Sides, rows: Rows) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Return the files of complete pairs by name, and a line for each other pair."""
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
    return pairs, left_out


def _refuse_no_files(sides: Sides, source: str, target: str) -> None:
    for side, name in ((sides.source, source), (sides.target, target)):
        if name in side.special:
            refuse_special(side.path / name)


def _unknown(sides: Sides, listed: Set[str]) -> list[str]:
    """Return the chips that `map.txt` does not list."""
    return [
        sides.name(side) + chip
        for side in (sides.source, sides.target)
        for chip in side.chips
        if _stem(chip) not in listed
    ]


def _stem(name: str) -> str:
    return os.path.splitext(os.path.basename(name))[0]
