"""Folders as ArcGIS Pro's "Export Tiles" writes them, whose `map.txt` names the pairs.

Of their metadata only `map.txt` is read: sizes, bands and values are read from the chips
themselves, so an export may lack the other files or hold placeholders where numbers belong.
"""

from __future__ import annotations

import os
from collections.abc import Sequence, Set
from dataclasses import dataclass

from geotranslate.chips.layouts.base import Sides
from geotranslate.chips.layouts.directory import Folder, counted
from geotranslate.chips.layouts.map_file import MAP_FILE, map_rows
from geotranslate.chips.layouts.paired_folders import Found, PairedFolders, listed_pair
from geotranslate.errors import InvalidInputError
from geotranslate.raster.opening import refuse_special

SOURCE_FOLDER, TARGET_FOLDER = "images", "images2"

Rows = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class EsriTiles(PairedFolders):
    """Two folders whose pairs `map.txt` names; without it chips of equal names are pairs."""

    def _pairs(self, sides: Sides) -> Found:
        rows = [
            row
            for row in map_rows(sides.folder)
            if _is_in(row[0], sides.source) and _is_in(row[1], sides.target)
        ]
        return _pairs_by_map(sides, rows) if rows else super()._pairs(sides)


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
    return [listed_pair(sides, name, *pairs[name]) for name in sorted(pairs)], left_out


def _named_pairs(sides: Sides, rows: Rows) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Return the files of the pairs that are there by name, and lines for the others."""
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
    """Return the chips of which `map.txt` lists neither side."""
    return [
        sides.name(side) + chip
        for side in (sides.source, sides.target)
        for chip in side.chips
        if _stem(chip) not in listed
    ]


def _stem(name: str) -> str:
    return os.path.splitext(os.path.basename(name))[0]
