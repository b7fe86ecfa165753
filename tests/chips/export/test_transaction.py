from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import rasterio
from affine import Affine

from geotranslate import export_chips
from geotranslate.chips.export.transaction import ARRIVING_FILE, remove_unnamed, sole_writer
from geotranslate.errors import GeotranslateWarning, OutputExistsError, RasterFileError
from tests.children import HANGS
from tests.conftest import NORTH_UP, WriteRaster, raster_writer, read_pairs, values

SENTENCE = r"Another export is writing \S*chips; wait until it has ended, or give another folder"
ROOT = Path(__file__).parents[3]


def write_both(write_raster: WriteRaster) -> tuple[Path, Path]:
    """Write a raster and another one elsewhere."""
    place = NORTH_UP @ Affine.translation(999, 0)
    return (
        write_raster("a.tif", values((1, 64, 64), "uint8")),
        write_raster("b.tif", values((1, 64, 96), "uint8", 1), transform=place),
    )


@pytest.fixture
def raster(write_raster: WriteRaster) -> Path:
    return write_raster("a.tif", values((1, 64, 64), "uint8"))


@pytest.fixture
def other(write_raster: WriteRaster) -> Path:
    return write_both(write_raster)[1]


def run(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"append": True}])
def test_second_export_into_a_folder_is_refused_while_the_first_runs(
    raster: Path, tmp_path: Path, options: dict[str, bool]
) -> None:
    chips = tmp_path / "chips"
    with (
        sole_writer(chips),
        ThreadPoolExecutor(1) as threads,
        pytest.raises(RasterFileError, match=SENTENCE),
    ):
        threads.submit(
            export_chips, raster, raster, chips, tile_size=32, progress=False, **options
        ).result()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif"]
    assert export_chips(raster, raster, chips, tile_size=32, progress=False).pairs == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif", "chips"]


def test_lock_of_a_killed_process_holds_no_longer(raster: Path, tmp_path: Path) -> None:
    chips = tmp_path / "chips"
    script = """
        import sys, time
        from pathlib import Path
        from geotranslate.chips.export.transaction import sole_writer
        with sole_writer(Path(sys.argv[1])):
            print("held", flush=True)
            time.sleep(3600)
    """
    holder = run(script, chips)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(RasterFileError, match=SENTENCE):
        export_chips(raster, raster, chips, tile_size=32, progress=False)
    holder.kill()
    holder.communicate()
    assert (tmp_path / ".chips.lock").exists()
    assert export_chips(raster, raster, chips, tile_size=32, progress=False).pairs == 4
    assert not (tmp_path / ".chips.lock").exists()


def test_only_one_of_many_holds_the_folder_at_a_time(tmp_path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def enter(number: int) -> None:
        for _ in range(200):
            try:
                with sole_writer(tmp_path / "chips"):
                    inside.append(number)
                    most.append(len(inside))
                    time.sleep(0)
                    inside.remove(number)
            except RasterFileError:
                continue

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(enter, range(8)))
    assert max(most) == 1


def test_folder_that_filled_up_meanwhile_is_not_overwritten(
    raster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chips = tmp_path / "chips"

    def finish(_: object) -> None:
        chips.mkdir()
        (chips / "notes.txt").write_text("mine")

    monkeypatch.setattr("geotranslate.chips.export.writer.ChipWriter.finish", finish)
    with pytest.raises(OutputExistsError, match="chips is not empty"):
        export_chips(raster, raster, chips, tile_size=32, progress=False)
    assert [path.name for path in chips.iterdir()] == ["notes.txt"]


def test_append_to_chips_that_changed_meanwhile_is_refused(
    raster: Path, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chips = tmp_path / "chips"
    export_chips(raster, raster, chips, tile_size=32, progress=False)

    def finish(_: object) -> None:
        (chips / "images" / "000000003.tif").unlink()
        (chips / "images2" / "000000003.tif").unlink()
        lines = (chips / "map.txt").read_text().splitlines(keepends=True)
        (chips / "map.txt").write_text("".join(lines[:3]))

    monkeypatch.setattr("geotranslate.chips.export.writer.ChipWriter.finish", finish)
    with pytest.raises(RasterFileError, match="chips was changed by another program while chips"):
        export_chips(other, other, chips, tile_size=32, append=True, progress=False)
    assert len(list((chips / "images").iterdir())) == 3


MOVES = (0, 1, 6, 7, 12, 14, 16)
KILLED = """
    import os, sys
    from geotranslate import export_chips
    from geotranslate.chips.export import transaction

    def append(raster, chips, most):
        moves, replace = 0, os.replace
        def move(*paths):
            nonlocal moves
            moves += 1
            if moves > most:
                os.kill(os.getpid(), 9)
            replace(*paths)
        transaction.os.replace = move
        export_chips(raster, raster, chips, tile_size=32, append=True, progress=False)

    for moves in map(int, sys.argv[3:]):
        if not (child := os.fork()):
            append(sys.argv[1], sys.argv[2].format(moves), moves)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
"""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with chips to which an append was killed after each number of moves."""
    folder = tmp_path_factory.mktemp("killed")
    raster, other = write_both(raster_writer(folder))
    for moves in MOVES:
        export_chips(raster, raster, folder / f"chips{moves}", tile_size=32, progress=False)
    assert run(KILLED, other, folder / "chips{}", *MOVES).wait(timeout=HANGS) == 0
    return folder


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks processes")
@pytest.mark.parametrize("moves", MOVES)
def test_killed_append_leaves_the_old_pairs_and_the_next_one_heals(
    killed: Path, moves: int
) -> None:
    chips, other = killed / f"chips{moves}", killed / "b.tif"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeotranslateWarning)
        assert [pair.name for pair in read_pairs(chips).pairs] == [f"{n:09d}" for n in range(4)]
    (chips / "images" / "notes.txt").write_text("mine")
    export_chips(other, other, chips, tile_size=32, append=True, progress=False)
    folder = read_pairs(chips)
    assert len(folder.pairs) == 10
    assert not folder.left_out
    assert (chips / "images" / "notes.txt").read_text() == "mine"
    assert not (chips / ARRIVING_FILE).exists()
    for pair in folder.pairs[4:]:
        with rasterio.open(other) as scene:
            assert pair.source.grid.crs == scene.crs
            assert pair.source.grid.transform.c >= scene.transform.c


def test_append_killed_after_its_last_move_is_complete(
    raster: Path, other: Path, tmp_path: Path
) -> None:
    chips = tmp_path / "chips"
    for path in (raster, other):
        export_chips(path, path, chips, tile_size=32, append=True, progress=False)
    names = [f"{side}/{n:09d}.tif" for side in ("images", "images2") for n in range(4, 10)]
    (chips / ARRIVING_FILE).write_text("\n".join(names))
    remove_unnamed(chips)
    assert len(read_pairs(chips).pairs) == 10


def test_first_append_that_was_killed_is_done_anew(raster: Path, tmp_path: Path) -> None:
    chips = tmp_path / "chips"
    export_chips(raster, raster, chips, tile_size=32, progress=False)
    names = [f"{side}/{n:09d}.tif" for side in ("images", "images2") for n in range(4)]
    for name in ("map.txt", "chips.gpkg", names[-1]):
        (chips / name).unlink()
    (chips / ARRIVING_FILE).write_text("\n".join(names))
    assert export_chips(raster, raster, chips, tile_size=32, append=True, progress=False).pairs == 4
    assert len(read_pairs(chips).pairs) == 4


def test_names_that_lead_out_of_the_folder_are_not_removed(raster: Path, tmp_path: Path) -> None:
    chips = tmp_path / "chips"
    export_chips(raster, raster, chips, tile_size=32, progress=False)
    shutil.copy(raster, chips / "mine.tif")
    names = ["../a.tif", "images/../mine.tif", "mine.tif", "", "images/", str(raster)]
    (chips / ARRIVING_FILE).write_text("\n".join(names))
    remove_unnamed(chips)
    assert raster.is_file()
    assert (chips / "mine.tif").is_file()


def test_folder_that_may_not_be_written_is_named(
    raster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("geotranslate.chips.export.transaction.os.open", refuse)
    with pytest.raises(RasterFileError, match=r"chips cannot be written: Permission denied in "):
        export_chips(raster, raster, tmp_path / "chips", progress=False)
