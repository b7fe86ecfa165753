"""A source chip and its target chip, and how many of them are looked into."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window
from tqdm.auto import tqdm

from geotranslate.chips.chip import Chip
from geotranslate.chips.layouts import counted
from geotranslate.errors import InvalidInputError
from geotranslate.raster.grid import Grid
from geotranslate.raster.tiling import tile_windows

PROGRESS_FROM = 300
"""Pairs from which looking into them takes long enough for a progress bar."""
MOST_WINDOWS = 200_000
"""Of a raster: what is known of each stays in memory."""


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
        return _best(self.source.grid, self.target.grid)

    @property
    def target_ground(self) -> Grid:
        """The same, but of two that are as good that of the target."""
        return _best(self.target.grid, self.source.grid)

    @property
    def valid_share(self) -> float:
        """Share of valid pixels of the side that has fewer."""
        return min(self.source.valid_share, self.target.valid_share)

    def valid(self) -> NDArray[np.bool_]:
        """Return which pixels are valid on both sides, `(rows, cols)`."""
        size = (self.source.grid.height, self.source.grid.width)
        shown = [chip.read()[1] for chip in (self.source, self.target) if chip.valid_share < 1]
        return np.logical_and.reduce([np.ones(size, bool), *shown])


def _best(*grids: Grid) -> Grid:
    """Return the first grid with a CRS, else the first with a transform, else the first."""
    georeferenced = [grid for grid in grids if grid.crs is not None]
    placed = [grid for grid in grids if grid.transform != Affine.identity()]
    return (georeferenced or placed or list(grids))[0]


def windows_of(
    path: str | os.PathLike[str], grid: Grid, tile_size: int, stride: int
) -> list[Window]:
    """Return the whole tiles of a raster.

    Raises:
        InvalidInputError: It is smaller than one, or has too many.
    """
    rows, cols = ((side - tile_size) // stride + 1 for side in (grid.height, grid.width))
    if min(rows, cols) < 1:
        raise InvalidInputError(
            f"{os.fspath(path)} is {grid.width} x {grid.height} px, smaller than a chip; "
            f"give a chip_size below {tile_size}."
        )
    if rows * cols > MOST_WINDOWS:
        raise InvalidInputError(
            f"{os.fspath(path)} has {rows * cols} windows of {tile_size} px at a stride of "
            f"{stride} px, and at most {MOST_WINDOWS} can be used; give a larger stride or "
            "chip_size, or a part of the raster."
        )
    return list(tile_windows(grid.height, grid.width, tile_size, stride))


def valid_ones(pairs: Sequence[Pair], min_valid: float) -> tuple[list[Pair], list[str]]:
    """Return the pairs with enough valid pixels on either side, and a line about the others."""
    enough = [p for p in pairs if min(p.source.valid_share, p.target.valid_share) >= min_valid]
    few = len(pairs) - len(enough)
    line = f"{counted(range(few), 'tile')} with less than {min_valid:.0%} valid pixels"
    return enough, [line] if few else []


def look_into(look: Callable[[int], Pair], count: int, noun: str = "pair") -> list[Pair]:
    """Look into all pairs in parallel, with a progress bar where there are many."""
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as threads:
        # In threads no one else can.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        looks = threads.map(look, range(count))
        quiet = count < PROGRESS_FROM
        return list(tqdm(looks, total=count, desc=f"checking {noun}s", unit=noun, disable=quiet))
