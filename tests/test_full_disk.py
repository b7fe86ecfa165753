"""Whatever writes says that a disk is full, leaves nothing half-written and what was there."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rasterio
import torch

from geotranslate import Pix2Pix, export_chips, load_model, prepare_data
from geotranslate.chips.export import writer
from geotranslate.demo.run import run_demo
from geotranslate.errors import GeotranslateWarning
from geotranslate.raster.pipeline import assemble_parts, translate_raster
from geotranslate.training.checkpoints import facts_in
from tests.conftest import WriteRaster, read_pairs, values
from tests.full_disk import file_limit, files_in, fill, needs_limits, outcome, small_disk
from tests.wrong_values import assert_one_sentence

Write = Callable[[Path], object]


def slow(value: object) -> Any:
    """Return a parameter whose test is slow."""
    return pytest.param(value, marks=pytest.mark.slow)


@pytest.fixture
def rasters(write_raster: WriteRaster) -> tuple[Path, Path]:
    """Return a source with a nodata value and a target with a mask."""
    source = write_raster("in/a.tif", values((3, 96, 128), "uint8"), nodata=0)
    target = values((1, 96, 128), "uint16")
    return source, write_raster("in/b.tif", target, valid=target[0] > 9000)


def export(rasters: tuple[Path, Path], folder: Path, **options: Any) -> Path:
    export_chips(*rasters, folder / "chips", tile_size=32, progress=False, **options)
    return folder / "chips"


@pytest.mark.slow
@needs_limits
@pytest.mark.parametrize("how", ["new", "overwrite", "append", "png"])
def test_chips(rasters: tuple[Path, Path], tmp_path: Path, how: str) -> None:
    new = {"new": {}, "png": {"format": "png"}}
    options = new.get(how, {how: True, "stride": 48})
    check_limits(
        tmp_path / "out",
        None if how in new else lambda folder: export(rasters, folder),
        lambda folder: export(rasters, folder, **options),
    )


@pytest.mark.slow
@pytest.mark.parametrize("how", ["append", slow("new"), slow("overwrite")])
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


@pytest.mark.slow
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
            assert said or len(read_pairs(disk / "chips").pairs) == 12
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


@needs_limits
@pytest.mark.parametrize("driver", ["COG", slow("GTiff")])
@pytest.mark.parametrize("old", [slow(False), True], ids=["new", "overwrite"])
def test_translation(write_raster: WriteRaster, tmp_path: Path, old: bool, driver: Any) -> None:
    data = values((2, 300, 600), "uint8")
    scene = write_raster("in/a.tif", data, valid=data[0] > 9)

    def write(folder: Path) -> object:
        output = folder / "b.tif"
        options = {"driver": driver, "overwrite": old, "progress": False}
        return translate_raster(scene, output, lambda batch: batch, bands_out=2, **options)

    def before(folder: Path) -> None:
        (folder / "b.tif").write_text("old")

    check_limits(tmp_path / "out", before if old else None, write)


@needs_limits
@pytest.mark.slow
def test_parts_of_shares(write_raster: WriteRaster, tmp_path: Path) -> None:
    scene = write_raster("in/a.tif", values((1, 600, 200), "uint8"))

    def write(folder: Path) -> object:
        for share in ("1/2", "2/2"):
            options = {"part": share, "part_rows": 256, "progress": False}
            translate_raster(scene, folder / "b.tif", lambda b: b, bands_out=1, **options)
        return assemble_parts(folder / "b.tif")

    check_limits(tmp_path / "out", None, write)


@pytest.fixture
def model(write_chips: Callable[..., Path]) -> Pix2Pix:
    torch.manual_seed(0)
    return Pix2Pix(
        prepare_data(write_chips(count=9), batch_size=4), recipe="seamless", ngf=4, ndf=4
    )


@needs_limits
@pytest.mark.parametrize("norm_stats", ["smooth", slow("running"), slow("scene")])
def test_prediction(
    write_raster: WriteRaster, tmp_path: Path, model: Pix2Pix, norm_stats: Any
) -> None:
    scene = write_raster("in/a.tif", values((3, 200, 300), "uint8"))

    def write(folder: Path) -> object:
        options = {"overwrite": True, "norm_stats": norm_stats, "progress": False}
        return model.predict_raster(scene, folder / "b.tif", **options)

    check_limits(tmp_path / "out", lambda folder: (folder / "b.tif").write_text("old"), write)


@needs_limits
@pytest.mark.parametrize("old", [False, True], ids=["new", "overwrite"])
def test_saved_model(tmp_path: Path, model: Pix2Pix, old: bool) -> None:
    def write(folder: Path) -> object:
        return model.save(folder / "model")

    check_limits(tmp_path / "out", write if old else None, write)


@pytest.mark.slow
@needs_limits
@pytest.mark.parametrize("limit", [300, 200_000, slow(0), slow(20_000), slow(500_000)])
def test_training(tmp_path: Path, model: Pix2Pix, limit: int) -> None:
    """A full disk costs a training its files, and what was there stays whole."""
    options: dict[str, Any] = {
        "folder": tmp_path / "training",
        "sample_every": 1,
        "checkpoint": "all",
        "precision": "float32",
        "progress": False,
    }
    model.fit(1, **options)
    with file_limit(limit), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        model.fit(1, **options)
    said = [str(one.message) for one in warned if one.category is GeotranslateWarning]
    for sentence in said:
        assert_one_sentence(sentence)
        assert "The training goes on; " in sentence
    assert len(model.history) == 2
    assert said
    check_training(tmp_path / "training")


def check_training(folder: Path) -> None:
    """Fail unless all that a training left is whole."""
    for path in folder.rglob("*"):
        assert "partial" not in path.name
        if path.name == "card.json":
            load_model(path.parent)
        elif path.suffix == ".png":
            with rasterio.open(path) as picture:
                picture.read()
        elif path.suffix == ".csv":
            assert path.read_text().count("\n") in (2, 3)
    assert facts_in(folder)


@needs_limits
@pytest.mark.parametrize("limit", [1000, slow(0), slow(100_000)])
def test_demo(tmp_path: Path, limit: int) -> None:
    with file_limit(limit):
        said = outcome(lambda: run_demo(tmp_path / "demo", size=256, epochs=2, say=str))
    check_sentence(said)
    assert "aerial.tif cannot be written" in said
    assert not list((tmp_path / "demo").iterdir())
