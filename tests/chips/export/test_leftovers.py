from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from geotranslate import export_chips
from geotranslate.chips.export.transaction import BESIDE_CHIPS, FORMER, clear_leftovers
from tests.conftest import WriteRaster, read_pairs, values

EXCHANGED = ("images", "images2", *BESIDE_CHIPS)
ROOT = Path(__file__).parents[3]


@pytest.fixture
def exports(write_raster: WriteRaster, tmp_path: Path) -> tuple[Path, Path]:
    """Return a chip folder with 4 pairs and what an export of 1 pair wrote to replace them."""
    raster = write_raster("a.tif", values((1, 64, 64), "uint8"))
    chips, new = tmp_path / "chips", tmp_path / "new"
    export_chips(raster, raster, chips, tile_size=32, progress=False)
    export_chips(raster, raster, new, tile_size=64, progress=False)
    return chips, new.rename(tmp_path / ".chips.ab_d3fgh.partial")


def moves(
    chips: Path, temporary: Path, exchanged: tuple[str, ...] = EXCHANGED
) -> list[tuple[Path, Path]]:
    """Return what an export moves to replace chips, in its order."""
    aside = [(chips / name, temporary / f"{FORMER}{name}") for name in exchanged]
    return aside + [(temporary / name, chips / name) for name in exchanged]


@pytest.mark.parametrize("done", range(2 * len(EXCHANGED) + 1))
def test_chips_that_a_killed_export_had_moved_aside_come_back(
    exports: tuple[Path, Path], done: int
) -> None:
    chips, temporary = exports
    before = {path.relative_to(chips): path.read_bytes() for path in chips.rglob("*.*")}
    for one, other in moves(chips, temporary)[:done]:
        os.replace(one, other)
    clear_leftovers(chips)
    assert not temporary.exists()
    if done == 2 * len(EXCHANGED):
        assert len(read_pairs(chips).pairs) == 1
    else:
        after = {path.relative_to(chips): path.read_bytes() for path in chips.rglob("*.*")}
        assert after == before


@pytest.mark.parametrize("done", [1, 3, 7, 8, 9, 13, 14])
def test_unpaired_chips_come_back_and_folders_of_others_stay(
    write_raster: WriteRaster, tmp_path: Path, done: int
) -> None:
    chips, temporary = tmp_path / "chips", tmp_path / ".chips.ab_d3fgh.partial"
    for folder, dtype in ((chips, "int16"), (temporary, "uint8")):
        raster = write_raster("a.tif", values((1, 32, 32), dtype))
        export_chips(raster, raster, folder, tile_size=32, layout="cyclegan", progress=False)
    (chips / "images").mkdir()
    (chips / "images" / "mine.tif").write_text("mine")
    before = {path.relative_to(chips): path.read_bytes() for path in chips.rglob("*.*")}
    exchanged = ("trainA", "trainB", *BESIDE_CHIPS)
    for one, other in moves(chips, temporary, exchanged)[:done]:
        os.replace(one, other)
    clear_leftovers(chips)
    assert not temporary.exists()
    after = {path.relative_to(chips): path.read_bytes() for path in chips.rglob("*.*")}
    assert (after == before) == (done < 14)
    assert after.keys() == before.keys()


@pytest.mark.parametrize("done", [10, 14])
def test_a_second_kill_does_no_more_harm(
    exports: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, done: int
) -> None:
    chips, temporary = exports
    for one, other in moves(chips, temporary)[: done - 1]:
        os.replace(one, other)
    replace, left = os.replace, done // 2

    def fail(*paths: Path) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError
        replace(*paths)

    monkeypatch.setattr("geotranslate.chips.export.transaction.os.replace", fail)
    clear_leftovers(chips)
    assert temporary.exists()
    left = 100
    clear_leftovers(chips)
    assert not temporary.exists()
    assert len(read_pairs(chips).pairs) == 4


def test_old_chips_are_kept_where_others_took_their_place(exports: tuple[Path, Path]) -> None:
    chips, temporary = exports
    for one, other in moves(chips, temporary)[:3]:
        os.replace(one, other)
    shutil.copytree(temporary / "images", chips / "images")
    clear_leftovers(chips)
    assert len(list((temporary / f"{FORMER}images").iterdir())) == 4


@pytest.mark.parametrize("folders", ["", "images images2", "former_images"])
def test_what_was_never_finished_is_removed_and_nothing_else(tmp_path: Path, folders: str) -> None:
    names = (
        *("chips.v2.abcdefgh.partial", ".chips.v2.abcdefgh.partial", ".chips.abcdefgh"),
        *(".chips.lock", ".chips.abc.partial", ".xchips.abcdefgh.partial", "chips"),
    )
    for name in names:
        (tmp_path / name).mkdir()
    for folder in ("", *folders.split()):
        (tmp_path / ".chips.abcdefgh.partial" / folder).mkdir()
    clear_leftovers(tmp_path / "chips")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process by a signal")
def test_next_export_clears_up_after_a_killed_one(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    raster = write_raster("a.tif", values((1, 64, 64), "uint8"))
    chips = tmp_path / "chips"
    export_chips(raster, raster, chips, tile_size=32, progress=False)
    script = """
        import os, sys
        from geotranslate import export_chips
        from geotranslate.chips.export import transaction
        moves, replace = 0, os.replace
        def move(*paths):
            global moves
            moves += 1
            if moves > 9:
                os.kill(os.getpid(), 9)
            replace(*paths)
        transaction.os.replace = move
        export_chips(*sys.argv[1:2] * 2, sys.argv[2], tile_size=64, overwrite=True)
    """
    killed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(raster), str(chips)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
    )
    assert killed.returncode == -9
    assert any(path.name.endswith(".partial") for path in tmp_path.iterdir())
    export_chips(raster, raster, chips, tile_size=32, append=True, progress=False)
    assert len(list((chips / "images").iterdir())) == 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif", "chips"]
