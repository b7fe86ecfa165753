"""The SQLite file that holds the facts of a folder's chips."""

from __future__ import annotations

import json
import math
import sqlite3
import uuid
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from rasterio.crs import CRS

from geotranslate.chips.chip import Bands, Chip
from geotranslate.chips.layouts import ChipFile
from geotranslate.chips.record import Kind, short_json
from geotranslate.errors import InvalidInputError
from geotranslate.files import replaced_when_whole
from geotranslate.memory import collector_paused
from geotranslate.raster.bandfacts import BandFacts

VERSION = 7
TABLES = (
    "CREATE TABLE kinds (id INTEGER PRIMARY KEY, facts TEXT NOT NULL)",
    "CREATE TABLE chips (name TEXT PRIMARY KEY, mark TEXT, kind INTEGER, facts BLOB, rest TEXT, "
    "total INTEGER) WITHOUT ROWID",
)
"""Facts that many chips share, such as their CRS, and the facts of each chip."""
COLUMNS = "name, mark, kind, facts, rest, total"
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, RecursionError, InvalidInputError)
"""Errors that values of a damaged file may raise."""


class Row(NamedTuple):
    """The facts of a chip as they are kept; a tuple, as it is made several times as fast."""

    mark: str
    """State of the files that the facts depend on."""
    kind: Kind
    facts: bytes
    rest: str
    """These three as in a `Chip`."""


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
        self._names: dict[int, str] = {}

    @collector_paused()
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
        kinds: dict[int, tuple[Kind, int]] = {}
        texts: dict[str, str] = {}
        for number, text in file.execute("SELECT id, facts FROM kinds"):
            with suppress(*DAMAGE):
                kinds[number] = self._kind(text), zlib.crc32(text.encode())
        for name, mark, number, facts, rest, total in file.execute(f"SELECT {COLUMNS} FROM chips"):
            try:
                kind, start = kinds[number]
                if total == _total(name, mark, facts, rest, start):
                    # Most chips share this text.
                    rows[name] = Row(mark, kind, facts, texts.setdefault(rest, rest))
            except DAMAGE:
                continue

    def write(self, rows: dict[str, Row]) -> None:
        """Replace the file by one with these rows."""
        if self._path.exists() and not self._path.is_file():
            return
        partial = self._path.with_name(f"{self._path.name}.{uuid.uuid4().hex[:8]}")
        with suppress(sqlite3.Error, OSError, ValueError):
            with replaced_when_whole(self._path, partial):
                kinds = {id(row.kind): row.kind for row in rows.values()}
                texts = {number: self._text(kind) for number, kind in kinds.items()}
                _write_rows(partial, rows, texts)

    def _text(self, kind: Kind) -> str:
        nodata = "nan" if kind.nodata is not None and math.isnan(kind.nodata) else kind.nodata
        return short_json(
            {
                "crs": None if kind.crs is None else self._name(kind.crs),
                "size": (kind.height, kind.width),
                "indexes": kind.indexes,
                "file_bands": kind.file_bands,
                "dtype": kind.dtype,
                "nodata": nodata,
                "band_names": kind.band_names,
                "band_facts": kind.band_facts.to_json(),
                "sampled": kind.sampled,
            }
        )

    def _kind(self, text: str) -> Kind:
        """Return the facts of a JSON text."""
        values = json.loads(text)
        crs, nodata = values["crs"], values["nodata"]
        height, width = values["size"]
        return Kind(
            None if crs is None else self._shared(CRS.from_user_input(crs)),
            height,
            width,
            tuple(values["indexes"]),
            values["file_bands"],
            values["dtype"],
            None if nodata is None else float(nodata),
            tuple(values["band_names"]),
            BandFacts.from_json(values["band_facts"], len(values["indexes"])),
            values["sampled"],
        )

    def _name(self, crs: CRS) -> str:
        # Naming a CRS takes longer than all other facts, and the reader shares it between chips.
        name = self._names.get(id(crs))
        if name is None:
            name = self._names[id(crs)] = _shortest(crs)
        return name

    def _shared(self, crs: CRS) -> CRS:
        return self._systems.setdefault(crs.to_wkt(), crs)


def row_of(chip: Chip, mark: str) -> Row:
    """Return the row of a chip."""
    return Row(mark, chip.kind, chip.facts, chip.rest)


def chip_of(file: ChipFile, row: Row) -> Chip:
    """Return the chip of a row."""
    return Chip(file, row.kind, row.facts, row.rest)


def key_end(half: str | None, bands: Bands | None) -> str:
    """Return the end of a chip's name in the file: its half and its bands, if not all are used."""
    if half is None and bands is None:
        return ""
    return short_json([half, None if bands is None else list(bands)])


def _is_ours(file: sqlite3.Connection) -> bool:
    """Tell whether a database has this version and no other tables or views."""
    ((version,),) = file.execute("PRAGMA user_version")
    found = file.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name DESC")
    return version == VERSION and tuple(sql for (sql,) in found) == TABLES


def _write_rows(path: Path, rows: dict[str, Row], texts: dict[int, str]) -> None:
    """Write a new file.

    Args:
        path: The file.
        rows: Its rows by the names of the chips.
        texts: The text of each kind by its `id`; equal kinds may be several objects.
    """
    numbers = {text: number for number, text in enumerate(dict.fromkeys(texts.values()))}
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        # The file gets its name when it is whole, so that no journal is needed.
        for statement in ("PRAGMA journal_mode=OFF", "PRAGMA synchronous=OFF", "BEGIN", *TABLES):
            file.execute(statement)
        file.executemany(
            "INSERT INTO kinds VALUES (?, ?)", ((n, text) for text, n in numbers.items())
        )
        marks = ", ".join("?" * len(COLUMNS.split()))
        file.executemany(
            f"INSERT INTO chips VALUES ({marks})", _values(sorted(rows.items()), texts, numbers)
        )
        file.execute(f"PRAGMA user_version={VERSION}")
        file.execute("COMMIT")


def _values(
    rows: Iterable[tuple[str, Row]], texts: dict[int, str], numbers: dict[str, int]
) -> Iterator[tuple[Any, ...]]:
    starts = {text: zlib.crc32(text.encode()) for text in numbers}
    for name, (mark, kind, facts, rest) in rows:
        text = texts[id(kind)]
        total = _total(name, mark, facts, rest, starts[text])
        yield name, mark, numbers[text], facts, rest, total


def _total(name: str, mark: str, facts: bytes, rest: str, start: int) -> int:
    """Return a checksum of a row that continues the one of its kind."""
    return zlib.crc32(facts, zlib.crc32("\0".join((name, mark, rest)).encode(), start))


def _shortest(crs: CRS) -> str:
    """Return the code of a CRS if it defines the same CRS exactly, else its WKT."""
    code = ":".join(crs.to_authority() or ())
    return code if code and CRS.from_user_input(code) == crs else str(crs.to_wkt())
