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
from geotranslate.chips.factsfile import FactsFile, Row, chip_of, key_end, row_of
from geotranslate.chips.layouts import ChipFile, ChipPlace, RasterWindow
from geotranslate.chips.record import Kind, rest_in
from geotranslate.chips.sidecars import FolderListing, Sidecars

CACHE_FILE = ".geotranslate-chips.sqlite"
HASHED = (
    "height",
    "width",
    "indexes",
    "file_bands",
    "dtype",
    "band_names",
    "band_facts",
    "sampled",
)
"""Facts of a kind by which equal ones are found, besides its CRS and its nodata value."""


class ChipReader:
    """Reader of the facts of chips."""

    def __init__(self) -> None:
        self.sidecars = Sidecars()
        self._systems: dict[str, CRS] = {}
        self._kinds: dict[tuple[object, ...], Kind] = {}
        self._lock = threading.Lock()

    def known(self, place: ChipPlace, bands: Bands | None) -> Chip | None:
        """Return a chip whose facts need not be read; None for all others."""
        return None

    def read(self, place: ChipPlace, bands: Bands | None) -> Chip:
        """Read a chip and return it with its facts."""
        chip = Chip.of(place, bands)
        return replace(chip, kind=self._shared(chip.kind))

    def _shared(self, kind: Kind) -> Kind:
        """Return an equal kind, which chips share."""
        with self._lock:
            # A CRS takes kilobytes, and hashing it takes long.
            crs = kind.crs
            if crs is not None:
                crs = self._systems.setdefault(crs.to_wkt(), crs)
            key = (id(crs), str(kind.nodata), *(getattr(kind, name) for name in HASHED))
            return self._kinds.setdefault(key, replace(kind, crs=crs))

    def open_options(self, places: Iterable[ChipPlace]) -> dict[str, str]:
        """Return GDAL's options to open the files of chips fast."""
        files = (place.path for place in places if isinstance(place, ChipFile))
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

    def known(self, place: ChipPlace, bands: Bands | None) -> Chip | None:
        """Return a chip whose files have not changed since its facts were kept, else None."""
        if isinstance(place, RasterWindow):
            return None
        folder, name = parted(place.path)
        listing, relative = self._listings.get(folder) or self._listing(folder)
        row = self._known.get(f"{relative}{name}{key_end(place.half, bands)}")
        if row is None or row.mark != _mark(listing, folder, name, rest_in(row.rest)[0]):
            return None
        return chip_of(place, row)

    def read(self, place: ChipPlace, bands: Bands | None) -> Chip:
        """Read a chip, and keep its facts."""
        chip = super().read(place, bands)
        if isinstance(place, RasterWindow):
            return chip
        folder, name = parted(place.path)
        listing, relative = self._listings.get(folder) or self._listing(folder)
        mark = _mark(listing, folder, name, chip.others)
        if mark is not None:
            self._fresh[f"{relative}{name}{key_end(place.half, bands)}"] = row_of(chip, mark)
        return chip

    def save(self) -> None:
        """Write the known facts and the new ones, if there are new ones."""
        if self._fresh:
            self._file.write(self._known | self._fresh)

    def _listing(self, folder: str) -> tuple[FolderListing, str]:
        relative = os.path.relpath(folder, self._folder).replace(os.sep, "/")
        found = self._listings[folder] = self.sidecars.of(folder), f"{relative}/"
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
