"""Whatever writes says that a disk is full, leaves nothing half-written and what was there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from geotranslate import export_chips
from geotranslate.chips import writer
from geotranslate.chips.folder import ChipFolder
from tests.conftest import WriteRaster, values
from tests.full_disk import file_limit, files_in, fill, needs_limits, outcome, small_disk

Write = Callable[[Path], object]


@pytest.fixture
def rasters(write_raster: WriteRaster) -> tuple[Path, Path]:
    """Return a source with a nodata value and a target with a mask."""
    source = write_raster("in/a.tif", values((3, 96, 128), "uint8"), nodata=0)
    target = values((1, 96, 128), "uint16")
    return source, write_raster("in/b.tif", target, valid=target[0] > 9000)


def export(rasters: tuple[Path, Path], folder: Path, **options: Any) -> Path:
    export_chips(*rasters, folder / "chips", tile_size=32, progress=False, **options)
    return folder / "chips"


@needs_limits
@pytest.mark.parametrize("how", ["new", "overwrite", "append"])
def test_chips(rasters: tuple[Path, Path], tmp_path: Path, how: str) -> None:
    options = {} if how == "new" else {how: True, "stride": 48}
    check_limits(
        tmp_path / "out",
        None if how == "new" else lambda folder: export(rasters, folder),
        lambda folder: export(rasters, folder, **options),
    )


@pytest.mark.parametrize("how", ["new", "overwrite", "append"])
def test_chips_on_a_small_disk(rasters: tuple[Path, Path], tmp_path: Path, how: str) -> None:
    options = {} if how == "new" else {how: True, "stride": 24}
    with small_disk(tmp_path / "disk", 4_000_000) as disk:
        if how != "new":
            export(rasters, disk)
        before = files_in(disk)
        export(rasters, tmp_path, **{**options, "append": False})
        wanted = sum(len(content or b"") for content in files_in(tmp_path / "chips").values())
        for left in range(0, wanted, wanted // 8):
            filler = fill(disk, left)
            check_sentence(outcome(lambda: export(rasters, disk, **options)))
            filler.unlink()
            assert files_in(disk) == before
        assert not outcome(lambda: export(rasters, disk, **options))


def test_chips_where_room_comes_back(
    write_raster: WriteRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program makes room when the last chip is written, before the metadata."""
    source = write_raster("in/a.tif", values((3, 96, 128), "uint8"))
    rasters = source, write_raster("in/b.tif", values((1, 96, 128), "uint16"))
    metadata, filler = writer.write_metadata, tmp_path / "none"

    def with_room(*args: Any, **options: Any) -> None:
        filler.unlink()
        metadata(*args, **options)

    monkeypatch.setattr(writer, "write_metadata", with_room)
    with small_disk(tmp_path / "disk", 2_000_000) as disk:
        for left in range(0, 250_000, 16384):
            filler = fill(disk, left)
            said = outcome(lambda: export(rasters, disk, overwrite=True))
            filler.unlink(missing_ok=True)
            assert said or len(ChipFolder.read(disk / "chips").pairs) == 12
            assert not said or not files_in(disk)
            shutil.rmtree(disk / "chips", ignore_errors=True)
        assert not said


def check_limits(folder: Path, prepare: Write | None, write: Write) -> None:
    """Run what writes under limits on the size of files, from none to the largest one's own."""
    folder.mkdir()
    if prepare is not None:
        prepare(folder)
    before = files_in(folder)
    (whole := folder.with_name("whole")).mkdir()
    if prepare is not None:
        prepare(whole)
    write(whole)
    written = files_in(whole)
    sizes = sorted({len(content) for content in written.values() if content})
    some = sizes[:: max(len(sizes) // 4, 1)] + sizes[-1:]
    for limit in sorted({0, 100, sizes[-1] // 2, *(size - 1 for size in some)}):
        with file_limit(limit):
            said = outcome(lambda: write(folder))
        check_sentence(said)
        assert files_in(folder) == before, limit
    with file_limit(2 * sizes[-1] + 2**20):
        assert not outcome(lambda: write(folder))
    assert files_in(folder).keys() == written.keys()


def check_sentence(said: str) -> None:
    assert said.startswith("RasterFileError: "), said
    assert "room" in said, said
    assert any(word in said for word in ("written", "completed", "saved")), said
