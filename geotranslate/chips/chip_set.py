"""Chip sets, which hold the chips of one side, and checks shared with pair sets."""

from __future__ import annotations

import os
import warnings
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning
from tqdm.auto import tqdm

from geotranslate.chips.chip import Bands, Chip, Mask
from geotranslate.chips.facts import ChipReader
from geotranslate.chips.layouts import ChipPlace, ListedSide, counted
from geotranslate.errors import InvalidInputError, warn
from geotranslate.memory import collector_paused
from geotranslate.raster.factor import valid_at
from geotranslate.raster.grid import Grid

PROGRESS_FROM = 300
"""Number of chips or pairs from which a progress bar is shown."""
AT_ONCE = 64
"""Largest number of chips or pairs that a thread reads before it takes others."""


class Member(ABC):
    """Member of a set: a chip or a pair."""

    __slots__ = ()
    name: str
    subset: str | None
    """Its part in the folder's own split, if it has one."""

    @property
    @abstractmethod
    def chips(self) -> tuple[Chip, ...]:
        """Its chips, the source first."""

    @property
    def factor(self) -> Fraction:
        """Target pixels per source pixel along an axis; 1 for a chip of one side."""
        return Fraction(1)

    @property
    def grid(self) -> Grid:
        """Grid of the chip with the best georeference; of equally good ones, the source's.

        Its pixels are those of the source.
        """
        found = self.placed
        return found.grid if found is self.chips[0] else _scaled(found.grid, 1 / self.factor)

    @property
    def placed(self) -> Chip:
        """The chip with the best georeference; of equally good ones, the source."""
        return _best(self.chips)

    @property
    def target_grid(self) -> Grid:
        """Grid of the chip with the best georeference; of equally good ones, the target's.

        Its pixels are those of the target.
        """
        found = _best(self.chips[::-1])
        return found.grid if found is self.chips[-1] else _scaled(found.grid, self.factor)

    @property
    def valid_share(self) -> float:
        """Smallest share of valid pixels of its chips."""
        return min(chip.valid_share for chip in self.chips)

    def valid(self) -> NDArray[np.bool_]:
        """Return the pixels of the target `(rows, cols)` that are valid in all of its chips."""
        target = self.chips[-1]
        shown = [
            chip.read()[1] if chip is target else valid_at(chip.read()[1], self.factor)
            for chip in self.chips
            if chip.valid_share < 1
        ]
        size = (target.grid.height, target.grid.width)
        return np.logical_and.reduce([np.ones(size, bool), *shown])


def _scaled(grid: Grid, factor: Fraction) -> Grid:
    return grid if factor == 1 else grid.scaled(float(factor))


def _best(chips: Sequence[Chip]) -> Chip:
    """Return the first chip with a CRS, else the first with a transform, else the first one."""
    if chips[0].kind.crs is not None:
        return chips[0]
    georeferenced = [chip for chip in chips if chip.kind.crs is not None]
    placed = [chip for chip in chips if chip.grid.transform != Affine.identity()]
    return (georeferenced or placed or list(chips))[0]


@dataclass(frozen=True, slots=True)
class NamedChip(Member):
    """A chip of a side without pairs."""

    name: str
    chip: Chip
    subset: str | None = None
    """Its part in the folder's own split, if it has one."""

    @property
    def chips(self) -> tuple[Chip, ...]:
        """The chip alone."""
        return (self.chip,)


@dataclass(frozen=True)
class MemberSet(ABC):
    """Chips or pairs that are divided into training and validation."""

    path: Path | str
    """The folder, or for rasters the path or URL as it was given."""
    layout: str
    """Name of the layout; for two rasters also whether the target is warped."""
    side: str
    """`source` or `target`, or empty for pairs."""
    left_out: tuple[str, ...]
    """A line for each file or chip that is not used, with the reason."""

    @property
    @abstractmethod
    def members(self) -> Sequence[Member]:
        """The chips or pairs."""

    @property
    def noun(self) -> str:
        """Word for a member: pair, source chip or target chip."""
        return f"{self.side} chip" if self.side else "pair"


@dataclass(frozen=True)
class ChipSet(MemberSet):
    """The chips of one side, without pairs."""

    named: tuple[NamedChip, ...]

    @property
    def members(self) -> Sequence[NamedChip]:
        """The chips with their names."""
        return self.named

    @cached_property
    def chips(self) -> tuple[Chip, ...]:
        """The chips."""
        return tuple(member.chip for member in self.named)

    @classmethod
    def of(
        cls,
        listed: ListedSide,
        layout: str,
        side: str,
        reader: ChipReader,
        bands: Bands | None,
        min_valid: float,
    ) -> ChipSet:
        """Open and check every chip of a side.

        Args:
            listed: The chips.
            layout: Name of their layout.
            side: `source` or `target`.
            reader: Reader of the facts of chips.
            bands: Bands to use, by number from 1 or by name.
            min_valid: Smallest share of valid pixels of a chip.

        Raises:
            RasterFileError: A chip cannot be read.
            InvalidInputError: No chip has valid pixels, or a chip differs from the others in bands
                or dtype.
        """
        noun = f"{side} chip"
        chips = looked_into([((chip.place, bands),) for chip in listed.chips], noun, reader)
        looked = [
            NamedChip(listed.name, chip, listed.subset)
            for listed, (chip,) in zip(listed.chips, chips, strict=True)
        ]
        kept, left_out = usable(looked, min_valid)
        if not kept:
            raise InvalidInputError(f"No {noun} in {listed.path} has valid pixels.")
        check_alike([member.chip for member in kept])
        return cls(listed.path, layout, side, tuple(left_out), tuple(kept))

    def masked(self, masks: Mapping[int, Mask]) -> ChipSet:
        """Return the set with masks, by the positions of the chips, hiding some pixels."""
        chips = masked(self.chips, masks)
        named = (replace(member, chip=chip) for member, chip in zip(self.named, chips, strict=True))
        return replace(self, named=tuple(named))


SomeMember = TypeVar("SomeMember", bound=Member)


def looked_into(
    places: Sequence[Sequence[tuple[ChipPlace, Bands | None]]], noun: str, reader: ChipReader
) -> list[tuple[Chip, ...]]:
    """Return the chips of all members; read the unknown ones in threads, with a progress bar.

    Args:
        places: Places of the chips of each member, with the bands to use.
        noun: Word for a member.
        reader: Reader of the facts of chips.
    """
    with collector_paused():
        found: list[tuple[Chip | None, ...]] = [
            tuple([reader.known(*place) for place in member]) for member in places
        ]
    rest = [i for i, chips in enumerate(found) if not all(chips)]
    if rest:
        read = _read([list(zip(places[i], found[i], strict=True)) for i in rest], noun, reader)
        for i, chips in zip(rest, read, strict=True):
            found[i] = chips
    return found  # type: ignore[return-value]  # none is None any more


def _read(
    members: Sequence[Sequence[tuple[tuple[ChipPlace, Bands | None], Chip | None]]],
    noun: str,
    reader: ChipReader,
) -> list[tuple[Chip, ...]]:
    """Return the chips of members; those that are None are read."""
    options = reader.open_options(place for member in members for (place, _), _ in member)
    count, threads = len(members), os.cpu_count() or 1
    step = max(1, min(AT_ONCE, count // (4 * threads)))

    def some(start: int) -> list[tuple[Chip, ...]]:
        # Entering an environment of GDAL for every file takes a tenth of the time to read it.
        with rasterio.Env.from_defaults(**options):
            return [
                tuple(chip or reader.read(*place) for place, chip in member)
                for member in members[start : start + step]
            ]

    bar = tqdm(total=count, desc=f"checking {noun}s", unit=noun, disable=count < PROGRESS_FROM)
    found: list[tuple[Chip, ...]] = []
    with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool, bar:
        # In threads no one else can.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        for chips in pool.map(some, range(0, count, step)):
            found += chips
            bar.update(len(chips))
    return found


@collector_paused()
def usable(members: Sequence[SomeMember], min_valid: float) -> tuple[list[SomeMember], list[str]]:
    """Return the members with enough valid pixels, each once, and a line for each other one."""
    enough = [m for m in members if m.valid_share >= min_valid] if min_valid else list(members)
    few = len(members) - len(enough)
    lines = [f"{counted(range(few), 'tile')} with less than {min_valid:.0%} valid pixels"]
    kept, others = _each_once(enough)
    return kept, [*(lines if few else []), *others]


def _each_once(members: Iterable[SomeMember]) -> tuple[list[SomeMember], list[str]]:
    lines: list[str] = []
    kept: list[SomeMember] = []
    known: dict[tuple[Any, ...], str] = {}
    systems = Numbered()
    for member in members:
        # Members with equal pixels on different ground, such as open water, are kept.
        chips, placed = member.chips, member.placed
        pixels = (systems.number(placed.kind.crs), placed.ground, *[c.digest for c in chips])
        if not all([chip.valid_share for chip in chips]):
            where = " in one of the chips" if len(chips) > 1 else ""
            lines.append(f"{member.name}: no valid pixel{where}")
        elif (former := known.setdefault(pixels, member.name)) is not member.name:
            lines.append(f"{member.name}: the same pixels as {former}")
        else:
            kept.append(member)
    return kept, lines


class Numbered:
    """Numbers of coordinate reference systems, as hashing one takes long and many chips share it.

    Equal ones have one number.
    """

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._systems: dict[CRS | None, int] = {}

    def number(self, crs: CRS | None) -> int:
        """Return the number of a CRS, which has to exist as long as this object."""
        found = self._numbers.get(id(crs))
        if found is None:
            found = self._systems.setdefault(crs, len(self._systems))
            self._numbers[id(crs)] = found
        return found


def check_alike(chips: Sequence[Chip]) -> None:
    """Refuse chips of one side that differ from most others in bands, band names or dtype.

    Raises:
        InvalidInputError: A chip differs; the message names it.
    """
    if len({id(chip.kind) for chip in chips}) < 2:
        return
    _refuse_odd(chips, "bands", lambda chip: chip.bands)
    _refuse_odd(chips, "dtype", lambda chip: chip.dtype)
    named = [chip for chip in chips if all(chip.band_names)]
    _refuse_odd(named, "band names", lambda chip: chip.band_names)


def _refuse_odd(chips: Sequence[Chip], what: str, value: Callable[[Chip], Any]) -> None:
    usual = Counter(map(value, chips)).most_common(1)[0][0] if chips else None
    for chip in chips:
        if value(chip) != usual:
            raise InvalidInputError(
                f"{chip.path} has {what} {value(chip)} where most chips of its side have {usual}; "
                "all chips of one side need the same."
            )


def masked(chips: Sequence[Chip], masks: Mapping[int, Mask]) -> list[Chip]:
    """Return chips with the masks, given by position, hiding some of their pixels."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        hidden = threads.map(lambda i: chips[i].masked(masks[i]), masks)
        found = dict(zip(masks, hidden, strict=True))
    return [found.get(i, chip) for i, chip in enumerate(chips)]


def warn_of_left_out(used: str, path: Path | str, left_out: Sequence[str]) -> None:
    """Warn of chips and files that are not used, if there are any.

    Args:
        used: The members that are used, in words.
        path: Folder or raster that they are from.
        left_out: A line for each file or chip that is not used.
    """
    if left_out:
        shown = "; ".join(left_out[:5])
        more = f"; and {len(left_out) - 5} more" if len(left_out) > 5 else ""
        warn(f"{used} of {path} can be used; left out: {shown}{more}")
