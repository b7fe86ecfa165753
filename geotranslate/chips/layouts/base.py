"""Labels and listings of the chips in a folder, and the layouts that read them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Literal, TypeAlias

from rasterio.enums import Resampling
from rasterio.windows import Window

from geotranslate.chips.layouts.directory import Folder, not_read
from geotranslate.errors import InvalidInputError
from geotranslate.raster.composite import Composite
from geotranslate.raster.grid import Grid
from geotranslate.raster.opening import special_kind

TRAIN, VALIDATION = "train", "val"
"""Labels in the column `split` of polygons and footprints."""
TEST = "test"
LABELS = {
    **{"train": TRAIN, "training": TRAIN, "test": TEST, "testing": TEST},
    **{"val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION},
}
"""Meanings of labels; case and surrounding blanks do not matter."""


def known_label(value: object) -> str | None:
    """Return the meaning of a label; None for an unknown one."""
    return LABELS.get(value.strip().lower()) if isinstance(value, str) else None


@dataclass(frozen=True, slots=True)
class ChipFile:
    """A chip in a file of its own, or one half of a side-by-side picture."""

    path: str
    half: Literal["left", "right"] | None = None

    @property
    def file(self) -> Path:
        """Its file."""
        return Path(self.path)


@dataclass(frozen=True, slots=True)
class RasterWindow:
    """A window of a large raster, resampled to a grid as it is read."""

    path: str | Composite
    """Path, URL or GDAL name as it was given: `Path` would break `/vsizip//data/a.zip/a.tif`."""
    window: Window
    grid: Grid
    """Grid of the whole scene."""
    resampling: Resampling
    """Resampling method for a raster on another grid."""
    is_chip: bool = False
    """Whether the raster is a chip by itself, of several layers, and no scene."""

    @property
    def file(self) -> Path:
        """Its file, or the file of its first layer."""
        return Path(self.path.main if isinstance(self.path, Composite) else self.path)


ChipPlace: TypeAlias = ChipFile | RasterWindow


@dataclass(frozen=True, slots=True)
class ListedChip:
    """A chip of one side."""

    name: str
    """Unique within its side."""
    place: ChipPlace
    subset: str | None = None
    """`train`, `val` or `test` where the folder itself is divided."""


@dataclass(frozen=True, slots=True)
class ListedPair:
    """A source chip and its target chip."""

    name: str
    """Unique within a listing."""
    source: ChipPlace
    target: ChipPlace
    subset: str | None = None
    """`train`, `val` or `test` where the folder itself is divided."""


@dataclass(frozen=True, slots=True)
class ListedSide:
    """The chips of one side, without pairs."""

    path: Path | str
    """The chip folder, or the path of the raster as it was given."""
    chips: tuple[ListedChip, ...]


@dataclass(frozen=True)
class Listing:
    """The pairs of a layout, or its two sides without pairs."""

    path: Path | str
    """The chip folder, or the first of several; for two rasters, the source as it was given."""
    layout: str
    """Name of the layout in summaries."""
    pairs: tuple[ListedPair, ...] = ()
    sides: tuple[ListedSide, ListedSide] | None = None
    """Source and target of a layout without pairs."""
    left_out: tuple[str, ...] = ()
    """A line for each file that is not used, with the reason."""
    min_valid: float = 0.0
    """Smallest share of valid pixels of a chip."""

    @property
    def folder(self) -> Path | None:
        """The chip folder; None for rasters."""
        return self.path if isinstance(self.path, Path) else None

    def swapped(self) -> Listing:
        """Return the listing with source and target swapped."""
        pairs = tuple(replace(one, source=one.target, target=one.source) for one in self.pairs)
        sides = None if self.sides is None else (self.sides[1], self.sides[0])
        return replace(self, pairs=pairs, sides=sides)


def named_chips(
    training: Sequence[ChipPlace],
    validation: Sequence[ChipPlace] = (),
    tests: Sequence[ChipPlace] = (),
) -> tuple[ListedChip, ...]:
    """Return the chips of a side, named by their paths relative to their common folder.

    Args:
        training: Chips for training or validation.
        validation: Chips that the folder itself keeps for validation.
        tests: Chips that the folder itself keeps for tests.
    """
    places = [*training, *validation, *tests]
    parts = [place.file.parent.parts for place in places]
    levels = zip(*parts, strict=False)
    shared = len(list(takewhile(lambda names: len(set(names)) == 1, levels)))
    # Without a part, chips have no subset: labels of footprints may divide them.
    subsets = [TRAIN if validation or tests else None] * len(training)
    subsets += [VALIDATION] * len(validation) + [TEST] * len(tests)
    return tuple(
        ListedChip("/".join((*part[shared:], place.file.stem)), place, subset)
        for part, place, subset in zip(parts, places, subsets, strict=True)
    )


def joined(listings: Mapping[str, Listing]) -> Listing:
    """Return one listing of several folders, with their names as prefixes.

    Raises:
        InvalidInputError: Some folders hold pairs and others do not.
    """
    first, *others = listings.values()
    for other in others:
        if (other.sides is None) != (first.sides is None):
            raise InvalidInputError(
                f"{first.path} ({first.layout}) and {other.path} ({other.layout}) cannot be used "
                "together: one holds pairs and the other unpaired chips. Give folders of one kind."
            )
    layouts = " and ".join(dict.fromkeys(found.layout for found in listings.values()))
    sides = [found.sides for found in listings.values() if found.sides is not None]
    return Listing(
        first.path,
        f"{len(listings)} folders: {layouts}",
        tuple(
            replace(pair, name=f"{name}/{pair.name}")
            for name, found in listings.items()
            for pair in found.pairs
        ),
        (_joined_side([a for a, _ in sides]), _joined_side([b for _, b in sides]))
        if sides
        else None,
        tuple(f"{name}: {line}" for name, found in listings.items() for line in found.left_out),
    )


def _joined_side(sides: Sequence[ListedSide]) -> ListedSide:
    parts: dict[str, list[ChipPlace]] = {TRAIN: [], VALIDATION: [], TEST: []}
    for side in sides:
        for chip in side.chips:
            parts[chip.subset or TRAIN].append(chip.place)
    return ListedSide(sides[0].path, named_chips(*parts.values()))


def with_parts(listing: Listing, parts: Mapping[str, Listing]) -> Listing:
    """Return one listing of a folder and of folders for its parts, whose names become prefixes.

    Args:
        listing: The folder. What it does not keep for validation or tests itself is for training if
            there is a part for validation.
        parts: Listings of the other folders by their labels, `val` and `test`.

    Raises:
        InvalidInputError: Some folders hold pairs and others do not.
    """
    rest = TRAIN if VALIDATION in parts else None
    labeled = [("", _labeled(listing, lambda own: own if own in (VALIDATION, TEST) else rest))]
    labeled += [(f"{name}/", _labeled(part, _always(name))) for name, part in parts.items()]
    for _, other in labeled:
        if (other.sides is None) != (listing.sides is None):
            raise InvalidInputError(
                f"{listing.path} ({listing.layout}) and {other.path} ({other.layout}) cannot be "
                "used together: one holds pairs and the other unpaired chips. Give folders of one "
                "kind."
            )
    sides = None
    if listing.sides is not None:
        source, target = (
            ListedSide(
                listing.sides[side].path,
                tuple(
                    replace(chip, name=prefix + chip.name)
                    for prefix, part in labeled
                    for chip in (part.sides or listing.sides)[side].chips
                ),
            )
            for side in (0, 1)
        )
        sides = source, target
    pairs = (replace(p, name=prefix + p.name) for prefix, part in labeled for p in part.pairs)
    left_out = (prefix + line for prefix, part in labeled for line in part.left_out)
    return replace(listing, pairs=tuple(pairs), sides=sides, left_out=tuple(left_out))


def _always(label: str) -> Callable[[str | None], str | None]:
    return lambda own: label


def _labeled(listing: Listing, label: Callable[[str | None], str | None]) -> Listing:
    """Return a listing whose chips have other labels."""
    pairs = tuple(replace(pair, subset=label(pair.subset)) for pair in listing.pairs)
    if listing.sides is None:
        return replace(listing, pairs=pairs)
    source, target = (
        replace(side, chips=tuple(replace(chip, subset=label(chip.subset)) for chip in side.chips))
        for side in listing.sides
    )
    return replace(listing, pairs=pairs, sides=(source, target))


class Layout(ABC):
    """Layout of the chips in a folder."""

    @abstractmethod
    def matches(self, folder: Folder) -> bool:
        """Tell whether a folder has this layout."""

    @abstractmethod
    def read(self, folder: Folder) -> Listing:
        """List the chips of a folder with this layout.

        Raises:
            InvalidInputError: It holds no chips, or it is ambiguous.
        """


@dataclass(frozen=True)
class SideFolders(Layout):
    """A layout with a folder for the chips of each side.

    Args:
        source: Name of the folder of source chips, in any case.
        target: Name of the folder of target chips.
    """

    source: str
    target: str

    @property
    def name(self) -> str:
        """Name of the layout in summaries."""
        return f"{self.source} + {self.target}"

    def matches(self, folder: Folder) -> bool:
        """Tell whether both folders are there."""
        return not self.missing(folder)

    def missing(self, folder: Folder) -> list[str]:
        """Return the names of the missing folders."""
        return [name for name in (self.source, self.target) if folder.find(name) is None]

    def present(self, folder: Folder) -> int:
        """Return the number of existing levels of the two folders."""
        names = {self.source, self.target} - set(self.missing(folder))
        return sum(name.count("/") + 1 for name in names)


@dataclass(frozen=True, slots=True)
class Sides:
    """The folders of source chips and target chips in a chip folder."""

    folder: Folder
    source: Folder
    target: Folder

    @classmethod
    def of(cls, folder: Folder, layout: SideFolders) -> Sides:
        """List the two folders of a layout, which must exist."""
        names = (layout.source, layout.target)
        return cls(folder, *(folder.inner(name) for name in names))

    def name(self, side: Folder) -> str:
        """Return the name of a side in messages."""
        return side.path.relative_to(self.folder.path).as_posix() + "/"


def unread_lines(held: Sequence[Folder], folder: Folder, *, deep: bool = False) -> list[str]:
    """Return a line for each folder with files that look like chips but are not read.

    Args:
        held: The folders.
        folder: The chip folder that contains them.
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
