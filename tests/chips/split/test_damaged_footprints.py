"""Reading of a `chips.gpkg` that is damaged, locked or open in another program."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from affine import Affine
from rasterio.crs import CRS

from geotranslate import export_chips, prepare_data
from geotranslate.chips.split.footprints import read_labels, write_footprints
from geotranslate.errors import GeotranslateError, RasterFileError
from geotranslate.raster.grid import Grid
from tests.conftest import WriteRaster, values
from tests.wrong_values import assert_one_sentence

LABELS = {f"{i:09d}": "train" if i % 3 else "val" for i in range(400)}
DAMAGED = r"chips\.gpkg cannot be read: it is damaged or no GeoPackage\. Restore it, or delete it"
BUSY = r"another program is writing to it, or was stopped while it did\. Save and close it there"

OTHER_PROGRAM = """
import sqlite3, sys
file = sqlite3.connect(sys.argv[1], isolation_level=None)
# Triggers of the file name these.
for name in ("IsEmpty", "MinX", "MaxX", "MinY", "MaxY"):
    file.create_function(f"ST_{name}", 1, lambda shape: 0)
for line in sys.stdin:
    file.execute(line)
    print("done", flush=True)
"""
WITHOUT_TRIGGERS = "PRAGMA writable_schema=1", "DELETE FROM sqlite_master WHERE type = 'trigger'"


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a `chips.gpkg` of several pages a table."""
    folder = tmp_path_factory.mktemp("whole")
    places = (Affine(1, 0, 5e5 + 64 * (i % 20), 0, -1, 4e6 - 64 * (i // 20)) for i in range(400))
    grids = [Grid(CRS.from_epsg(32633), place, 64, 64) for place in places]
    rows: list[dict[str, Any]] = [{"name": name, "split": LABELS[name]} for name in LABELS]
    write_footprints(folder, rows, grids)
    return (folder / "chips.gpkg").read_bytes()


@pytest.fixture
def file(tmp_path: Path, content: bytes) -> Path:
    (tmp_path / "chips.gpkg").write_bytes(content)
    return tmp_path / "chips.gpkg"


@contextmanager
def another_program(file: Path, *statements: str) -> Iterator[subprocess.Popen[str]]:
    """Run SQL in another process, which then keeps the file open until the block ends."""
    with subprocess.Popen(
        [sys.executable, "-c", OTHER_PROGRAM, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        for statement in statements:
            program.stdin.write(f"{statement}\n")
            program.stdin.flush()
            assert program.stdout.readline() == "done\n"
        try:
            yield program
        finally:
            program.kill()
            program.wait()


def assert_whole_or_said(file: Path) -> bool:
    """Read the labels; return whether they are whole, and fail if some are missing."""
    try:
        found = read_labels(file.parent)
    except GeotranslateError as error:
        assert_one_sentence(str(error))
        assert "sqlite3_" not in str(error)
        return False
    assert len(found) == len(LABELS)
    return True


def test_cut_off_footprints_are_said(file: Path, content: bytes) -> None:
    for size in range(1, len(content), 8191):
        file.write_bytes(content[:size])
        with pytest.raises(RasterFileError, match=DAMAGED):
            read_labels(file.parent)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # GDAL's, about what it finds
def test_damaged_footprints_are_said_or_no_label_is_missing(file: Path, content: bytes) -> None:
    chance = random.Random(0)
    whole = 0
    for _ in range(25):
        spoiled = bytearray(content)
        size = chance.choice([1, 64, 4096])
        at = chance.randrange(len(content) - size)
        spoiled[at : at + size] = chance.randbytes(size)
        file.write_bytes(spoiled)
        whole += assert_whole_or_said(file)
    assert 0 < whole < 25


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    "table", ["chips", "gpkg_contents", "gpkg_geometry_columns", "gpkg_spatial_ref_sys"]
)
def test_footprints_without_a_table_are_said_or_whole(file: Path, table: str) -> None:
    with closing(sqlite3.connect(file)) as opened:
        for statement in WITHOUT_TRIGGERS:
            opened.execute(statement)
        opened.execute(f"DROP TABLE {table}")
        opened.commit()
    assert not (assert_whole_or_said(file) and table == "chips")


def test_layers_of_other_programs_are_not_read(
    file: Path, recwarn: pytest.WarningsRecorder
) -> None:
    with closing(sqlite3.connect(file)) as opened:
        opened.execute("CREATE TABLE a_styles (id INTEGER PRIMARY KEY, split TEXT)")
        opened.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier) "
            "VALUES ('a_styles', 'attributes', 'a_styles')"
        )
        opened.commit()
    assert read_labels(file.parent) == LABELS
    assert not recwarn.list


@pytest.fixture(autouse=True)
def _no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let GDAL wait for a lock for 50 ms, in place of 5 s."""
    monkeypatch.setenv("SQLITE_BUSY_TIMEOUT", "50")


def test_locked_footprints_are_said(file: Path) -> None:
    with (
        another_program(file, "BEGIN EXCLUSIVE"),
        pytest.raises(RasterFileError, match=BUSY),
    ):
        read_labels(file.parent)
    assert read_labels(file.parent) == LABELS


HALF_WRITTEN = (
    "PRAGMA cache_size=1",
    "BEGIN",
    "UPDATE chips SET split = 'test'",
)


def test_half_written_footprints_are_said(file: Path) -> None:
    with another_program(file, *HALF_WRITTEN) as program:
        for state in ("written", "left"):
            with pytest.raises(RasterFileError, match=BUSY):
                read_labels(file.parent)
            if state == "written":
                program.kill()
                program.wait()
    with closing(sqlite3.connect(file)) as opened:
        opened.execute("SELECT * FROM chips").fetchall()
    assert read_labels(file.parent) == LABELS


AHEAD = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA wal_autocheckpoint=0",
    "UPDATE chips SET split = 'test'",
)


def test_labels_that_another_program_wrote_ahead_are_read(file: Path) -> None:
    with another_program(file, *AHEAD):
        assert set(read_labels(file.parent).values()) == {"test"}


@pytest.fixture
def chips(write_raster: WriteRaster, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that exports four pairs into one folder."""
    raster = write_raster("a.tif", values((1, 64, 64), "uint8"))

    def export(**options: Any) -> Path:
        options = {"tile_size": 32, "progress": False} | options
        return export_chips(raster, raster, tmp_path / "chips", **options).folder

    return export


@pytest.mark.parametrize("how", ["append", "overwrite"])
@pytest.mark.parametrize("statements", [AHEAD, HALF_WRITTEN])
def test_footprints_that_are_open_with_changes_are_not_replaced(
    chips: Callable[..., Path], how: str, statements: tuple[str, ...]
) -> None:
    folder = chips()

    def content() -> dict[Path, bytes]:
        # Readers share memory with the other program in a file that ends in -shm.
        return {path: path.read_bytes() for path in folder.rglob("*.*[!m]")}

    with another_program(folder / "chips.gpkg", *statements):
        before = content()
        with pytest.raises(RasterFileError, match=r"chips\.gpkg cannot be replaced: another prog"):
            chips(**{how: True})
        assert content() == before


def test_damage_does_not_matter_to_a_split_that_needs_no_labels(
    chips: Callable[..., Path], content: bytes
) -> None:
    folder = chips()
    (folder / "chips.gpkg").write_bytes(content[:5000])
    assert len(prepare_data(folder, split="random", augment="none").folder.pairs) == 4
    with pytest.raises(RasterFileError, match=DAMAGED):
        prepare_data(folder, split="folder")
    with pytest.raises(RasterFileError, match=DAMAGED):
        chips(append=True)
    assert len(read_labels(chips(overwrite=True))) == 4
