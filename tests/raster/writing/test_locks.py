from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from geotranslate.errors import OutputExistsError, RasterFileError
from geotranslate.raster.pipeline import assemble_parts, translate_raster
from geotranslate.raster.writing.destination import sole_holder
from tests.children import HANGS
from tests.conftest import WriteRaster, values
from tests.raster.pipeline.test_resume import OPTIONS, shade

Batch = NDArray[np.float32]
BUSY = r"Another run is writing \S*b\.tif; wait until it has ended, give another output, or share"


@pytest.fixture
def raster(write_raster: WriteRaster) -> Path:
    return write_raster("a.tif", values((1, 600, 300), "uint8"))


class Held:
    """An apply that waits in its first call until it is released."""

    def __init__(self) -> None:
        self.reached, self.released = threading.Event(), threading.Event()

    def __call__(self, batch: Batch) -> Batch:
        self.reached.set()
        assert self.released.wait(60)
        return shade(batch)


HELD: dict[str, Any] = {**OPTIONS, "blend": "hann"}


def test_second_run_of_an_output_is_refused_while_the_first_goes_on(
    raster: Path, tmp_path: Path
) -> None:
    output, held = tmp_path / "b.tif", Held()
    whole = translate_raster(raster, tmp_path / "whole.tif", shade, **HELD)
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(translate_raster, raster, output, held, **HELD)
        assert held.reached.wait(60)
        try:
            for options in ({}, {"resume": True}, {"overwrite": True}):
                with pytest.raises(RasterFileError, match=BUSY):
                    translate_raster(raster, output, shade, **HELD, **options)
            with pytest.raises(RasterFileError, match=BUSY):
                assemble_parts(output)
        finally:
            held.released.set()
        assert first.result().path.read_bytes() == whole.path.read_bytes()
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.tif", "b.tif", "whole.tif"]
    with pytest.raises(OutputExistsError):
        translate_raster(raster, output, shade, **HELD)


def test_shares_run_at_the_same_time_and_spare_each_other(raster: Path, tmp_path: Path) -> None:
    output, held = tmp_path / "b.tif", Held()
    whole = translate_raster(raster, tmp_path / "whole.tif", shade, **HELD)

    def fail(batch: Batch) -> Batch:
        raise RasterFileError("the disk is gone")

    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(translate_raster, raster, output, held, **HELD, part="1/2")
        assert held.reached.wait(60)
        with pytest.raises(RasterFileError, match="the disk is gone"):
            translate_raster(raster, output, fail, **HELD, part="2/2")
        held.released.set()
        first.result()
    assert not (tmp_path / ".b.tif.parts.lock").exists()
    translate_raster(raster, output, shade, **HELD, part="2/2")
    assert assemble_parts(output).read_bytes() == whole.path.read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="needs locks that several hold")
def test_run_is_refused_while_a_share_is_computed(raster: Path, tmp_path: Path) -> None:
    """It would begin by removing the parts."""
    output, held = tmp_path / "b.tif", Held()
    translate_raster(raster, output, shade, **HELD, part="2/2")
    parts = sorted(tmp_path.glob("b.tif.parts/part*"))
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(translate_raster, raster, output, held, **HELD, part="1/2")
        assert held.reached.wait(60)
        try:
            for options in ({}, {"resume": True}):
                with pytest.raises(RasterFileError, match=BUSY):
                    translate_raster(raster, output, shade, **HELD, **options)
            with pytest.raises(RasterFileError, match=BUSY):
                assemble_parts(output)
        finally:
            held.released.set()
        first.result()
    assert set(parts) < set(tmp_path.glob("b.tif.parts/part*"))
    assemble_parts(output)


ASSEMBLING = """
import os, signal, sys, time
from geotranslate.raster.pipeline import translate_raster
from geotranslate.raster.writing import cog
from tests.raster.pipeline.test_resume import OPTIONS, shade

source, output, moment = sys.argv[1:]

def die(*arguments, **options):
    if moment == "before":
        temporary = arguments[0]
        for ending in ("", ".ovr.tmp", ".msk.ovr.tmp"):
            open(f"{temporary}{ending}", "w").close()
    os.kill(os.getpid(), signal.SIGKILL)

setattr(cog, "is_complete" if moment == "before" else "remove_sidecars", die)
if moment == "before":
    cog._check_part = lambda *a: None
translate_raster(source, output, shade, **OPTIONS)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize("moment", ["before", "after"])
def test_what_a_kill_during_assembly_leaves_is_gone_after_the_next_run(
    raster: Path, tmp_path: Path, moment: str
) -> None:
    output = tmp_path / "b.tif"
    whole = translate_raster(raster, tmp_path / "whole.tif", shade, **OPTIONS)
    command = [sys.executable, "-c", ASSEMBLING, str(raster), str(output), moment]
    assert subprocess.run(command, timeout=HANGS).returncode == -signal.SIGKILL
    # All but the lock, which is empty, is in the folder of the parts.
    left = {"a.tif", "whole.tif", "b.tif.parts", ".b.tif.parts.lock"}
    assert {item.name for item in tmp_path.iterdir()} - {"b.tif"} == left
    assert bool(list((tmp_path / "b.tif.parts").glob(".b.*.ovr.tmp"))) == (moment == "before")
    translate_raster(raster, output, shade, **OPTIONS, resume=True)
    assert output.read_bytes() == whole.path.read_bytes()
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.tif", "b.tif", "whole.tif"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_workers_that_outlive_a_killed_process_hold_nothing(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    script = """
import os, sys, time
from pathlib import Path
from geotranslate.raster.writing.destination import sole_holder

with sole_holder(Path(sys.argv[1]), busy="busy", unwritable=str):
    if not (worker := os.fork()):
        time.sleep(3600)
    print(worker, flush=True)
    time.sleep(3600)
"""
    command = [sys.executable, "-c", script, str(lock)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        worker = int(holder.stdout.readline())
        try:
            with (
                pytest.raises(RasterFileError, match="busy"),
                sole_holder(lock, busy="busy", unwritable=str),
            ):
                pass
            holder.kill()
            holder.wait()
            time.sleep(0.1)
            with sole_holder(lock, busy="busy", unwritable=str):
                os.kill(worker, 0)
        finally:
            os.kill(worker, signal.SIGKILL)


def test_lock_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with (
        pytest.raises(RasterFileError, match="why: No such file or directory"),
        sole_holder(tmp_path / "no" / "lock", busy="", unwritable=lambda why: f"why: {why}"),
    ):
        pass
