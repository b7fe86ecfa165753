"""The chips of two sides that are no pairs: of one layout, or of two rasters."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TypeAlias

from rasterio.enums import Resampling

from geotranslate.chips.chip import Bands, Chip, RasterWindow
from geotranslate.chips.facts import FactsCache
from geotranslate.chips.folder import ChipFolder, chosen, say_left_out
from geotranslate.chips.labels import TRAIN, VALIDATION
from geotranslate.chips.layouts import ChipFile, Listing, counted
from geotranslate.chips.pair import Pair, look_into, valid_ones, windows_of
from geotranslate.raster.reader import RasterReader


@dataclass(frozen=True)
class ChipSides:
    """The chips of both sides that can be trained on, and a line for each thing left out.

    Either side is a `ChipFolder` of its own, in whose pairs a chip stands on both sides: it is
    checked, lies on the ground and is divided like pairs, whatever the other side is.
    """

    path: Path | str
    """The folder; of two rasters the source as it was given, which may be a URL."""
    layout: str
    """What it was recognised as, in words."""
    source: ChipFolder
    target: ChipFolder
    left_out: tuple[str, ...]

    @property
    def sources(self) -> tuple[Chip, ...]:
        """The source chips."""
        return self.source.sources

    @property
    def targets(self) -> tuple[Chip, ...]:
        """The target chips."""
        return self.target.targets

    @classmethod
    def of(
        cls,
        listing: Listing,
        *,
        source_bands: Bands | None = None,
        target_bands: Bands | None = None,
        swap: bool = False,
    ) -> ChipSides:
        """Open and check every chip of an unpaired layout.

        Chips without a valid pixel and those that are there already under another name are left
        out with a warning.

        Args:
            listing: What was found, with `unpaired` sides.
            source_bands: Bands of the source side, by number from 1 or by name.
            target_bands: Bands of the target side.
            swap: Whether the folder's target is the source and its source the target.

        Raises:
            RasterFileError: A chip cannot be read.
            InvalidInputError: A side has no valid pixel, or a chip's bands or dtype differ from
                the others of its side.
        """
        assert listing.unpaired is not None
        cache = FactsCache(listing.path)

        def side(name: str, place: int, bands: Bands | None) -> ChipFolder:
            assert listing.unpaired is not None
            files = _named(listing.unpaired[place], listing.validation[place])
            bands = chosen(bands)

            def look(number: int) -> Pair:
                label, file, subset = files[number]
                chip = cache.read(file, bands)
                return Pair(label, chip, chip, subset)

            noun = f"{name} chip"
            pairs = look_into(look, len(files), noun)
            return ChipFolder.checked(listing.path, listing.layout, pairs, (), noun)

        first, second = (1, 0) if swap else (0, 1)
        source, target = side("source", first, source_bands), side("target", second, target_bands)
        cache.save()
        return cls._said(listing.path, listing.layout, source, target, listing.left_out)

    @classmethod
    def of_rasters(
        cls,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str],
        *,
        tile_size: int,
        stride: int,
        source_bands: Bands | None = None,
        target_bands: Bands | None = None,
        min_valid: float = 0.5,
    ) -> ChipSides:
        """Take the tiles of two rasters, each on its own grid, without writing chips.

        Nothing is warped: the rasters may be of different places, CRS and pixel sizes.

        Args:
            source: Raster to translate from.
            target: Raster that shows what translations look like.
            tile_size: Side of the chips, px.
            stride: Step from chip to chip, px.
            source_bands: Bands of the source, by number from 1 or by name.
            target_bands: Bands of the target.
            min_valid: Least share of valid pixels that a chip needs.

        Raises:
            RasterFileError: A raster cannot be read.
            InvalidInputError: One is smaller than a tile, or nothing is valid.
        """
        layout = "two rasters, unpaired, each on its own grid"

        def side(name: str, raster: str | os.PathLike[str], bands: Bands | None) -> ChipFolder:
            bands = chosen(bands)
            with RasterReader(raster) as opened:
                grid = opened.grid
            windows = windows_of(raster, grid, tile_size, stride)

            def look(number: int) -> Pair:
                window = windows[number]
                # On its own grid nothing is resampled.
                place = RasterWindow(os.fspath(raster), window, grid, Resampling.nearest)
                chip = Chip.of(place, bands)
                return Pair(f"row {window.row_off} column {window.col_off}", chip, chip)

            noun = f"{name} chip"
            enough, left_out = valid_ones(look_into(look, len(windows), noun), min_valid)
            return ChipFolder.checked(os.fspath(raster), layout, enough, left_out, noun)

        left, right = side("source", source, source_bands), side("target", target, target_bands)
        return cls._said(os.fspath(source), layout, left, right, ())

    @classmethod
    def _said(
        cls,
        path: Path | str,
        layout: str,
        source: ChipFolder,
        target: ChipFolder,
        left_out: Sequence[str],
    ) -> ChipSides:
        own = (
            f"{name}: {line}"
            for name, side in (("source", source), ("target", target))
            for line in side.left_out
        )
        lines = (*left_out, *own)
        used = [counted(side.pairs, side.noun) for side in (source, target)]
        say_left_out(" and ".join(used), path, lines)
        return cls(path, layout, source, target, lines)


FoundChips: TypeAlias = ChipFolder | ChipSides
"""What can be trained on, paired or not."""


def _named(
    training: Sequence[ChipFile], validation: Sequence[ChipFile]
) -> list[tuple[str, ChipFile, str | None]]:
    """Return the chips of a side with names and, where the folder is divided, their parts.

    Names are paths below what all of them have in common, without endings.
    """
    files = [*training, *validation]
    levels = zip(*(file.path.parent.parts for file in files), strict=False)
    shared = len(list(takewhile(lambda names: len(set(names)) == 1, levels)))
    # Without a part for validation no part is named: labels of footprints may do so.
    parts = [TRAIN if validation else None] * len(training) + [VALIDATION] * len(validation)
    return [
        ("/".join((*file.path.parent.parts[shared:], file.path.stem)), file, part)
        for file, part in zip(files, parts, strict=True)
    ]
