"""What a training writes, and that a disk cannot end it."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from geotranslate import Pix2Pix, prepare_data
from geotranslate.errors import (
    GeotranslateWarning,
    MissingPackageError,
    RasterFileError,
    TrainingError,
)
from geotranslate.training.callbacks.history import best_row
from geotranslate.training.callbacks.trackers import SaveModelCallback
from geotranslate.training.checkpoints import LAST

FIT: dict[str, Any] = {"precision": "float32", "progress": False}
NO_ROOM = OSError(28, "No space left on device")


@pytest.fixture
def model(write_chips: Callable[..., Path]) -> Pix2Pix:
    torch.manual_seed(0)
    data = prepare_data(write_chips(count=9), batch_size=4)
    return Pix2Pix(data, ngf=4, lambda_gan=0, recipe="paper")


def test_picture_that_cannot_be_written_is_said(
    model: Pix2Pix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(self: Any, path: Path, **options: Any) -> None:
        path.write_bytes(b"PNG")
        raise NO_ROOM

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", half)
    with pytest.warns(GeotranslateWarning, match=r"0001.png cannot.*goes on; this picture is"):
        model.fit(1, folder=tmp_path, sample_every=1, **FIT)
    assert len(model.history) == 1
    assert not list((tmp_path / "samples").iterdir())


def test_table_that_cannot_be_written_is_said(model: Pix2Pix, tmp_path: Path) -> None:
    (tmp_path / "history.csv").mkdir()
    with pytest.warns(GeotranslateWarning, match=r"history.csv cannot be written.*model.history"):
        model.fit(1, folder=tmp_path, **FIT)
    assert (tmp_path / LAST).exists()


def test_folder_that_cannot_be_is_refused_before_the_first_epoch(
    model: Pix2Pix, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RasterFileError, match=r"cannot write to the folder .*file: .*Give fit"):
        model.fit(1, folder=tmp_path / "file", **FIT)
    assert not model.history


def test_missing_tensorboard_is_a_missing_package(
    model: Pix2Pix, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'geotranslate\[tensorboard\]'"):
        model.fit(1, tensorboard=True, **FIT)


def test_what_a_killed_training_left_half_written_is_written_over(
    model: Pix2Pix, tmp_path: Path
) -> None:
    for name in (LAST, "history.csv"):
        (tmp_path / f".{name}.partial").write_text("half")
    model.fit(1, folder=tmp_path, **FIT)
    assert not list(tmp_path.glob(".*"))


def test_models_are_saved_before_the_state_that_says_so(tmp_path: Path) -> None:
    done: list[str] = []
    rows = [{"valid_l1": 1.0}]
    keeper = SaveModelCallback(
        lambda epochs: done.append(f"state {epochs}"),
        lambda path: done.append(path.name),
        tmp_path,
        "all",
        rows,
        0,
        (0, "valid_l1"),
        True,
    )
    keeper.learn = SimpleNamespace(dls=SimpleNamespace(valid_ds=[0]))
    keeper.before_fit()
    keeper.after_epoch()
    assert done == ["state 0", "best", "epoch_0001", "state 1"]


def test_weights_that_are_not_finite_are_never_written(model: Pix2Pix, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"not finite in epoch 1.*Train a new model"):
        model.fit(1, lr=1e30, folder=tmp_path, **FIT)
    assert not (tmp_path / "best").exists()
    assert not (tmp_path / LAST).exists()


def test_training_that_diverged_goes_on_from_its_last_good_epoch(
    model: Pix2Pix, tmp_path: Path
) -> None:
    model.fit(2, folder=tmp_path, **FIT)
    with pytest.raises(TrainingError, match="not finite in epoch 3"):
        model.fit(2, lr=1e30, folder=tmp_path, **FIT)
    model.fit(2, lr=1e-4, folder=tmp_path, resume=True, **FIT)
    assert len(model.history) == 4
    assert all(torch.isfinite(one).all() for one in model.pair.parameters())


def test_spread_is_shown_but_no_best_model_is_judged_by_it(model: Pix2Pix) -> None:
    model.fit(1, checkpoint=False, **FIT)
    assert "std_ratio" in model.history[0]
    assert "std_ratio" not in model.available_metrics


def test_best_model_is_that_of_all_rows_written_to_the_folder(
    model: Pix2Pix, tmp_path: Path
) -> None:
    for epochs, lr in ((3, 2e-4), (1, 5e-2), (1, 5e-2)):
        model.fit(epochs, lr=lr, folder=tmp_path, **FIT)
    best = 1 + best_row("valid_l1", model.history)
    assert best < 4
    assert len(Pix2Pix.from_model(tmp_path / "best").history) == best
    with (tmp_path / "history.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 5
