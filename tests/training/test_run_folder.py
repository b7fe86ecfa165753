"""One training at a time writes to a folder, however many processes, threads and machines try."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from fastai.callback.core import Callback

from geotranslate import Pix2Pix, prepare_data
from geotranslate.errors import RasterFileError
from geotranslate.raster.writing import destination
from geotranslate.training.checkpoints import LAST
from geotranslate.training.run_folder import LOCK_FILE, sole_training
from tests.children import Child

BUSY = r"^Another training is writing to \S*run; wait until it has ended, or give fit another fol"
FIT: dict[str, Any] = {"precision": "float32", "progress": False}
WriteChips = Callable[..., Path]


def pix2pix(chips: Path) -> Pix2Pix:
    torch.manual_seed(0)
    return Pix2Pix(prepare_data(chips, batch_size=4), ngf=4, lambda_gan=0, recipe="paper")


class Waiting(Callback):
    """Stops for a long time when an epoch is trained."""

    def before_epoch(self) -> None:
        if self.epoch == 1:
            print("trained an epoch", flush=True)  # noqa: T201
            time.sleep(3600)


def train_and_wait(chips: Path, run: Path) -> None:
    pix2pix(chips).fit(2, folder=run, callbacks=[Waiting()], **FIT)


def test_second_training_is_refused_until_the_first_process_is_gone(
    write_chips: WriteChips, tmp_path: Path
) -> None:
    chips, run = write_chips(count=9), tmp_path / "run"
    model = pix2pix(chips)
    with Child(tmp_path / "printed.txt", train_and_wait, chips, run) as first:
        first.wait_for(lambda: "trained an epoch\n" in first.log.read_text())
        state = (run / LAST).read_bytes()
        (tmp_path / "link").symlink_to(run)
        for options in ({}, {"resume": True}, {"checkpoint": False, "sample_every": 1}):
            with pytest.raises(RasterFileError, match=BUSY):
                model.fit(1, folder=run, **options, **FIT)
        with pytest.raises(RasterFileError, match="Another training is writing to"):
            model.fit(1, folder=tmp_path / "link", **FIT)
        assert (run / LAST).read_bytes() == state
        # What writes nothing need not wait.
        model.fit(1, folder=run, checkpoint=False, **FIT)
    assert (run / LOCK_FILE).exists()
    again = pix2pix(chips).fit(2, folder=run, resume=True, **FIT)
    assert len(again.history) == 2
    assert not (run / LOCK_FILE).exists()


def test_second_thread_is_refused(write_chips: WriteChips, tmp_path: Path) -> None:
    chips, run = write_chips(count=9), tmp_path / "run"
    other = pix2pix(chips)
    said: list[str] = []

    class Meanwhile(Callback):
        def before_epoch(self) -> None:
            with ThreadPoolExecutor(1) as thread, pytest.raises(RasterFileError, match=BUSY) as no:
                thread.submit(other.fit, 1, folder=run, **FIT).result()
            said.append(str(no.value))

    pix2pix(chips).fit(1, folder=run, callbacks=[Meanwhile()], **FIT)
    assert len(said) == 1
    assert not other.history


@pytest.mark.skipif(sys.platform == "win32", reason="there are locks on Windows")
def test_disk_without_locks_does_not_end_a_training(
    write_chips: WriteChips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(descriptor: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(destination.fcntl, "flock", flock)
    pix2pix(write_chips(count=9)).fit(1, folder=tmp_path / "run", **FIT)
    assert (tmp_path / "run" / LAST).exists()


def test_folder_is_free_after_a_training_that_failed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), sole_training(tmp_path / "run"):
        _ = 1 / 0
    with sole_training(tmp_path / "run"):
        pass
    assert not list((tmp_path / "run").iterdir())
