"""Difficult rasters give the right answer or one clear sentence, soon and in little memory."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rasterio

from tests.conftest import SHARED_DATA

CORPUS = SHARED_DATA / "corpus"
SECONDS, BYTES = 60, 2 * 2**30
"""Of work, and of memory."""

pytestmark = [
    pytest.mark.skipif(not CORPUS.is_dir(), reason=f"the real rasters are not here ({CORPUS})"),
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and limits on memory"),
]

REFUSED = (
    "complex_non_zero_real_zero_imag.tif",
    "cint_sar.tif",
    "sar_vv.tif",
    "uint64.tif",
    "uint64_full_range.tif",
)
"""What cannot be translated as it is, apart from what is corrupt."""

LARGE = ("georef/arcgis93_geodataxform_gcp.tif",)
"""What takes as long as all the others together."""


def listed() -> list[str]:
    """Return the corpus' files, each relative to it."""
    if not CORPUS.is_dir():
        return []
    with (CORPUS / "MANIFEST.csv").open(newline="") as file:
        return [f"{row['category']}/{row['file']}" for row in csv.DictReader(file)]


def with_subdatasets(file: Path) -> list[str]:
    """Return a raster and those that it contains, by the names that open them."""
    try:
        with rasterio.open(file) as dataset:
            return [str(file), *dataset.subdatasets]
    except rasterio.RasterioIOError:
        return [str(file)]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Return what came of every raster; one that kills its process leaves the rest to another."""
    folder = tmp_path_factory.mktemp("corpus")
    files = [file for file in listed() if file not in LARGE]
    waiting = [name for file in files for name in with_subdatasets(CORPUS / file)]
    found: dict[str, dict[str, Any]] = {}
    while waiting:
        found |= zip(waiting, reported(folder, waiting), strict=False)
        waiting = [name for name in waiting if name not in found]
    return found


def reported(folder: Path, names: list[str]) -> Iterator[dict[str, Any]]:
    """Yield a report for each raster, until one takes too long or kills the process."""
    command = [sys.executable, "-m", "tests.raster.pipeline.corpus_child", str(folder), *names]
    with (
        (folder / "errors.txt").open("w+") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as child,
    ):
        assert child.stdout is not None
        for _ in names:
            # Comparing takes its time too.
            timer = threading.Timer(2 * SECONDS, child.kill)
            timer.start()
            line = child.stdout.readline()
            timer.cancel()
            if not line:
                child.wait()
                errors.seek(0)
                yield {"died": f"{child.returncode}: {errors.read()[-2000:]}"}
                return
            yield json.loads(line)


@pytest.mark.parametrize("name", [name for name in listed() if name not in LARGE] or ["none"])
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_raster_gives_the_right_answer_or_one_sentence(
    reports: dict[str, dict[str, Any]], name: str
) -> None:
    assert_answers_are_right(name, reports)


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_large_raster_gives_the_right_answer_or_one_sentence(tmp_path: Path, name: str) -> None:
    rasters = with_subdatasets(CORPUS / name)
    assert_answers_are_right(name, dict(zip(rasters, reported(tmp_path, rasters), strict=True)))


def assert_answers_are_right(name: str, reports: dict[str, dict[str, Any]]) -> None:
    """Check what came of a file of the corpus and of the rasters that it contains."""
    for raster in with_subdatasets(CORPUS / name):
        report = reports[raster]
        assert "died" not in report, report
        assert report["seconds"] < SECONDS
        assert report["peak"] < BYTES
        if name.startswith("corrupt/") or name.endswith(REFUSED):
            assert_is_clear(report["sentence"], raster)
        else:
            assert "sentence" not in report, report
            assert report["differences"] == []


def assert_is_clear(sentence: str, raster: str) -> None:
    """Check that a sentence names the raster, and says what to do instead of where we are."""
    assert sentence.startswith(raster)
    assert sentence.endswith(".")
    assert "\n" not in sentence and "See previous exception" not in sentence
    assert not any(mark in sentence for mark in ("Traceback", ".cpp", ".py"))
