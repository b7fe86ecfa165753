from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from rasterio.crs import CRS

from geotranslate import prepare_data
from geotranslate.chips.chip import Chip
from geotranslate.chips.facts import CACHE_FILE
from tests.conftest import WriteRaster, read_pairs, values

WriteChips = Callable[..., Path]


@contextmanager
def opened(folder: Path) -> Iterator[sqlite3.Connection]:
    """Yield the cache of a folder as a database."""
    with closing(sqlite3.connect(folder / CACHE_FILE)) as file:
        yield file
        file.commit()


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the chips that are opened from now on."""
    found: list[Any] = []
    original = Chip.of
    monkeypatch.setattr(Chip, "of", lambda *a: found.append(a) or original(*a))
    return found


def content(folder: Path) -> list[Any]:
    with opened(folder) as file:
        return list(file.execute("SELECT * FROM chips, kinds ORDER BY name"))


@pytest.mark.parametrize(
    "change",
    [
        *("mark = ''", "mark = NULL", "mark = 3", "kind = 9", "kind = 'a'", "kind = NULL"),
        *("facts = x'00'", "facts = NULL", "facts = substr(facts, 1, 60)", "facts = 'a'"),
        *("rest = '3'", "rest = NULL", "rest = '{'", "rest = x'00'"),
        *("total = total + 1", "total = NULL", "name = 'images/b.tif'"),
    ],
)
def test_damaged_facts_of_a_chip_are_looked_up_anew(
    write_chips: WriteChips, looked: list[Any], change: str
) -> None:
    folder = write_chips(count=3)
    first = prepare_data(folder).card
    with opened(folder) as file:
        file.execute(f"UPDATE chips SET {change} WHERE name = (SELECT min(name) FROM chips)")
    looked.clear()
    assert prepare_data(folder).card == first
    assert len(looked) == 1
    # And then they are whole again.
    assert prepare_data(folder).card == first
    assert len(looked) == 1


@pytest.mark.parametrize(
    "change",
    [
        *("UPDATE kinds SET facts = '3'", "UPDATE kinds SET facts = '{}'", "DROP TABLE chips"),
        *("DELETE FROM kinds", "CREATE TABLE more (a)", "CREATE VIEW more AS SELECT 1"),
        *("ALTER TABLE chips ADD COLUMN a", "PRAGMA user_version = 5"),
        "UPDATE kinds SET facts = replace(facts, 'EPSG:32633', 'EPSG:0')",
    ],
)
def test_damaged_tables_are_made_anew(
    write_chips: WriteChips, looked: list[Any], change: str
) -> None:
    folder = write_chips(count=3)
    first = prepare_data(folder).card
    whole = content(folder)
    with opened(folder) as file:
        file.execute(change)
    looked.clear()
    assert prepare_data(folder).card == first
    assert len(looked) == 6
    assert content(folder) == whole


@pytest.mark.parametrize("part", [0.0, 0.3, 0.6, 0.99])
@pytest.mark.parametrize("filling", [b"", b"\0" * 512, b"[]"])
def test_damaged_files_are_made_anew(write_chips: WriteChips, part: float, filling: bytes) -> None:
    folder = write_chips(count=3)
    first = prepare_data(folder).card
    cache, whole = folder / CACHE_FILE, content(folder)
    written = cache.read_bytes()
    at = int(part * len(written))
    rest = written[at + len(filling) :] if filling else b""
    cache.write_bytes(written[:at] + filling + rest)
    assert prepare_data(folder).card == first
    assert content(folder) == whole


def test_locked_file_is_read(write_chips: WriteChips, looked: list[Any]) -> None:
    folder = write_chips(count=3)
    first = prepare_data(folder).card
    looked.clear()
    with opened(folder) as file:
        file.execute("BEGIN EXCLUSIVE")
        assert prepare_data(folder).card == first
    assert not looked


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root may write")
def test_folder_that_cannot_be_written_is_used(write_chips: WriteChips) -> None:
    folder = write_chips(count=3)
    folder.chmod(0o500)
    try:
        assert prepare_data(folder).card == prepare_data(folder).card
        assert not (folder / CACHE_FILE).exists()
    finally:
        folder.chmod(0o700)


def test_failure_to_write_stops_nobody(
    write_chips: WriteChips, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_chips(count=3)

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("geotranslate.chips.factsfile._write_rows", full)
    prepare_data(folder)
    assert not [name for name in os.listdir(folder) if name.startswith(".")]


def test_a_changed_chip_is_looked_up_anew(
    write_chips: WriteChips, looked: list[Any], write_raster: WriteRaster
) -> None:
    folder = write_chips(count=3)
    prepare_data(folder)
    looked.clear()
    chip = sorted((folder / "images").iterdir())[0]
    os.utime(chip, ns=(1, 1))
    prepare_data(folder)
    assert [place.path for place, _ in looked] == [str(chip)]
    # So is one with a new file beside it, and one without a file that was beside it.
    beside = chip.with_name(f"{chip.name}.aux.xml")
    beside.write_text("<PAMDataset/>")
    prepare_data(folder)
    prepare_data(folder)
    beside.unlink()
    prepare_data(folder)
    assert [place.path for place, _ in looked] == [str(chip)] * 3


def test_facts_move_with_their_folder(
    write_chips: WriteChips, looked: list[Any], tmp_path: Path
) -> None:
    folder = write_chips(count=3)
    first = prepare_data(folder).card
    moved = folder.rename(tmp_path / "elsewhere")
    looked.clear()
    assert prepare_data(moved).card == first
    assert not looked


@pytest.mark.parametrize(
    "crs",
    [
        "EPSG:32633",
        "ESRI:54009",
        "+proj=laea +lat_0=52 +lon_0=10 +ellps=GRS80 +units=m",
        "+proj=utm +zone=33 +datum=WGS84 +units=us-ft",
        None,
    ],
)
def test_crs_is_remembered_as_it_is(
    write_raster: WriteRaster, tmp_path: Path, crs: str | None
) -> None:
    for side in ("images", "images2"):
        write_raster(f"{side}/a.tif", values((1, 8, 8), "uint8"), crs=crs)
    for _ in range(2):
        (pair,) = read_pairs(tmp_path).pairs
        assert pair.source.grid.crs == (None if crs is None else CRS.from_user_input(crs))


def test_facts_of_classes_are_remembered(write_raster: WriteRaster, tmp_path: Path) -> None:
    table = {1: (255, 0, 0, 255), 2: (0, 255, 0, 255)}
    for side in ("images", "images2"):
        write_raster(f"{side}/a.tif", values((1, 8, 8), "uint8") % 3, colormap=table)
    (looked,), (known,) = (read_pairs(tmp_path).pairs for _ in range(2))
    assert looked.source.classes == known.source.classes
    assert known.source.classes.colors == ((1, 255, 0, 0, 255), (2, 0, 255, 0, 255))
    assert known.source.classes.codes.values == (0, 1, 2)
