"""The pairs to train on: look into every one, and say what was left out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from geotranslate.chips.agreement import check_alike, check_pair
from geotranslate.chips.bands import resampling_for
from geotranslate.chips.chip import Bands, Chip, RasterWindow
from geotranslate.chips.facts import FactsCache
from geotranslate.chips.layouts import Listing, counted, list_chips
from geotranslate.chips.mask import Mask
from geotranslate.chips.pair import Pair, look_into, valid_ones, windows_of
from geotranslate.errors import InvalidInputError, warn
from geotranslate.raster.grid import align
from geotranslate.raster.reader import RasterReader, band_choice


@dataclass(frozen=True)
class ChipFolder:
    """The pairs that can be trained on, and a line for each thing left out."""

    path: Path | str
    """The folder; of two rasters the source as it was given, which may be a URL."""
    layout: str
    """What it was recognised as, in words; of two rasters also whether the target is warped."""
    pairs: tuple[Pair, ...]
    left_out: tuple[str, ...]
    noun: str = "pair"
    """What to call one of them: "source chip" or "target chip" where they are a side alone."""

    @cached_property
    def sources(self) -> tuple[Chip, ...]:
        """The source chips."""
        return tuple(pair.source for pair in self.pairs)

    @cached_property
    def targets(self) -> tuple[Chip, ...]:
        """The target chips."""
        return tuple(pair.target for pair in self.pairs)

    @classmethod
    def read(
        cls,
        path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        source_bands: Bands | None = None,
        target_bands: Bands | None = None,
        swap: bool = False,
    ) -> ChipFolder:
        """Find, open and check every pair of a chip folder, or of several.

        Chips without a partner, pairs without a valid pixel and pairs that are there already
        under another name are left out with a warning.

        Args:
            path: Folder in one of the known layouts, or a list of folders.
            source_bands: Bands of the source side, by number from 1 or by name.
            target_bands: Bands of the target side.
            swap: Whether the folder's target is the source and its source the target.

        Raises:
            RasterFileError: A folder is missing or a chip cannot be read.
            InvalidInputError: There is no pair, a pair differs in size, or a chip's bands or
                dtype differ from the others of its side.
            GridMismatchError: The two chips of a pair lie on different ground.
        """
        listing = list_chips(path)
        if listing.unpaired is not None:
            raise InvalidInputError(
                f"{listing.path} holds two sets of chips that are not paired ({listing.layout}). "
                "Give a folder of pairs, in which a source chip and its target chip share a name."
            )
        return cls.of(listing, source_bands=source_bands, target_bands=target_bands, swap=swap)

    @classmethod
    def of(
        cls,
        listing: Listing,
        *,
        source_bands: Bands | None = None,
        target_bands: Bands | None = None,
        swap: bool = False,
    ) -> ChipFolder:
        """Open and check the pairs of a listing, as `read` does."""
        cache = FactsCache(listing.path)
        source_bands, target_bands = chosen(source_bands), chosen(target_bands)

        def look(number: int) -> Pair:
            entry = listing.entries[number]
            files = (entry.target, entry.source) if swap else (entry.source, entry.target)
            return Pair(
                entry.name,
                cache.read(files[0], source_bands),
                cache.read(files[1], target_bands),
                entry.subset,
            )

        pairs = look_into(look, len(listing.entries))
        cache.save()
        return cls.checked(listing.path, listing.layout, pairs, listing.left_out)._said()

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
        target_classes: bool | None = None,
        min_valid: float = 0.5,
    ) -> ChipFolder:
        """Take the tiles of two rasters as pairs, without writing chips.

        Args:
            source: Raster to translate from, which gives the grid.
            target: Raster to translate to, warped as it is read where its grid differs.
            tile_size: Side of the chips, px.
            stride: Step from chip to chip, px.
            source_bands: Bands of the source, by number from 1 or by name.
            target_bands: Bands of the target.
            target_classes: Whether the target is warped as classes; None to find out.
            min_valid: Least share of valid pixels that each side of a pair needs.

        Raises:
            RasterFileError: A raster cannot be read.
            GridMismatchError: They do not overlap, or one of them has no CRS.
            InvalidInputError: The source is smaller than a tile, or nothing is valid.
        """
        source_bands, target_bands = chosen(source_bands), chosen(target_bands)
        with RasterReader(source) as left, RasterReader(target) as right:
            grid = left.grid
            with align(right.dataset, grid) as laid:
                warped = laid is not right.dataset
        windows = windows_of(source, grid, tile_size, stride)
        method = resampling_for("target", target_classes, [target], target_bands)

        def look(number: int) -> Pair:
            window = windows[number]
            return Pair(
                f"row {window.row_off} column {window.col_off}",
                Chip.of(RasterWindow(os.fspath(source), window, grid, method), source_bands),
                Chip.of(RasterWindow(os.fspath(target), window, grid, method), target_bands),
            )

        enough, left_out = valid_ones(look_into(look, len(windows)), min_valid)
        layout = "two rasters"
        if warped:
            layout += f", the target laid onto the source's grid ({method.name} resampling)"
        return cls.checked(os.fspath(source), layout, enough, left_out)._said()

    @classmethod
    def checked(
        cls,
        path: Path | str,
        layout: str,
        pairs: Sequence[Pair],
        left_out: Sequence[str],
        noun: str = "pair",
    ) -> ChipFolder:
        """Return the pairs that can be used, and lines for the others too.

        Raises:
            InvalidInputError: There is none, or they do not fit each other.
            GridMismatchError: The two chips of a pair lie on different ground.
        """
        lines = list(left_out)
        kept: list[Pair] = []
        known: dict[tuple[Any, ...], str] = {}
        for pair in pairs:
            check_pair(pair.name, pair.source, pair.target)
            # Equal pixels on other ground, of open water for example, are another pair.
            ground = (pair.ground.crs, pair.ground.transform)
            pixels = (pair.source.digest, pair.target.digest, *ground)
            if not (pair.source.statistics.count and pair.target.statistics.count):
                where = " in one of the chips" if noun == "pair" else ""
                lines.append(f"{pair.name}: no valid pixel{where}")
            elif pixels in known:
                lines.append(f"{pair.name}: the same pixels as {known[pixels]}")
            else:
                known[pixels] = pair.name
                kept.append(pair)
        if not kept:
            where = " on both sides" if noun == "pair" else ""
            raise InvalidInputError(f"No {noun} in {path} has valid pixels{where}.")
        check_alike([pair.source for pair in kept])
        check_alike([pair.target for pair in kept])
        return cls(path, layout, tuple(kept), tuple(lines), noun)

    def masked(self, masks: Mapping[int, Mask]) -> ChipFolder:
        """Return the folder without the pixels of targets that masks hide, by their positions."""
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            hidden = threads.map(lambda i: self.pairs[i].target.masked(masks[i]), masks)
            targets = dict(zip(masks, hidden, strict=True))
        pairs = (
            replace(pair, target=targets.get(i, pair.target)) for i, pair in enumerate(self.pairs)
        )
        return replace(self, pairs=tuple(pairs))

    def _said(self) -> ChipFolder:
        say_left_out(counted(self.pairs, self.noun), self.path, self.left_out)
        return self


def say_left_out(used: str, path: Path | str, left_out: Sequence[str]) -> None:
    """Warn of what is not used, where there is something.

    Args:
        used: What is used, as sentences say it.
        path: Where it is from.
        left_out: A line for each thing.
    """
    if left_out:
        shown = "; ".join(left_out[:5])
        more = f"; and {len(left_out) - 5} more" if len(left_out) > 5 else ""
        warn(
            f"{used} of {path} can be used; left out: {shown}{more}",
        )


def chosen(bands: Bands | None) -> Bands | None:
    """Return bands as a list, all as None."""
    return None if bands is None else band_choice(bands)
