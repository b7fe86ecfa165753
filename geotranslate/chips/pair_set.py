"""Chips of a training set: a pair set, or a chip set for each side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from geotranslate.chips.bands import SOURCE_PREFIX, TARGET_PREFIX
from geotranslate.chips.chip import Bands, Chip, Mask
from geotranslate.chips.chip_set import (
    ChipSet,
    Member,
    MemberSet,
    check_alike,
    looked_into,
    masked,
    usable,
    warn_of_left_out,
)
from geotranslate.chips.facts import remembered
from geotranslate.chips.layouts import Listing, counted
from geotranslate.errors import GridMismatchError, InvalidInputError
from geotranslate.memory import collector_paused
from geotranslate.raster.factor import MOST_FACTOR, factor_between
from geotranslate.raster.grid import Grid

BandChoice: TypeAlias = tuple[Bands | None, Bands | None]
"""Bands of source and target to use; None for all."""


@dataclass(frozen=True, slots=True)
class Pair(Member):
    """A source chip and its target chip."""

    name: str
    source: Chip
    target: Chip
    subset: str | None = None
    """Its part in the folder's own split, if it has one."""

    @property
    def chips(self) -> tuple[Chip, ...]:
        """The source and the target."""
        return self.source, self.target

    @property
    def factor(self) -> Fraction:
        """Target pixels per source pixel along an axis, see `check_pair`."""
        found = factor_between(*sizes_of(self))
        assert found is not None
        return found


@dataclass(frozen=True)
class PairSet(MemberSet):
    """The pairs that can be used for training."""

    pairs: tuple[Pair, ...]

    @property
    def members(self) -> Sequence[Pair]:
        """The pairs."""
        return self.pairs

    @property
    def divided(self) -> tuple[PairSet, ...]:
        """Sets that are divided separately into training and validation: only this one."""
        return (self,)

    @cached_property
    def sources(self) -> tuple[Chip, ...]:
        """The source chips."""
        return tuple(pair.source for pair in self.pairs)

    @cached_property
    def targets(self) -> tuple[Chip, ...]:
        """The target chips."""
        return tuple(pair.target for pair in self.pairs)

    @property
    def grids(self) -> tuple[Grid, Grid | None]:
        """Grid of the first pair, and None, as its target has no other grid."""
        return self.pairs[0].grid, None

    @classmethod
    def of(cls, listing: Listing, bands: BandChoice = (None, None)) -> PairSet:
        """Open and check the pairs of a listing.

        Pairs without a valid pixel and duplicates of other pairs are left out with a warning.

        Args:
            listing: The listing.
            bands: Bands of source and target, by number from 1 or by name.

        Raises:
            RasterFileError: A chip cannot be read.
            InvalidInputError: No pair has valid pixels, a pair differs in size, or a chip's bands
                or dtype differ from the others of its side.
            GridMismatchError: The two chips of a pair lie on different ground.
        """
        with remembered(listing.folder) as reader:
            with collector_paused():
                places = [((p.source, bands[0]), (p.target, bands[1])) for p in listing.pairs]
            chips = looked_into(places, "pair", reader)
        with collector_paused():
            looked = [
                Pair(pair.name, source, target, pair.subset)
                for pair, (source, target) in zip(listing.pairs, chips, strict=True)
            ]
            for pair in looked:
                if not listing.min_valid or pair.valid_share >= listing.min_valid:
                    check_pair(pair)
        kept, left_out = usable(looked, listing.min_valid)
        if not kept:
            raise InvalidInputError(f"No pair in {listing.path} has valid pixels on both sides.")
        left_out = [*listing.left_out, *left_out]
        found = cls(listing.path, listing.layout, "", tuple(left_out), tuple(kept))
        found._check_factor()
        check_alike(found.sources)
        check_alike(found.targets)
        warn_of_left_out(counted(kept, "pair"), found.path, found.left_out)
        return found

    @property
    def factor(self) -> Fraction:
        """Target pixels per source pixel along an axis."""
        return self.pairs[0].factor

    def _check_factor(self) -> None:
        """Refuse pairs of several factors."""
        # The first pair of each two kinds, as sizes are facts of a kind.
        kinds = {(id(p.source.kind), id(p.target.kind)): p for p in reversed(self.pairs)}
        for pair in kinds.values():
            if pair.factor != self.factor:
                raise InvalidInputError(
                    f"The target of pair {pair.name} has {pair.factor} times as many pixels along "
                    f"an axis as its source, that of {self.pairs[0].name} {self.factor} times as "
                    "many; put pairs of different factors into folders of their own."
                )

    def masked(self, masks: Mapping[int, Mask]) -> PairSet:
        """Return the set with masks, by the positions of the pairs, hiding pixels of targets."""
        targets = masked(self.targets, masks)
        pairs = (replace(pair, target=t) for pair, t in zip(self.pairs, targets, strict=True))
        return replace(self, pairs=tuple(pairs))

    def unmasked(self) -> PairSet:
        """Return the set with no pixel hidden from its targets, whose statistics stay."""
        pairs = (replace(pair, target=replace(pair.target, mask=None)) for pair in self.pairs)
        return replace(self, pairs=tuple(pairs))

    def names(self, positions: Sequence[Sequence[int]]) -> tuple[str, ...]:
        """Return the names of pairs by their positions, which are the same on both sides."""
        return tuple(self.pairs[i].name for i in positions[0])


@dataclass(frozen=True)
class UnpairedSets:
    """The chip sets of two sides without pairs."""

    path: Path | str
    """The folder, or for two rasters the path or URL of the source as it was given."""
    layout: str
    """Name of the layout."""
    source: ChipSet
    target: ChipSet
    left_out: tuple[str, ...]
    factor = Fraction(1)
    """Target pixels per source pixel, which is 1 for sides without pairs."""

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Empty, as there are no pairs."""
        return ()

    @property
    def divided(self) -> tuple[ChipSet, ...]:
        """Sets that are divided separately into training and validation."""
        return self.source, self.target

    @property
    def sources(self) -> tuple[Chip, ...]:
        """The source chips."""
        return self.source.chips

    @property
    def targets(self) -> tuple[Chip, ...]:
        """The target chips."""
        return self.target.chips

    @property
    def grids(self) -> tuple[Grid, Grid | None]:
        """Grids of the first source chip and of the first target chip."""
        return self.sources[0].grid, self.targets[0].grid

    @classmethod
    def of(cls, listing: Listing, bands: BandChoice = (None, None)) -> UnpairedSets:
        """Open and check every chip of a listing without pairs.

        Chips without a valid pixel and duplicates of other chips are left out with a warning.

        Args:
            listing: The listing of two sides.
            bands: Bands of source and target, by number from 1 or by name.

        Raises:
            RasterFileError: A chip cannot be read.
            InvalidInputError: A side has no valid pixel, or a chip differs from the others of its
                side in bands or dtype.
        """
        assert listing.sides is not None
        left, right = listing.sides
        with remembered(listing.folder) as reader:
            source, target = (
                ChipSet.of(side, listing.layout, name, reader, chosen, listing.min_valid)
                for name, side, chosen in (("source", left, bands[0]), ("target", right, bands[1]))
            )
        own = (f"{one.side}: {line}" for one in (source, target) for line in one.left_out)
        left_out = (*listing.left_out, *own)
        used = [counted(one.members, one.noun) for one in (source, target)]
        warn_of_left_out(" and ".join(used), listing.path, left_out)
        return cls(listing.path, listing.layout, source, target, left_out)

    def masked(self, masks: Mapping[int, Mask]) -> UnpairedSets:
        """Return the sets with masks, by the positions of target chips, hiding their pixels."""
        return replace(self, target=self.target.masked(masks))

    def names(self, positions: Sequence[Sequence[int]]) -> tuple[str, ...]:
        """Return the names of chips, given the positions of source chips and of target chips."""
        sides = ((SOURCE_PREFIX, self.source), (TARGET_PREFIX, self.target))
        return tuple(
            prefix + side.members[i].name
            for (prefix, side), part in zip(sides, positions, strict=True)
            for i in part
        )


FoundChips: TypeAlias = PairSet | UnpairedSets
"""Chips of a training set; both kinds have the same interface."""


def sizes_of(pair: Pair) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return rows and columns of the source and of the target of a pair."""
    source, target = pair.source.kind, pair.target.kind
    return (source.height, source.width), (target.height, target.width)


def check_pair(pair: Pair) -> None:
    """Refuse a pair whose chips lie on different ground, or whose sizes do not fit each other.

    One chip may have a whole number of times as many pixels along an axis as the other.

    Raises:
        InvalidInputError: Their sizes do not fit each other.
        GridMismatchError: They lie on different ground.
    """
    source, target = pair.source, pair.target
    if source.kind is target.kind and source.ground == target.ground:
        return
    factor = factor_between(*sizes_of(pair))
    if factor is None:
        raise InvalidInputError(
            f"The chips of pair {pair.name} differ in size: {source.path} is {source.size} px, "
            f"{target.path} is {target.size} px. Give both sides the same size, or one side 2 to "
            f"{MOST_FACTOR} times the rows and columns of the other, a whole number."
        )
    georeferenced = source.grid.crs is not None and target.grid.crs is not None
    if georeferenced and source.place.path == target.place.path and source.grid != target.grid:
        raise GridMismatchError(
            f"{source.path} is twice as wide as high, so it was taken for a source and its target "
            "side by side, but it is georeferenced, and its halves lie on different ground. Give "
            "pictures without georeference, or a folder with images/ and images2/, or cut chips "
            "from two rasters with export_chips."
        )
    # Half a pixel: chips cut by another program may differ by rounding.
    here = source.grid.scaled(float(factor)) if factor > 1 else source.grid
    there = target.grid.scaled(float(1 / factor)) if factor < 1 else target.grid
    if georeferenced and not here.matches(there, tolerance=0.5):
        raise GridMismatchError(
            f"The chips of pair {pair.name} lie on different ground: {source.path} and "
            f"{target.path} differ in CRS or transform. Export the pair again with export_chips, "
            "which aligns the target."
        )
