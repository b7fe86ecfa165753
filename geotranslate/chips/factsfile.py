"""The SQLite file that holds the facts of a folder's chips."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import struct
import uuid
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from affine import Affine
from rasterio.crs import CRS

from geotranslate.chips.bands import ClassFacts, Statistics
from geotranslate.chips.bands.sample import Sample
from geotranslate.chips.chip import Bands, Chip
from geotranslate.chips.layouts import ChipFile
from geotranslate.errors import InvalidInputError
from geotranslate.files import replaced_when_whole
from geotranslate.raster.bandfacts import BandFacts
from geotranslate.raster.grid import Grid

VERSION = 6
TABLES = (
    "CREATE TABLE kinds (id INTEGER PRIMARY KEY, facts TEXT NOT NULL)",
    "CREATE TABLE chips (name TEXT PRIMARY KEY, mark TEXT, others TEXT, kind INTEGER, facts BLOB, "
    "sample BLOB, classes TEXT, digest TEXT, total INTEGER) WITHOUT ROWID",
)
"""Facts that many chips share, such as their CRS, and the facts of each chip."""
COLUMNS = "name, mark, others, kind, facts, sample, classes, digest, total"
PLACE = struct.Struct("<7d")
"""Coefficients of the transform, and share of valid pixels; the statistics follow."""
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, RecursionError, InvalidInputError)
"""Errors that values of a damaged file may raise."""


@dataclass(frozen=True, slots=True)
class Row:
    """The facts of a chip as they are kept."""

    mark: str
    """State of the files that the facts depend on."""
    others: tuple[str, ...]
    """Files that the chip was read from besides its own; names are relative to its folder."""
    kind: str
    """Facts that many chips share, as JSON."""
    facts: bytes
    """Transform, share of valid pixels, and statistics."""
    sample: bytes
    classes: str
    """Facts about classes, as JSON."""
    digest: str


@dataclass(frozen=True, slots=True)
class Kind:
    """Facts that many chips share."""

    crs: CRS | None
    size: tuple[int, int]
    indexes: tuple[int, ...]
    file_bands: int
    dtype: str
    nodata: float | None
    band_names: tuple[str, ...]
    band_facts: BandFacts
    sampled: str
    """dtype of the sample; empty without one."""


class FactsFile:
    """The file of a folder's facts, which is replaced as a whole.

    A file that is missing, damaged, or written by another version counts as empty, and one that
    cannot be written is left out: chips are only examined again.

    Args:
        path: The file.
        systems: Coordinate reference systems by WKT, which chips share.
    """

    def __init__(self, path: Path, systems: dict[str, CRS]) -> None:
        self._path, self._systems = path, systems
        self._kinds: dict[str, Kind] = {}
        self._names: dict[int, str] = {}

    def read(self) -> dict[str, Row]:
        """Return the intact rows by the names of the chips."""
        rows: dict[str, Row] = {}
        # Reading a named pipe might block forever.
        if not self._path.is_file():
            return rows
        with suppress(sqlite3.Error, OSError, ValueError, TypeError, MemoryError):
            # Nobody changes the file, which is replaced as a whole, so that no lock is needed.
            name = f"{self._path.absolute().as_uri()}?mode=ro&immutable=1"
            with closing(sqlite3.connect(name, uri=True)) as file:
                if _is_ours(file):
                    self._read_rows(file, rows)
        return rows

    def _read_rows(self, file: sqlite3.Connection, rows: dict[str, Row]) -> None:
        kinds: dict[int, str] = {}
        for number, text in file.execute("SELECT id, facts FROM kinds"):
            with suppress(*DAMAGE):
                self._kind(text)
                kinds[number] = text
        for name, mark, others, kind, *facts, total in file.execute(f"SELECT {COLUMNS} FROM chips"):
            with suppress(*DAMAGE):
                files = tuple(json.loads(others)) if others else ()
                row = Row(mark, files, kinds[kind], *facts)
                if total == _total(name, row):
                    rows[name] = row

    def write(self, rows: dict[str, Row]) -> None:
        """Replace the file by one with these rows."""
        if self._path.exists() and not self._path.is_file():
            return
        partial = self._path.with_name(f"{self._path.name}.{uuid.uuid4().hex[:8]}")
        with suppress(sqlite3.Error, OSError, ValueError):
            with replaced_when_whole(self._path, partial):
                _write_rows(partial, rows)

    def row(self, chip: Chip, mark: str, others: tuple[str, ...]) -> Row:
        """Return the row of a chip."""
        samples = chip.statistics.samples
        sample = samples[0] if samples else None
        assert sample is None or isinstance(sample, Sample)
        return Row(
            mark,
            others,
            self._kind_text(chip, sample),
            PLACE.pack(*chip.grid.transform[:6], chip.valid_share) + chip.statistics.to_bytes(),
            b"" if sample is None else sample.packed,
            _text(chip.classes.to_json()),
            chip.digest,
        )

    def chip(self, file: ChipFile, row: Row) -> Chip:
        """Return the chip of a row."""
        kind = self._kind(row.kind)
        *transform, share = PLACE.unpack_from(row.facts)
        sample = Sample(len(kind.indexes), kind.sampled, row.sample) if row.sample else None
        return Chip(
            file,
            _files(os.fspath(file.path), row.others),
            kind.indexes,
            kind.file_bands,
            Grid(kind.crs, Affine(*transform), *kind.size),
            kind.dtype,
            kind.nodata,
            kind.band_names,
            kind.band_facts,
            _classes(row.classes),
            Statistics.from_bytes(row.facts[PLACE.size :], sample),
            share,
            row.digest,
        )

    def _kind_text(self, chip: Chip, sample: Sample | None) -> str:
        nodata = "nan" if chip.nodata is not None and math.isnan(chip.nodata) else chip.nodata
        return _text(
            {
                "crs": None if chip.grid.crs is None else self._name(chip.grid.crs),
                "size": (chip.grid.height, chip.grid.width),
                "indexes": chip.indexes,
                "file_bands": chip.file_bands,
                "dtype": chip.dtype,
                "nodata": nodata,
                "band_names": chip.band_names,
                "band_facts": chip.band_facts.to_json(),
                "sampled": "" if sample is None else sample.dtype,
            }
        )

    def _kind(self, text: str) -> Kind:
        """Return the facts of a JSON text; chips of one text share them."""
        kind = self._kinds.get(text)
        if kind is None:
            values = json.loads(text)
            crs, nodata = values["crs"], values["nodata"]
            kind = Kind(
                None if crs is None else self._shared(CRS.from_user_input(crs)),
                tuple(values["size"]),
                tuple(values["indexes"]),
                values["file_bands"],
                values["dtype"],
                None if nodata is None else float(nodata),
                tuple(values["band_names"]),
                BandFacts.from_json(values["band_facts"], len(values["indexes"])),
                values["sampled"],
            )
            self._kinds[text] = kind
        return kind

    def _name(self, crs: CRS) -> str:
        # Naming a CRS takes longer than all other facts, and the reader shares it between chips.
        name = self._names.get(id(crs))
        if name is None:
            name = self._names[id(crs)] = _shortest(crs)
        return name

    def _shared(self, crs: CRS) -> CRS:
        return self._systems.setdefault(crs.to_wkt(), crs)


def key_end(half: str | None, bands: Bands | None) -> str:
    """Return the end of a chip's name in the file: its half and its bands, if not all are used."""
    if half is None and bands is None:
        return ""
    return _text([half, None if bands is None else list(bands)])


def _is_ours(file: sqlite3.Connection) -> bool:
    """Tell whether a database has this version and no other tables or views."""
    ((version,),) = file.execute("PRAGMA user_version")
    found = file.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name DESC")
    return version == VERSION and tuple(sql for (sql,) in found) == TABLES


def _write_rows(path: Path, rows: dict[str, Row]) -> None:
    kinds = {kind: number for number, kind in enumerate({row.kind: None for row in rows.values()})}
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        # The file gets its name when it is whole, so that no journal is needed.
        for statement in ("PRAGMA journal_mode=OFF", "PRAGMA synchronous=OFF", "BEGIN", *TABLES):
            file.execute(statement)
        file.executemany(
            "INSERT INTO kinds VALUES (?, ?)", ((n, kind) for kind, n in kinds.items())
        )
        marks = ", ".join("?" * len(COLUMNS.split()))
        file.executemany(
            f"INSERT INTO chips VALUES ({marks})", _values(sorted(rows.items()), kinds)
        )
        file.execute(f"PRAGMA user_version={VERSION}")
        file.execute("COMMIT")


def _values(rows: Iterable[tuple[str, Row]], kinds: dict[str, int]) -> Iterator[tuple[Any, ...]]:
    for name, row in rows:
        yield (
            name,
            row.mark,
            _text(row.others) if row.others else "",
            kinds[row.kind],
            row.facts,
            row.sample,
            row.classes,
            row.digest,
            _total(name, row),
        )


def _total(name: str, row: Row) -> int:
    """Return a checksum of a row."""
    texts = (name, row.mark, *row.others, row.kind, row.classes, row.digest)
    return zlib.crc32(row.sample, zlib.crc32(row.facts, zlib.crc32("\0".join(texts).encode())))


def _files(path: str, others: tuple[str, ...]) -> tuple[str, ...]:
    if not others:
        return (path,)
    folder = os.path.dirname(path)
    return path, *(os.path.join(folder, other) for other in others)


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


@lru_cache(maxsize=4096)
def _classes(text: str) -> ClassFacts:
    return ClassFacts.from_json(json.loads(text))


def _shortest(crs: CRS) -> str:
    """Return the code of a CRS if it defines the same CRS exactly, else its WKT."""
    code = ":".join(crs.to_authority() or ())
    return code if code and CRS.from_user_input(code) == crs else str(crs.to_wkt())
