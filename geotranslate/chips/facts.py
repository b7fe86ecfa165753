"""Cache of the facts of chips, so that every chip is examined only once."""

from __future__ import annotations

import json
import math
import os
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from affine import Affine
from rasterio.crs import CRS

from geotranslate.chips.bands import ClassFacts, Statistics
from geotranslate.chips.chip import Bands, Chip
from geotranslate.chips.layouts import ChipFile, ChipPlace, RasterWindow
from geotranslate.files import replaced_when_whole
from geotranslate.raster.bandfacts import BandFacts
from geotranslate.raster.grid import Grid
from geotranslate.schema import Json

CACHE_FILE = ".geotranslate-chips.json"
VERSION = 5
BESIDE = (".aux.xml", ".msk", "w")

ReadChip: TypeAlias = Callable[[ChipPlace, Bands | None], Chip]
"""Function from a place and the bands to use to a chip with its facts."""


@contextmanager
def remembered(folder: Path | None) -> Iterator[ReadChip]:
    """Yield a function that reads the facts of chips, from a folder's cache if possible.

    Args:
        folder: The chip folder, whose cache is saved at the end; None for windows of rasters, which
            are not cached.
    """
    if folder is None:
        yield Chip.of
        return
    cache = FactsCache(folder)
    yield cache.read
    cache.save()


class FactsCache:
    """Cache of the facts of a folder's chips, in a hidden file in the folder.

    A chip's facts are valid while the size and modification time of its files do not change.
    Nothing is cached in a folder that cannot be written.

    Args:
        folder: The chip folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / CACHE_FILE
        self._facts: dict[str, Json] = {}
        self._fresh: dict[str, Json] = {}
        try:
            values = json.loads(self._read())
            if values["version"] == VERSION:
                self._facts = {
                    key: facts for key, facts in values["chips"].items() if _whole(facts)
                }
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            # Missing, damaged, or written by another version: it is made anew.
            pass

    def _read(self) -> str:
        # Reading a named pipe might block forever.
        return self._path.read_text(encoding="utf-8") if self._path.is_file() else ""

    def read(self, place: ChipPlace, bands: Bands | None) -> Chip:
        """Return a chip's facts, from the cache if its files have not changed."""
        if isinstance(place, RasterWindow):
            return Chip.of(place, bands)
        key = self._key(place, bands)
        known = self._facts.get(key)
        if known is not None and known["mark"] == _mark(place.path, known["files"]):
            self._fresh[key] = known
            return _chip_from_json(place, known)
        chip = Chip.of(place, bands)
        facts = {"mark": _mark(place.path, chip.files), **_chip_to_json(chip)}
        self._fresh[key] = {**facts, "check": _check(facts)}
        return chip

    def save(self) -> None:
        """Write the requested facts atomically."""
        if self._fresh == self._facts or (self._path.exists() and not self._path.is_file()):
            return
        partial = self._path.with_name(f"{CACHE_FILE}.{uuid.uuid4().hex[:8]}")
        content = {"version": VERSION, "chips": self._facts | self._fresh}
        # Without the file, chips are only examined again.
        with suppress(OSError), replaced_when_whole(self._path, partial):
            partial.write_text(json.dumps(content), encoding="utf-8")

    def _key(self, file: ChipFile, bands: Bands | None) -> str:
        place = os.path.relpath(file.path, self._path.parent).replace(os.sep, "/")
        chosen = list(bands) if isinstance(bands, list | tuple) else bands
        return json.dumps([place, file.half, chosen])


def _check(facts: Json) -> int:
    return zlib.crc32(json.dumps(facts).encode())


def _whole(facts: Any) -> bool:
    """Tell whether a chip's cached facts are intact."""
    if not isinstance(facts, dict):
        return False
    return facts.get("check") == _check({k: v for k, v in facts.items() if k != "check"})


def _mark(path: Path, files: Iterable[str]) -> list[list[int] | None]:
    """Return size and modification time of all files that a chip's facts can depend on.

    These are the files that it was read from, and sidecar files that GDAL would look for.
    """
    name = os.fspath(path)
    stem, suffix = os.path.splitext(name)
    beside = [f"{name}{ending}" for ending in BESIDE]
    world = [f"{stem}.{suffix[1:2]}{suffix[-1:]}w", f"{stem}.wld"]
    return [_state(file) for file in (name, *beside, *world, *sorted({*files} - {name}))]


def _state(file: str) -> list[int] | None:
    try:
        state = os.stat(file)
    except (OSError, ValueError):
        return None
    return [state.st_size, state.st_mtime_ns]


def _chip_to_json(chip: Chip) -> Json:
    grid = chip.grid
    nodata = "nan" if chip.nodata is not None and math.isnan(chip.nodata) else chip.nodata
    return {
        "files": chip.files,
        "indexes": chip.indexes,
        "file_bands": chip.file_bands,
        "crs": None if grid.crs is None else _shortest(grid.crs),
        "transform": grid.transform[:6],
        "size": (grid.height, grid.width),
        "dtype": chip.dtype,
        "nodata": nodata,
        "band_names": chip.band_names,
        "band_facts": chip.band_facts.to_json(),
        "classes": chip.classes.to_json(),
        "statistics": chip.statistics.to_json(),
        "valid_share": chip.valid_share,
        "digest": chip.digest,
    }


def _shortest(crs: CRS) -> str:
    """Return the code of a CRS if it defines the same CRS exactly, else its WKT."""
    code = ":".join(crs.to_authority() or ())
    return code if code and CRS.from_user_input(code) == crs else str(crs.to_wkt())


def _chip_from_json(file: ChipFile, values: Json) -> Chip:
    crs, nodata = values["crs"], values["nodata"]
    grid = Grid(
        None if crs is None else CRS.from_user_input(crs),
        Affine(*values["transform"]),
        *values["size"],
    )
    return Chip(
        place=file,
        files=tuple(values["files"]),
        indexes=tuple(values["indexes"]),
        file_bands=values["file_bands"],
        grid=grid,
        dtype=values["dtype"],
        nodata=None if nodata is None else float(nodata),
        band_names=tuple(values["band_names"]),
        band_facts=BandFacts.from_json(values["band_facts"], len(values["indexes"])),
        classes=ClassFacts.from_json(values["classes"]),
        statistics=Statistics.from_json(values["statistics"]),
        valid_share=values["valid_share"],
        digest=values["digest"],
    )
