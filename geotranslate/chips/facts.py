"""Cache of the facts of chips, so that every chip is examined only once."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rasterio.crs import CRS

from geotranslate.chips.chip import Bands, Chip
from geotranslate.chips.factsfile import FactsFile, Row, key_end
from geotranslate.chips.layouts import ChipFile, ChipPlace, RasterWindow
from geotranslate.chips.sidecars import FolderListing, Sidecars
from geotranslate.raster.composite import Composite

CACHE_FILE = ".geotranslate-chips.sqlite"


class ChipReader:
    """Reader of the facts of chips."""

    def __init__(self) -> None:
        self.sidecars = Sidecars()
        self._systems: dict[str, CRS] = {}
        self._lock = threading.Lock()

    def read(self, place: ChipPlace, bands: Bands | None) -> Chip:
        """Return a chip's facts."""
        chip = Chip.of(place, bands)
        crs = chip.grid.crs
        if crs is None:
            return chip
        # A CRS takes kilobytes, and most chips have the same.
        with self._lock:
            shared = self._systems.setdefault(crs.to_wkt(), crs)
        return replace(chip, grid=replace(chip.grid, crs=shared))

    def open_options(self, places: Iterable[ChipPlace]) -> dict[str, str]:
        """Return GDAL's options to open the files of chips fast."""
        files = (os.fspath(place.path) for place in places if isinstance(place, ChipFile))
        return self.sidecars.open_options({parted(file)[0] for file in files})


class FactsCache(ChipReader):
    """Reader that keeps the facts of a folder's chips, in a hidden file in the folder.

    A chip's facts are valid while the size and modification time of its files do not change.
    Nothing is cached in a folder that cannot be written.

    Args:
        folder: The chip folder.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._file = FactsFile(folder / CACHE_FILE, self._systems)
        self._known = self._file.read()
        self._fresh: dict[str, Row] = {}
        self._listings: dict[str, tuple[FolderListing, str]] = {}

    def read(self, place: ChipPlace, bands: Bands | None) -> Chip:
        """Return a chip's facts, from the cache if its files have not changed."""
        if isinstance(place, RasterWindow) or isinstance(place.path, Composite):
            return super().read(place, bands)
        folder, name = parted(os.fspath(place.path))
        listing, relative = self._listing(folder)
        key = f"{relative}{name}{key_end(place.half, bands)}"
        known = self._known.get(key)
        if known is not None and known.mark == _mark(listing, folder, name, known.others):
            self._fresh[key] = known
            return self._file.chip(place, known)
        chip = super().read(place, bands)
        others = tuple(_other(file, folder) for file in chip.files if file != os.fspath(place.path))
        mark = _mark(listing, folder, name, others)
        if mark is not None:
            self._fresh[key] = self._file.row(chip, mark, others)
        return chip

    def save(self) -> None:
        """Write the requested facts, if there are new ones."""
        if any(self._known.get(key) is not row for key, row in self._fresh.items()):
            self._file.write(self._known | self._fresh)

    def _listing(self, folder: str) -> tuple[FolderListing, str]:
        found = self._listings.get(folder)
        if found is None:
            relative = os.path.relpath(folder, self._folder).replace(os.sep, "/")
            found = self.sidecars.of(folder), f"{relative}/"
            self._listings[folder] = found
        return found


@contextmanager
def remembered(folder: Path | None) -> Iterator[ChipReader]:
    """Yield a reader of the facts of chips, which uses a folder's cache if possible.

    Args:
        folder: The chip folder, whose cache is saved at the end; None for windows of rasters, which
            are not cached.
    """
    if folder is None:
        yield ChipReader()
        return
    cache = FactsCache(folder)
    yield cache
    cache.save()


def parted(path: str) -> tuple[str, str]:
    """Return folder and name of a path that `pathlib` has written, as `os.path.split` but fast."""
    folder, separator, name = path.rpartition(os.sep)
    return (folder, name) if folder and separator else os.path.split(path)  # type: ignore[return-value]


def _other(file: str, folder: str) -> str:
    """Return the name of a file in a folder, or the whole path of one elsewhere."""
    parent, name = os.path.split(file)
    return name if parent == folder else os.path.abspath(file)


def _mark(listing: FolderListing, folder: str, name: str, others: tuple[str, ...]) -> str | None:
    """Return size and modification time of all files that a chip's facts can depend on.

    These are its file, the files beside it that share its name, and others that it was read from.
    """
    own = listing.state(name)
    if own is None:
        return None
    beside = listing.beside(name)
    if not (beside or others):
        return f"{own[0]} {own[1]}"
    states = {each: listing.state(each) for each in beside}
    for file in others:
        states[file] = _state(os.path.join(folder, file))
    return json.dumps([own, sorted(states.items())])


def _state(file: str) -> tuple[int, int] | None:
    try:
        state = os.stat(file)
    except (OSError, ValueError):
        return None
    return state.st_size, state.st_mtime_ns
