"""The start of a generator is fitted to training pixels before the first step."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from geotranslate import Pix2Pix, prepare_data
from geotranslate.errors import GeotranslateWarning
from geotranslate.training import start as starting
from geotranslate.training.callbacks.diagnostics import ENOUGH, Diagnostics
from geotranslate.training.start import CONSTANT, START, start_of
from tests.conftest import NORTH_UP, WriteRaster
from tests.translators.conftest import patches

WritePairs = Callable[..., Path]
FIT: dict[str, Any] = {"precision": "float32", "progress": False, "checkpoint": False}


PASSES = 15
"""Fewer than a user's trainings have."""


@pytest.fixture(autouse=True)
def _fewer_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "PASSES", PASSES)


@pytest.fixture
def write_pairs(write_raster: WriteRaster, tmp_path: Path) -> WritePairs:
    """Return a function that writes noise, and a target that follows from its pixels."""

    def write(dtype: str = "float32", scale: float = 1.0, count: int = 8) -> Path:
        chance = np.random.default_rng(0)
        for number in range(count):
            place = {"transform": NORTH_UP @ NORTH_UP.translation(64 * number, 0)}
            source = chance.uniform(0, 1, (2, 64, 64))
            target = np.stack([source[0] * source[1], np.maximum(source[0], 0.3)]) * scale
            write_raster(f"chips/images/{number}.tif", (source * 200).astype("float32"), **place)
            write_raster(f"chips/images2/{number}.tif", target.astype(dtype), **place)
        return tmp_path / "chips"

    return write


def model_of(folder: Path, **options: Any) -> Pix2Pix:
    return Pix2Pix(prepare_data(folder, batch_size=2), ngf=4, **options)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("dtype", "scale"), [("float32", 1e-3), ("uint16", 30_000), ("int32", 1e7)]
)
def test_what_follows_from_a_pixel_is_known_before_the_first_step(
    write_pairs: WritePairs, dtype: str, scale: float
) -> None:
    model = model_of(write_pairs(dtype, scale))
    model.fit(1, lr=1e-9, **FIT)
    assert model.baselines[START] < 0.15 * model.baselines[CONSTANT]
    # And it is what the training begins with.
    assert model.history[0]["mae"] < 1.3 * model.baselines[START]


def test_the_seed_alone_decides_on_the_start(write_pairs: WritePairs) -> None:
    folder, found = write_pairs(count=3), []
    for seed in (3, 3, 4):
        torch.rand(5)  # what was drawn before does not matter
        model = Pix2Pix(prepare_data(folder, seed=seed), ngf=4)
        before = torch.get_rng_state()
        model._fit_start(progress=False)
        assert torch.equal(torch.get_rng_state(), before)
        start = start_of(model.pair.generator)
        assert start is not None
        found.append(torch.cat([weight.flatten() for weight in start.parameters()]))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_a_start_is_fitted_once_and_no_step_changes_it(
    write_pairs: WritePairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of(write_pairs(count=3))
    model._fit_start(progress=False)
    start = start_of(model.pair.generator)
    assert start is not None
    fitted = [weight.clone() for weight in start.parameters()]
    monkeypatch.setattr(starting, "_fit", lambda *args, **options: pytest.fail("fitted again"))
    for _ in range(2):
        model.fit(1, **FIT)
    assert all(map(torch.equal, fitted, start.parameters()))


@pytest.mark.slow
def test_a_training_that_was_interrupted_keeps_its_start(
    write_pairs: WritePairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_pairs(count=4)
    options: dict[str, Any] = {**FIT, "checkpoint": True, "folder": "training"}
    whole = model_of(folder).fit(2, **{**options, "folder": "whole"})
    model_of(folder).fit(2, callbacks=[StopAfter(1)], **options)
    monkeypatch.setattr(starting, "_fit", lambda *args, **options: pytest.fail("fitted again"))
    resumed = model_of(folder).fit(2, resume=True, **options)
    assert resumed.baselines == whole.baselines
    for one, other in zip(
        resumed.pair.state_dict().values(), whole.pair.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)


class StopAfter(Diagnostics):
    """Ends a training after so many epochs, as a user does who loses patience."""

    order = 101

    def __init__(self, epochs: int) -> None:
        self.left = epochs

    def after_loss(self) -> None: ...

    after_train = after_validate = after_fit = after_loss

    def after_epoch(self) -> None:
        self.left -= 1
        if not self.left:
            from fastai.callback.core import CancelFitException

            raise CancelFitException


def test_a_saved_model_has_its_start_and_what_is_simpler(
    write_pairs: WritePairs, tmp_path: Path
) -> None:
    model = model_of(write_pairs(count=3)).fit(1, **FIT)
    again = Pix2Pix.from_model(model.save(tmp_path / "model"))
    assert again.baselines == model.baselines
    image = np.random.default_rng(1).uniform(0, 200, (2, 70, 90)).astype("float32")
    np.testing.assert_array_equal(again.predict(image), model.predict(image))
    card = json.loads((tmp_path / "model" / "card.json").read_text())
    assert set(card["baselines"]) == {CONSTANT, START}


def test_the_table_begins_with_the_error_of_the_start(
    write_pairs: WritePairs, capsys: pytest.CaptureFixture[str]
) -> None:
    model = model_of(write_pairs(count=3))
    model.fit(1, **FIT | {"progress": True})
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("start"))
    assert f"{model.baselines[START]:.6f}" in row


@pytest.mark.slow
def test_classes_of_a_source_have_a_start_too(
    write_raster: WriteRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of so few pixels fewer passes would be a handful of steps.
    monkeypatch.setattr(starting, "PASSES", 4 * PASSES)
    colors = np.random.default_rng(0).integers(0, 255, (3, 4))
    for number in range(4):
        place = {"transform": NORTH_UP @ NORTH_UP.translation(64 * number, 0)}
        classes = patches(64, number, range(4))[0]
        write_raster(f"chips/images/{number}.tif", classes[None] * 7, **place)
        write_raster(f"chips/images2/{number}.tif", colors[:, classes].astype("uint8"), **place)
    model = model_of(tmp_path / "chips", start="pixel")
    assert model.card.source.classes is not None
    model.fit(1, **FIT)
    # The color of a class follows from the class.
    assert model.baselines[START] < 0.2 * model.baselines[CONSTANT]


def test_a_band_that_is_constant_in_training_may_be_another_value_elsewhere(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    chance = np.random.default_rng(0)
    for number in range(3):
        place = {"transform": NORTH_UP @ NORTH_UP.translation(64 * number, 0)}
        source = chance.integers(0, 255, (2, 64, 64)).astype("uint8")
        source[1] = 100
        write_raster(f"chips/images/{number}.tif", source, **place)
        write_raster(f"chips/images2/{number}.tif", source[:1] * np.float32(0.1), **place)
    model = model_of(tmp_path / "chips")
    model._fit_start(progress=False)
    expected = model.predict(source)
    source[1] = 140
    assert np.abs(model.predict(source) - expected).max() < 25.5


def test_metrics_tell_the_skill(write_pairs: WritePairs) -> None:
    model = model_of(write_pairs(count=4)).fit(1, **FIT)
    found = model.compute_metrics()
    for name in (CONSTANT, START):
        assert found[f"skill_over_{name}"] == pytest.approx(
            1 - found["mae"] / model.baselines[name], abs=1e-6
        )
    assert "skill_over_constant" not in model.compute_metrics(["ssim"])


@pytest.mark.parametrize(("error", "said"), [(5.0, None), (9.0, "its start"), (20.0, "a constant")])
def test_a_model_that_is_no_better_than_what_is_simpler_says_so(
    error: float, said: str | None
) -> None:
    watch = Diagnostics(
        [{"mae": error + epoch} for epoch in range(ENOUGH)], {START: 8, CONSTANT: 12}
    )
    if said is None:
        watch.after_fit()
        return
    with pytest.warns(GeotranslateWarning, match=f"not better than {said}"):
        watch.after_fit()


def test_a_start_is_fitted_to_no_target_pixel_of_validation_ground(
    write_raster: WriteRaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = np.random.default_rng(0)
    source, target = (chance.uniform(0, 1, (1, 192, 192)).astype("float32") for _ in range(2))
    rasters = [write_raster(f"{n}.tif", data) for n, data in enumerate((source, target))]
    first = prepare_data(*rasters, chip_size=64, stride=32)
    held = first.card.validation_pairs
    windows = {pair.name: pair.target.place.window for pair in first.folder.pairs}
    for name in held:
        target[0][windows[name].toslices()] = 100
    write_raster("1.tif", target)
    data = prepare_data(*rasters, chip_size=64, stride=32, target_scaling="none")
    assert data.card.validation_pairs == held and data.split.masks
    fitted = []

    def note(start: Any, features: Any, targets: torch.Tensor, *others: Any, **more: Any) -> None:
        fitted.append(targets)

    monkeypatch.setattr(starting, "_fit", note)
    starting.fit_start(Pix2Pix(data, ngf=4).pair.generator, data, 0, progress=False)
    (targets,) = fitted
    assert len(targets) and targets.max() <= 1
    assert data.card.target.median is not None and data.card.target.median[0] < 1
    assert data.card.target.extent is not None and data.card.target.extent[0][1] <= 1


def test_the_start_learns_from_sources_as_the_training_changes_them(
    write_pairs: WritePairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "PASSES", 1)
    monkeypatch.setattr(starting, "PIXELS", 20_000)
    folder, found = write_pairs(count=3), []
    for seed in (1, 2):
        torch.manual_seed(seed)
        data = prepare_data(folder, batch_size=2, augment="strong", seed=5)
        model = Pix2Pix(data, ngf=4)
        before = torch.get_rng_state()
        model._fit_start(progress=False)
        assert torch.equal(before, torch.get_rng_state())
        start = start_of(model.pair.generator)
        assert start is not None
        found.append(start.layers[0].weight)
    assert torch.equal(found[0], found[1])
    plain = Pix2Pix(prepare_data(folder, batch_size=2, seed=5), ngf=4)
    plain._fit_start(progress=False)
    start = start_of(plain.pair.generator)
    assert start is not None
    assert not torch.equal(found[0], start.layers[0].weight)
