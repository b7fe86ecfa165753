"""Two folders of chips that are pairs by their names."""

from __future__ import annotations

from dataclasses import dataclass

from geotranslate.chips.layouts.base import SideFolders, Sides, unread_lines
from geotranslate.chips.layouts.directory import Folder
from geotranslate.chips.layouts.listing import ChipFile, ListedPair, Listing
from geotranslate.chips.layouts.map_file import MAP_FILE, map_rows
from geotranslate.errors import InvalidInputError

Found = tuple[list[ListedPair], list[str]]
"""Pairs, and a line for each chip that is in none."""


@dataclass(frozen=True)
class PairedFolders(SideFolders):
    """Two folders in which chips of equal names are pairs.

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
        pairs, left_out = pairs_by_name(sides, deep=self.deep)
        if rows:
            left_out.append(f"{MAP_FILE}: it is about other folders, so pairs are made by name")
        return pairs, left_out


def pairs_by_name(sides: Sides, *, deep: bool) -> Found:
    """Return the chips of equal names as pairs.

    Args:
        sides: Where the chips are.
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
    pairs = [listed_pair(sides, name, source[name], target[name]) for name in shared]
    return pairs, [f"{chip}: no partner" for chip in lonely]


def _no_partner(sides: Sides, both: bool, *, deep: bool) -> str:
    """Return the sentence about two folders without a pair, which both have chips or not."""
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


def listed_pair(sides: Sides, name: str, source: str, target: str) -> ListedPair:
    """Return the pair of two files of the sides."""
    return ListedPair(
        name, ChipFile(sides.source.path / source), ChipFile(sides.target.path / target)
    )
