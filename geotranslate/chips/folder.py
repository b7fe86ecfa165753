"""The pairs to train on: look into every one, and say what was left out."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affine import Affine
from rasterio.errors import NotGeoreferencedWarning
from tqdm.auto import tqdm

from geotranslate.chips.chip import Bands, Chip, RasterWindow
from geotranslate.chips.classes import resampling_for
from geotranslate.chips.facts import FactsCache
from geotranslate.chips.files import counted
from geotranslate.chips.layouts import list_chips
from geotranslate.errors import GeotranslateWarning, GridMismatchError, InvalidInputError
from geotranslate.raster.grid import Grid, align
from geotranslate.raster.source import Source, band_choice
from geotranslate.raster.tiles import tile_windows

PROGRESS_FROM = 300
"""Pairs from which looking into them takes long enough for a progress bar."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A source chip and its target chip."""

    name: str
    source: Chip
    target: Chip
    subset: str | None = None
    """Its part in the folder's own split, if it has one."""

    @property
    def ground(self) -> Grid:
        """The grid of the side that says best where the pair lies."""
        grids = (self.source.grid, self.target.grid)
        georeferenced = [grid for grid in grids if grid.crs is not None]
        placed = [grid for grid in grids if grid.transform != Affine.identity()]
        return (georeferenced or placed or [self.source.grid])[0]


@dataclass(frozen=True)
class ChipFolder:
    """The pairs that can be trained on, and a line for each thing left out."""

    path: Path | str
    """The folder; of two rasters the source as it was given, which may be a URL."""
    layout: str
    """What it was recognised as, in words; of two rasters also whether the target is warped."""
    pairs: tuple[Pair, ...]
    left_out: tuple[str, ...]

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
        cache = FactsCache(listing.path)
        source_bands, target_bands = _chosen(source_bands), _chosen(target_bands)

        def look(number: int) -> Pair:
            entry = listing.entries[number]
            files = (entry.target, entry.source) if swap else (entry.source, entry.target)
            return Pair(
                entry.name,
                cache.read(files[0], source_bands),
                cache.read(files[1], target_bands),
                entry.subset,
            )

        pairs = _look_into(look, len(listing.entries))
        cache.save()
        return cls._checked(listing.path, listing.layout, pairs, list(listing.left_out))

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
        source_bands, target_bands = _chosen(source_bands), _chosen(target_bands)
        with Source(source) as left, Source(target) as right:
            grid = left.grid
            with align(right.dataset, grid) as laid:
                warped = laid is not right.dataset
                windows = list(tile_windows(grid.height, grid.width, tile_size, stride))
        if not windows:
            raise InvalidInputError(
                f"{os.fspath(source)} is {grid.width} x {grid.height} px, smaller than a chip; "
                f"give a chip_size below {tile_size}."
            )

        method = resampling_for("target", target_classes, [target], target_bands)

        def look(number: int) -> Pair:
            window = windows[number]
            return Pair(
                f"row {window.row_off} column {window.col_off}",
                Chip.of(RasterWindow(os.fspath(source), window, grid, method), source_bands),
                Chip.of(RasterWindow(os.fspath(target), window, grid, method), target_bands),
            )

        pairs = _look_into(look, len(windows))
        enough = [p for p in pairs if min(p.source.valid_share, p.target.valid_share) >= min_valid]
        few = len(pairs) - len(enough)
        left_out = [f"{counted(range(few), 'tile')} with less than {min_valid:.0%} valid pixels"]
        layout = "two rasters"
        if warped:
            layout += f", the target laid onto the source's grid ({method.name} resampling)"
        return cls._checked(os.fspath(source), layout, enough, left_out if few else [])

    @classmethod
    def _checked(
        cls, path: Path | str, layout: str, pairs: Sequence[Pair], left_out: list[str]
    ) -> ChipFolder:
        kept: list[Pair] = []
        known: dict[tuple[Any, ...], str] = {}
        for pair in pairs:
            _check_pair(pair)
            # Equal pixels on other ground, of open water for example, are another pair.
            ground = (pair.ground.crs, pair.ground.transform)
            pixels = (pair.source.digest, pair.target.digest, *ground)
            if not (pair.source.statistics.count and pair.target.statistics.count):
                left_out.append(f"{pair.name}: no valid pixel in one of the chips")
            elif pixels in known:
                left_out.append(f"{pair.name}: the same pixels as {known[pixels]}")
            else:
                known[pixels] = pair.name
                kept.append(pair)
        if not kept:
            raise InvalidInputError(f"No pair in {path} has valid pixels on both sides.")
        _check_alike([pair.source for pair in kept])
        _check_alike([pair.target for pair in kept])
        if left_out:
            shown = "; ".join(left_out[:5])
            more = f"; and {len(left_out) - 5} more" if len(left_out) > 5 else ""
            warnings.warn(
                f"{counted(kept, 'pair')} of {path} can be used; left out: {shown}{more}",
                GeotranslateWarning,
                stacklevel=4,
            )
        return cls(path, layout, tuple(kept), tuple(left_out))


def _chosen(bands: Bands | None) -> Bands | None:
    return None if bands is None else band_choice(bands)


def _look_into(look: Callable[[int], Pair], count: int) -> list[Pair]:
    """Look into all pairs in parallel, with a progress bar where there are many."""
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as threads:
        # In threads no one else can.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        looks = threads.map(look, range(count))
        bar = tqdm(
            looks, total=count, desc="checking pairs", unit="pair", disable=count < PROGRESS_FROM
        )
        return list(bar)


def _check_pair(pair: Pair) -> None:
    source, target = pair.source, pair.target
    if source.size != target.size:
        raise InvalidInputError(
            f"The chips of pair {pair.name} differ in size: {source.path} is {source.size} px, "
            f"{target.path} is {target.size} px. Both sides of a pair need the same pixels."
        )
    georeferenced = source.grid.crs is not None and target.grid.crs is not None
    if georeferenced and source.path == target.path and source.grid != target.grid:
        raise GridMismatchError(
            f"{source.path} is twice as wide as high, so it was taken for a source and its target "
            "side by side, but it is georeferenced, and its halves lie on different ground. Give "
            "pictures without georeference, or a folder with images/ and images2/, or cut chips "
            "from two rasters with export_chips."
        )
    # Half a pixel: chips that were cut by another program may differ by its rounding.
    if georeferenced and not source.grid.matches(target.grid, tolerance=0.5):
        raise GridMismatchError(
            f"The chips of pair {pair.name} lie on different ground: {source.path} and "
            f"{target.path} differ in CRS or transform. Export the pair again with export_chips, "
            "which aligns the target."
        )


def _check_alike(chips: Sequence[Chip]) -> None:
    """Refuse chips of one side that differ from most in bands, their names or dtype."""
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
