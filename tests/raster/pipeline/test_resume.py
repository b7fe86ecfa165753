"""An interruption costs time and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from geotranslate.errors import (
    GeotranslateWarning,
    InvalidInputError,
    OutputExistsError,
    RasterFileError,
    TranslationError,
)
from geotranslate.raster.pipeline import assemble_parts, translate_raster
from geotranslate.raster.pipeline.parts import PartsFolder, open_parts
from geotranslate.raster.tiling import REPORT_TAG
from tests.children import Child
from tests.conftest import WriteRaster, values

Batch = NDArray[np.float32]
OPTIONS: dict[str, Any] = {
    "bands_out": 1,
    "tile_size": 64,
    "overlap": 16,
    "part_rows": 256,
    "progress": False,
}


def shade(batch: Batch) -> Batch:
    """Translate depending on the whole tile, so that a tile that is missing shows."""
    return batch / 2 + batch.mean(axis=(1, 2, 3), keepdims=True)


def translate_until(source: Path, output: Path, tiles: int) -> None:
    """Translate a raster, and stop for a long time after some tiles."""
    seen = 0

    def stopping(batch: Batch) -> Batch:
        nonlocal seen
        seen += len(batch)
        if seen > tiles:
            print("stopped", flush=True)  # noqa: T201
            time.sleep(3600)
        return shade(batch)

    translate_raster(source, output, stopping, **{**OPTIONS, "resume": True})


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(
    write_raster: WriteRaster, tmp_path: Path, kills: int
) -> None:
    path = write_raster("a.tif", values((1, 2000, 300), "uint8"))
    whole = translate_raster(path, tmp_path / "whole.tif", shade, **OPTIONS)
    expected = whole.path.read_bytes()
    chance = np.random.default_rng(0)
    finished = set()
    for number in range(kills):
        output, log = tmp_path / f"{number}.tif", tmp_path / f"{number}.txt"
        # However slow the machine is, the kills come all along the eight parts.
        stop = (number % 4 + int(chance.integers(100)) / 100) * whole.tiles / 4
        with Child(log, translate_until, path, output, int(stop)) as child:
            child.wait_for(lambda log=log: "stopped\n" in log.read_text())
            # Other threads may be writing.
            time.sleep(chance.uniform(0, 0.1))
        finished.add(len(parts_of(output)))
        result = translate_raster(path, output, shade, **OPTIONS, resume=True)
        assert output.read_bytes() == expected
        assert (result.tiles, result.mismatch) == (whole.tiles, pytest.approx(whole.mismatch))
        assert not (tmp_path / f"{number}.tif.parts").exists()
    assert len(finished) > min(kills // 4, 2), "the kills should come at different moments"


def parts_of(output: Path) -> list[Path]:
    """Return the finished parts that wait beside an output."""
    return list(output.with_name(f"{output.name}.parts").glob("part_??????.tif"))


def failing_at(tile: int) -> Any:
    """Return an apply that fails at a tile."""
    seen = 0

    def apply(batch: Batch) -> Batch:
        nonlocal seen
        seen += len(batch)
        if seen > tile:
            raise RuntimeError("out of memory")
        return shade(batch)

    return apply


def interrupted(path: Path, output: Path, **options: Any) -> None:
    """Leave some parts of an output and not all."""
    with (
        pytest.warns(
            GeotranslateWarning,
            match=r"finished and stay in .*: resume=True goes on with them .*--resume",
        ),
        pytest.raises(TranslationError, match="out of memory"),
    ):
        translate_raster(path, output, failing_at(150), **{**OPTIONS, **options})
    assert not output.exists()
    assert parts_of(output)


def test_interruption_from_the_keyboard_stops_the_threads_and_can_be_resumed(
    raster: Path, tmp_path: Path
) -> None:
    threads = threading.active_count()
    seen = 0

    def interrupt(batch: Batch) -> Batch:
        nonlocal seen
        seen += len(batch)
        if seen > 150:
            raise KeyboardInterrupt
        return shade(batch)

    with (
        pytest.warns(GeotranslateWarning, match="parts are finished and stay"),
        pytest.raises(KeyboardInterrupt),
    ):
        translate_raster(raster, tmp_path / "b.tif", interrupt, **OPTIONS)
    assert threading.active_count() == threads
    assert not list(tmp_path.glob("**/*.partial.tif"))
    result = translate_raster(raster, tmp_path / "b.tif", shade, **OPTIONS, resume=True)
    whole = translate_raster(raster, tmp_path / "whole.tif", shade, **OPTIONS)
    assert result.path.read_bytes() == whole.path.read_bytes()


@pytest.fixture
def raster(write_raster: WriteRaster) -> Path:
    return write_raster("a.tif", values((1, 2000, 300), "uint8"))


def test_finished_parts_are_not_computed_again(raster: Path, tmp_path: Path) -> None:
    interrupted(raster, tmp_path / "b.tif")
    seen = []

    def count(batch: Batch) -> Batch:
        seen.append(len(batch))
        return shade(batch)

    result = translate_raster(raster, tmp_path / "b.tif", count, **OPTIONS, resume=True)
    assert sum(seen) < result.tiles - 100
    seen.clear()
    again = translate_raster(raster, tmp_path / "b.tif", count, **OPTIONS, resume=True)
    assert not seen, "what is finished is not computed again"
    assert again.path == result.path


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"identity": "another"}, "model,"),
        ({"identity": {"model": "", "precision": "a"}}, "precision,"),
        ({"overlap": 8}, "tiling"),
        ({"fill": 3}, "kind of output"),
        ({"dtype": "int16"}, "kind of output"),
        ({"driver": "GTiff"}, "driver"),
        ({"bbox": (500_000, 4_999_000, 500_100, 5_000_000)}, "area"),
    ],
)
def test_parts_of_another_output_are_refused(
    raster: Path, tmp_path: Path, options: dict[str, Any], name: str
) -> None:
    output = tmp_path / "b.tif"
    interrupted(raster, output)
    with pytest.raises(InvalidInputError, match=f"b.tif.parts were made with another .*{name}"):
        translate_raster(raster, output, shade, **{**OPTIONS, **options}, resume=True)
    result = translate_raster(raster, output, shade, **OPTIONS, resume=True)
    assert result.path.exists()


def test_raster_that_changed_is_refused(raster: Path, tmp_path: Path) -> None:
    interrupted(raster, tmp_path / "b.tif")
    with rasterio.open(raster, "r+") as dataset:
        dataset.write(values((1, 2000, 300), "uint8", seed=1))
    os.utime(raster, ns=(1, 1))
    with pytest.raises(InvalidInputError, match="made with another raster"):
        translate_raster(raster, tmp_path / "b.tif", shade, **OPTIONS, resume=True)


def test_batch_size_and_memory_may_change_between_runs(raster: Path, tmp_path: Path) -> None:
    whole = translate_raster(raster, tmp_path / "whole.tif", shade, **OPTIONS)
    interrupted(raster, tmp_path / "b.tif", batch_size=3)
    result = translate_raster(
        raster, tmp_path / "b.tif", shade, **OPTIONS, batch_size=7, max_memory=1000, resume=True
    )
    assert result.path.read_bytes() == whole.path.read_bytes()


def test_without_resume_it_starts_anew(raster: Path, tmp_path: Path) -> None:
    interrupted(raster, tmp_path / "b.tif", overlap=8)
    result = translate_raster(raster, tmp_path / "b.tif", shade, **OPTIONS)
    whole = translate_raster(raster, tmp_path / "whole.tif", shade, **OPTIONS)
    assert result.path.read_bytes() == whole.path.read_bytes()
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.tif", "b.tif", "whole.tif"]


def test_resume_does_not_overwrite_another_output(raster: Path, tmp_path: Path) -> None:
    output = tmp_path / "b.tif"
    output.write_text("precious")
    with pytest.raises(OutputExistsError):
        translate_raster(raster, output, shade, **OPTIONS, resume=True)
    assert output.read_text() == "precious"


def test_output_of_another_driver_is_not_taken_for_finished(raster: Path, tmp_path: Path) -> None:
    output = tmp_path / "b.tif"
    translate_raster(raster, output, shade, **OPTIONS)
    options: dict[str, Any] = {**OPTIONS, "driver": "gtiff", "resume": True}
    with pytest.raises(OutputExistsError):
        translate_raster(raster, output, shade, **options)
    translate_raster(raster, output, shade, **options, overwrite=True)
    with rasterio.open(output) as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") != "COG"
    made = output.stat().st_mtime_ns
    translate_raster(raster, output, shade, **options)
    assert output.stat().st_mtime_ns == made


@pytest.mark.filterwarnings("ignore:Share .* has nothing to compute")
@pytest.mark.parametrize("shares", [1, 2, 3, 20])
def test_shares_computed_apart_make_the_same_file(
    raster: Path, tmp_path: Path, shares: int
) -> None:
    whole = translate_raster(raster, tmp_path / "whole.tif", shade, **OPTIONS)
    tiles = 0
    for share in reversed(range(shares)):
        result = translate_raster(
            raster, tmp_path / "b.tif", shade, **OPTIONS, part=f"{share + 1}/{shares}"
        )
        assert not (tmp_path / "b.tif").exists()
        tiles += result.tiles
    assert tiles == whole.tiles
    assert assemble_parts(tmp_path / "b.tif").read_bytes() == whole.path.read_bytes()
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.tif", "b.tif", "whole.tif"]


def test_share_computed_twice_changes_nothing(raster: Path, tmp_path: Path) -> None:
    output = tmp_path / "b.tif"
    translate_raster(raster, output, shade, **OPTIONS, part=(1, 2))
    parts = sorted((tmp_path / "b.tif.parts").glob("part*"))
    before = [part.stat().st_mtime_ns for part in parts]
    translate_raster(raster, output, shade, **OPTIONS, part=(1, 2))
    assert [part.stat().st_mtime_ns for part in parts] == before


@pytest.mark.parametrize("part", ["1/9", (1, 9)])
def test_share_without_a_part_is_said(raster: Path, tmp_path: Path, part: Any) -> None:
    sentence = r"Share 1/9 of .*b\.tif has nothing to compute, as the output has 8 parts;"
    with pytest.warns(GeotranslateWarning, match=sentence):
        result = translate_raster(raster, tmp_path / "b.tif", shade, **OPTIONS, part=part)
    assert (result.tiles, len(result.warnings)) == (0, 1)


def test_missing_share_is_named(raster: Path, tmp_path: Path) -> None:
    translate_raster(raster, tmp_path / "b.tif", shade, **OPTIONS, part="1/2")
    with pytest.raises(RasterFileError, match=r"4 of the 8 parts .* missing .* number 5; compute"):
        assemble_parts(tmp_path / "b.tif")


def test_parts_that_were_never_computed_are_said(tmp_path: Path) -> None:
    with pytest.raises(RasterFileError, match=r"There are no parts in .*b\.tif\.parts"):
        assemble_parts(tmp_path / "b.tif")


@pytest.mark.parametrize("removed", [0, 3, 8])
def test_parts_that_outlive_their_output_are_removed(
    raster: Path, tmp_path: Path, removed: int
) -> None:
    """A run may be killed when the output is there and its parts are not yet gone."""
    output, folder, left = (tmp_path / name for name in ("b.tif", "b.tif.parts", "left"))
    translate_raster(raster, output, shade, **OPTIONS, part="1/1")
    shutil.copytree(folder, left)
    before = assemble_parts(output).read_bytes()
    left.rename(folder)
    for part in list(folder.glob("part_*"))[:removed]:
        part.unlink()
    other = {**OPTIONS, "identity": "another", "overwrite": True}
    with pytest.raises(InvalidInputError, match="made with another model"):
        translate_raster(raster, output, shade, **other, resume=True)
    assert folder.exists(), "parts of another output are not ours to remove"
    translate_raster(raster, output, shade, **OPTIONS, resume=True)
    assert output.read_bytes() == before
    assert not folder.exists()


def test_plan_is_the_last_to_be_removed(
    raster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts without it would be taken over by a run that makes other ones."""
    translate_raster(raster, tmp_path / "b.tif", shade, **OPTIONS, part="1/1")
    open_parts(tmp_path / "b.tif").once("known", Path.touch)
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)
    assemble_parts(tmp_path / "b.tif")
    assert [item.name for item in (tmp_path / "b.tif.parts").iterdir()] == ["plan.json"]


def test_damaged_plan_is_said(raster: Path, tmp_path: Path) -> None:
    translate_raster(raster, tmp_path / "b.tif", shade, **OPTIONS, part="1/2")
    plan = tmp_path / "b.tif.parts" / "plan.json"
    known = json.loads(plan.read_text())
    output = known["output"]
    changed = [
        *({"recipe": 5}, {"recipe": {"model": []}}, {"state": None}, {"driver": "x"}, {"x": 1}),
        *({"edges": []}, {"edges": [0, "x"]}, {"edges": [0, 5, 5]}, {"edges": [1, 5]}),
        *({"output": value} for value in (None, [], {}, {**output, "x": 1})),
        *(
            {"output": output | {name: value}}
            for name in output
            for value in (5.5, "x", [[]], {"x": [1]})
        ),
    ]
    texts = ["[", "5", "[]", "{}", "[" * 100_000, *(json.dumps(known | one) for one in changed)]
    said = r"plan\.json is damaged; remove the folder"
    for text in texts:
        plan.write_text(text)
        with pytest.raises(RasterFileError, match=said):
            assemble_parts(tmp_path / "b.tif")
    with pytest.raises(RasterFileError, match=said):
        translate_raster(raster, tmp_path / "b.tif", shade, **OPTIONS, resume=True)


def test_damaged_report_of_a_part_is_said(raster: Path, tmp_path: Path) -> None:
    whole = translate_raster(raster, tmp_path / "whole.tif", shade, **OPTIONS)
    translate_raster(raster, tmp_path / "b.tif", shade, **OPTIONS, part="1/1")
    part = tmp_path / "b.tif.parts/part_000001.tif"
    with rasterio.open(part) as dataset:
        known = json.loads(dataset.tags()[REPORT_TAG])
    for text in (
        *("", "[", "5", "{}"),
        *(json.dumps(known | {name: value}) for name in known for value in ("x", -1, [5], None)),
        json.dumps(known | {"mismatch": known["mismatch"] | {"sums": [[10**6], [1]]}}),
    ):
        with rasterio.open(part, "r+") as dataset:
            dataset.update_tags(**{REPORT_TAG: text})
        with pytest.raises(RasterFileError, match=r"part_000001\.tif is damaged .*resume"):
            assemble_parts(tmp_path / "b.tif")
    result = translate_raster(raster, tmp_path / "b.tif", shade, **OPTIONS, resume=True)
    assert result.path.read_bytes() == whole.path.read_bytes()


@pytest.mark.parametrize("part", ["0/2", "3/2", "1", "a/b", (1,), 5, "1/0", ""])
def test_share_that_is_none_is_said(raster: Path, tmp_path: Path, part: Any) -> None:
    with pytest.raises(InvalidInputError, match="give the share to compute and their number"):
        translate_raster(raster, tmp_path / "b.tif", shade, **OPTIONS, part=part)


@pytest.mark.parametrize("kind", ["another output's", "damaged"])
def test_part_that_is_not_of_the_output_is_refused_and_computed_anew(
    raster: Path, tmp_path: Path, kind: str
) -> None:
    """A worker of an earlier run may put it there at any time."""
    output, other = tmp_path / "b.tif", tmp_path / "c.tif"
    whole = translate_raster(raster, tmp_path / "whole.tif", shade, **OPTIONS)
    translate_raster(raster, output, shade, **OPTIONS, part="1/1")
    translate_raster(raster, other, shade, **OPTIONS, identity="another", part="1/1")
    name = "part_000003.tif"
    if kind == "damaged":
        (tmp_path / "c.tif.parts" / name).write_text("")
    shutil.copy(tmp_path / "c.tif.parts" / name, tmp_path / "b.tif.parts" / name)
    with pytest.raises(RasterFileError, match=f"The part .*{name} (is not of this|cannot be read)"):
        assemble_parts(output)
    result = translate_raster(raster, output, shade, **OPTIONS, resume=True)
    assert result.path.read_bytes() == whole.path.read_bytes()


def test_of_two_shares_that_start_together_the_second_takes_the_plan_of_the_first(
    raster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "b.tif"
    write = PartsFolder._write_plan

    def late(parts: PartsFolder) -> None:
        monkeypatch.undo()
        translate_raster(raster, output, shade, **OPTIONS, part="1/2")
        write(parts)

    monkeypatch.setattr(PartsFolder, "_write_plan", late)
    with pytest.raises(InvalidInputError, match="made with another model"):
        translate_raster(raster, output, shade, **OPTIONS, identity="another", part="2/2")
    assert [file.name for file in (tmp_path / "b.tif.parts").glob("plan*")] == ["plan.json"]


def test_file_that_all_read_is_that_of_the_first_to_finish(raster: Path, tmp_path: Path) -> None:
    translate_raster(raster, tmp_path / "b.tif", shade, **OPTIONS, part="1/2")
    parts = open_parts(tmp_path / "b.tif")

    def slowly(file: Path) -> None:
        parts.once("known", lambda other: other.write_bytes(b"first") and None)
        file.write_bytes(b"second")

    assert parts.once("known", slowly).read_bytes() == b"first"
    assert parts.once("known", slowly) == parts.path / "known"
    assert not list(parts.path.glob("known.*"))


def test_file_that_all_read_and_cannot_be_written_is_said(raster: Path, tmp_path: Path) -> None:
    translate_raster(raster, tmp_path / "b.tif", shade, **OPTIONS, part="1/2")
    parts = open_parts(tmp_path / "b.tif")

    def full(file: Path) -> None:
        file.write_bytes(b"some")
        raise OSError(28, "No space left on device")

    with pytest.raises(RasterFileError, match=r"known cannot be written: .*No space left .*room"):
        parts.once("known", full)
    assert not list(parts.path.glob("known*"))
