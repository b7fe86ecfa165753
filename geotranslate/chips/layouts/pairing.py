"""Pairs of two folders of any names, by equal stems or by stems that differ in a word alone."""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rasterio.enums import Resampling

from geotranslate.chips.layouts.base import (
    ChipFile,
    ListedChip,
    ListedPair,
    ListedSide,
    Listing,
    known_label,
    unread_lines,
)
from geotranslate.chips.layouts.directory import Folder, counted
from geotranslate.chips.layouts.rasters import on_raster
from geotranslate.errors import InvalidInputError

WORDS = re.compile(r"[^\W_]+")
"""Words of a stem, which other characters divide."""
MOST_WORDS = 8
"""Largest number of words of a side that are tried."""


@dataclass(frozen=True, slots=True)
class Matches:
    """Stems of two sides that belong together, and the words by which the sides differ."""

    pairs: tuple[tuple[str, str], ...]
    words: tuple[str, str] = ("", "")
    """Word of the source's stems and word of the target's; empty for equal stems."""


def matches_of(source: Sequence[str], target: Sequence[str]) -> Matches:
    """Return the stems that belong together.

    Stems belong together if they are equal, or if they are equal without a word that most stems of
    a side have, such as `s1` and `gt` in `a_s1_4` and `a_gt_4`. The words that give most pairs
    count, and equal stems come first.

    Raises:
        InvalidInputError: Other words give as many pairs, but not the same ones.
    """
    found = []
    for words in itertools.product(_words(source, target), _words(target, source)):
        keys = [
            _keys(stems, word) if any(words) else {stem: stem for stem in stems}
            for stems, word in zip((source, target), words, strict=True)
        ]
        pairs = tuple((keys[0][key], keys[1][key]) for key in sorted(keys[0].keys() & keys[1]))
        found.append(Matches(pairs, words))
    best = max(found, key=lambda one: len(one.pairs))
    if best.words == ("", ""):
        return best
    for other in found:
        if len(other.pairs) == len(best.pairs) and other.pairs != best.pairs:
            raise InvalidInputError(
                f"The names of the two folders can be paired in several ways: {best.pairs[0][0]} "
                f"with {best.pairs[0][1]} or {other.pairs[0][0]} with {other.pairs[0][1]}. Give "
                "a source chip and its target chip one name."
            )
    return best


def _words(stems: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return words that most stems of a side have and more than on the other side, and "" first."""
    own, theirs = (
        Counter(w for stem in side for w in set(_split(stem))) for side in (stems, others)
    )
    usual = [
        word
        for word, count in own.most_common()
        if 2 * count > len(stems) and count * len(others) > theirs[word] * len(stems)
    ]
    return ["", *sorted(usual)[:MOST_WORDS]]


def _split(stem: str) -> list[str]:
    return [word.lower() for word in WORDS.findall(stem)]


def _keys(stems: Sequence[str], word: str) -> dict[str, str]:
    """Return the stems by themselves without a word; those that become equal are left out."""
    found: dict[str, list[str]] = {}
    for stem in stems:
        words = _split(stem)
        if word in words:
            # The last one, as the words of places come first.
            del words[len(words) - 1 - words[::-1].index(word)]
        found.setdefault("_".join(words), []).append(stem)
    return {key: one[0] for key, one in found.items() if len(one) == 1}


def list_two_folders(source: Path, target: Path, *, paired: bool = True) -> Listing:
    """List the chips of two folders, or of their parts `train`, `val` and `test`.

    Args:
        source: Folder of source chips.
        target: Folder of target chips.
        paired: Whether chips are pairs.

    Raises:
        RasterFileError: A folder cannot be read.
        InvalidInputError: A folder has no chips, the two are one folder, or no names match.
    """
    if source.resolve() == target.resolve():
        raise InvalidInputError(
            f"Source and target are the same folder, {source}; give two folders, or path alone for "
            "a chip folder."
        )
    folders = Folder.of(source), Folder.of(target)
    (left, left_lines), (right, right_lines) = map(side_of, folders)
    listing = Listing(
        source,
        f"{source.name} + {target.name}",
        sides=(left, right),
        left_out=(*left_lines, *right_lines),
    )
    if paired:
        return in_pairs(listing)
    return replace(listing, layout=f"{listing.layout}, unpaired")


def list_on_raster(source: Path, raster: str | os.PathLike[str], method: Resampling) -> Listing:
    """List the chips of a folder, paired with the ground of a raster under each of them.

    Args:
        source: Folder of georeferenced source chips, or of their parts `train`, `val` and `test`.
        raster: The raster to translate to.
        method: Method by which it is resampled to the grid of each chip.

    Raises:
        RasterFileError: The folder, a chip or the raster cannot be read.
        GridMismatchError: A chip or the raster has no CRS.
        InvalidInputError: The folder has no chips, or none of them lies on the raster.
    """
    chips, lines = side_of(Folder.of(source))
    pairs, apart = on_raster(chips, raster, method)
    if not pairs:
        raise InvalidInputError(
            f"None of the {counted(chips.chips)} in {source} lies on the ground of {raster}; give "
            "chips and a raster of one place."
        )
    layout = f"{source.name} + raster, laid onto the grid of each chip ({method.name} resampling)"
    return Listing(source, layout, pairs=pairs, left_out=(*lines, *apart))


def side_of(folder: Folder) -> tuple[ListedSide, list[str]]:
    """Return the chips of a folder, and lines about what is not used.

    Raises:
        InvalidInputError: It has no chips.
    """
    chips, lines = _chips_of(folder)
    if not chips:
        raise InvalidInputError(
            f"The folder {folder.path} has no chips (it has {folder.content}); give a folder of "
            "pictures or rasters."
        )
    side = ListedSide(folder.path, tuple(chips))
    return side, [f"{folder.path.name}/{line}" for line in lines]


def _chips_of(folder: Folder) -> tuple[list[ListedChip], list[str]]:
    """Return the chips of a folder, or of its labeled parts, and lines about what is not used."""
    parts = [name for name in folder.folders if known_label(name)]
    held = {name: Folder.of(folder.path / name) for name in parts}
    if not any(part.chips for part in held.values()):
        held = {"": folder}
    chips = [
        ListedChip(f"{name}/{stem}" if name else stem, ChipFile(path), known_label(name))
        for name, part in held.items()
        for stem, path in part.named_paths().items()
    ]
    lines = unread_lines(list(held.values()), folder)
    if "" not in held and folder.chips:
        lines.append(f": {counted(folder.chips)} beside {' and '.join(held)}: not used")
    return chips, lines


def in_pairs(listing: Listing) -> Listing:
    """Return a listing of two sides as pairs; chips pair within the same part.

    Raises:
        InvalidInputError: No names match.
    """
    assert listing.sides is not None
    source, target = (by_part(side) for side in listing.sides)
    pairs: list[ListedPair] = []
    lonely: list[str] = []
    words: tuple[str, str] = ("", "")
    for part in dict.fromkeys([*source, *target]):
        left, right = source.get(part, {}), target.get(part, {})
        found = matches_of(list(left), list(right))
        prefix = f"{part}/" if part else ""
        pairs += [
            ListedPair(prefix + a, left[a].place, right[b].place, part) for a, b in found.pairs
        ]
        words = found.words if any(found.words) else words
        lonely += _lonely(left, right, found)
    if not pairs:
        raise InvalidInputError(_no_pairs(listing, source, target))
    layout = listing.layout.removesuffix(", unpaired")
    if any(words):
        layout += f", paired without {' and '.join(repr(word) for word in words if word)}"
    return Listing(
        listing.path,
        layout,
        pairs=tuple(pairs),
        left_out=(*listing.left_out, *lonely),
        min_valid=listing.min_valid,
    )


def by_part(side: ListedSide) -> dict[str | None, dict[str, ListedChip]]:
    """Return the chips by their part and stem.

    Raises:
        InvalidInputError: Two chips of a part have one stem.
    """
    found: dict[str | None, dict[str, ListedChip]] = {}
    for chip in side.chips:
        stem = chip.place.file.stem
        held = found.setdefault(chip.subset, {})
        if stem in held:
            raise InvalidInputError(
                f"{held[stem].place.path} and {chip.place.path} have one name, so which is meant "
                "is ambiguous; keep one of them."
            )
        held[stem] = chip
    return found


def _lonely(
    left: Mapping[str, ListedChip], right: Mapping[str, ListedChip], found: Matches
) -> Iterator[str]:
    """Yield a line for each chip without a partner."""
    for side, place in ((left, 0), (right, 1)):
        paired = {pair[place] for pair in found.pairs}
        for stem, chip in side.items():
            if stem not in paired:
                path = chip.place.file
                yield f"{path.parent.name}/{path.name}: no partner"


def _no_pairs(
    listing: Listing,
    source: Mapping[str | None, Mapping[str, ListedChip]],
    target: Mapping[str | None, Mapping[str, ListedChip]],
) -> str:
    names = [next(iter(next(iter(side.values())).values())).place.file for side in (source, target)]
    return (
        f"{listing.path} holds no pairs: no chip of {names[0].parent} ({names[0].name}, ...) has a "
        f"partner in {names[1].parent} ({names[1].name}, ...). A source chip and its target chip "
        "need one name, or names that differ in one word, such as 1_rgb.png and 1_map.png."
    )
