"""What a training does to another one in its folder."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from geotranslate import Pix2Pix, prepare_data
from geotranslate.errors import GeotranslateWarning
from geotranslate.training.callbacks.history import best_row
from geotranslate.translators.runs.trainingrun import resume_from

FIT: dict[str, Any] = {"precision": "float32", "progress": False}


@pytest.fixture
def new(write_chips: Callable[..., Path]) -> Callable[..., Pix2Pix]:
    data = prepare_data(write_chips(count=9), batch_size=4)
    return lambda ngf=4: Pix2Pix(data, ngf=ngf, lambda_gan=0, recipe="paper")


@pytest.mark.parametrize("ngf", [4, 5])
def test_training_of_another_model_is_not_replaced_without_a_word(
    new: Callable[..., Pix2Pix], tmp_path: Path, ngf: int
) -> None:
    new().fit(2, folder=tmp_path, **FIT)
    with pytest.warns(GeotranslateWarning, match=r"of 2 epochs that.*resume=True; .*folder"):
        other = new(ngf).fit(1, folder=tmp_path, **FIT)
    with warnings.catch_warnings():
        warnings.simplefilter("error", GeotranslateWarning)
        other.fit(1, folder=tmp_path, **FIT)
        other.fit(3, folder=tmp_path, resume=True, **FIT)


def test_best_model_of_a_folder_is_judged_by_what_was_trained_there(
    new: Callable[..., Pix2Pix], tmp_path: Path
) -> None:
    model = new().fit(2, folder=tmp_path / "one", **FIT)
    model.fit(1, lr=5e-2, folder=tmp_path / "two", **FIT)
    model.fit(1, lr=5e-2, folder=tmp_path / "two", **FIT)
    best = 3 + best_row("valid_l1", model.history[2:])
    assert len(Pix2Pix.from_model(tmp_path / "two" / "best").history) == best
    model.fit(1, lr=5e-2, folder=tmp_path / "two", monitor="mae", **FIT)
    assert len(Pix2Pix.from_model(tmp_path / "two" / "best").history) == 5


def test_measures_of_former_weights_are_not_saved(
    new: Callable[..., Pix2Pix], tmp_path: Path
) -> None:
    model = new()
    assert model.compute_metrics()
    model.fit(1, folder=tmp_path, **FIT)
    assert not model.metrics
    assert not Pix2Pix.from_model(model.save(tmp_path / "saved")).metrics
    model.compute_metrics()
    resume_from(model, tmp_path)
    assert not model.metrics
