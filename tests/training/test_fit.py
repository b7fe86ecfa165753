from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from fastai.callback.core import Callback
from fastai.callback.tracker import TrackerCallback
from hypothesis import given
from hypothesis import strategies as st

from geotranslate import Pix2Pix, prepare_data
from geotranslate.errors import GeotranslateWarning, InvalidInputError, TrainingError
from geotranslate.training.callbacks import precision as precisions
from geotranslate.training.callbacks.diagnostics import Diagnostics
from geotranslate.training.callbacks.ema import EMACallback, averaged
from geotranslate.training.callbacks.history import best_row, is_better
from geotranslate.training.callbacks.precision import training_precision
from geotranslate.training.callbacks.schedule import rate_at

WriteChips = Callable[..., Path]
FIT: dict[str, Any] = {"precision": "float32", "progress": False}


@pytest.fixture
def model(write_chips: WriteChips) -> Pix2Pix:
    torch.manual_seed(0)
    return Pix2Pix(
        prepare_data(write_chips(count=9), batch_size=2), recipe="seamless", ngf=4, ndf=4
    )


@pytest.mark.parametrize("same", [True, False])
def test_seed_governs_all_that_is_drawn(write_chips: WriteChips, same: bool) -> None:
    folder = write_chips(count=9, size=80)
    found = []
    for seed in (3, 3 if same else 4):
        torch.rand(1 + 5 * len(found))  # what was drawn before does not matter
        data = prepare_data(folder, seed=seed, batch_size=2, chip_size=64, num_workers=0)
        model = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4)
        first = [weight.clone() for weight in model.pair.parameters()]
        model.fit(2, checkpoint=False, **FIT)
        found.append([*first, *model.pair.parameters()])
    alike = [torch.equal(one, other) for one, other in zip(*found, strict=True)]
    assert all(alike) if same else not all(alike[: len(alike) // 2])


def test_weights_that_are_drawn_leave_other_numbers_alone(write_chips: WriteChips) -> None:
    data = prepare_data(write_chips())
    before = torch.get_rng_state()
    Pix2Pix(data, recipe="seamless", ngf=4, ndf=4)
    assert torch.equal(torch.get_rng_state(), before)


class Rates(Callback):
    """Notes learning rates and betas of every batch."""

    run_valid = False
    order = 70

    def __init__(self) -> None:
        self.seen: list[tuple[float, ...]] = []

    def after_batch(self) -> None:
        groups = self.opt.opt.param_groups
        self.seen.append(tuple(group["lr"] for group in groups))
        assert {group["betas"] for group in groups} == {(0.5, 0.999)}


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("schedule", ["constant", "linear_decay", "one_cycle"])
def test_rates_follow_the_schedule_and_betas_stay(model: Pix2Pix, schedule: Any) -> None:
    rates = Rates()
    model.fit(4, lr=(3e-4, 1e-4), schedule=schedule, callbacks=[rates], **FIT)
    expected = [rate_at(schedule, batch / len(rates.seen)) for batch in range(len(rates.seen))]
    np.testing.assert_allclose([g for g, _ in rates.seen], np.array(expected) * 3e-4)
    np.testing.assert_allclose([d for _, d in rates.seen], np.array(expected) * 1e-4)


@given(st.floats(0, 1))
def test_schedules_stay_between_nothing_and_the_rate(share: float) -> None:
    assert rate_at("constant", share) == 1
    for schedule in ("linear_decay", "one_cycle"):
        assert 0 <= rate_at(schedule, share) <= 1
    assert rate_at("linear_decay", share) == (1 if share <= 0.5 else 2 * (1 - share))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"schedule": "sine"},
            "schedule is 'sine'; give one of constant, linear_decay, cosine, one_",
        ),
        ({"lr": (1e-4, 1e-4, 1e-4)}, "give one learning rate, or one for the generator and one"),
        ({"lr": 0}, "lr is 0; give a number above 0"),
        ({"lr": "fast"}, "lr is 'fast'; give a number above 0"),
        ({"monitor": "valid_ssim"}, "'valid_ssim', which is not measured; give one of .*valid_l1"),
        ({"precision": "half"}, "precision is 'half'; give one of float32"),
        ({"accumulate": 0}, "accumulate is 0; give a whole number of at least 1"),
        ({"clip": -1}, "clip is -1; give a number above 0"),
        ({"ema": 1}, "ema is 1; give a number of at least 0 and below 1"),
        ({"checkpoint": "some"}, "checkpoint is 'some'; give"),
        ({"checkpoint": -3}, "checkpoint is -3; give"),
        ({"early_stopping": "yes"}, "early_stopping is 'yes'; give"),
        ({"sample_every": -1}, "sample_every is -1; give a whole number of at least 0"),
        ({"callbacks": TrackerCallback()}, "callbacks is TrackerCallback; give a list of fastai"),
        ({"callbacks": None}, "callbacks is None; give a list of fastai callbacks"),
        ({"callbacks": ["x"]}, "callbacks is .'x'.; give a list of fastai callbacks"),
        ({"folder": None}, "folder is None; give the path of a folder"),
        ({"epochs": 0}, "epochs is 0; give a whole number of at least 1"),
    ],
)
def test_impossible_arguments_are_said(
    model: Pix2Pix, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        model.fit(**{"epochs": 1, "ema": 0.9, **FIT, **options})
    assert not model.history
    assert model.pair.average is None


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_two_rates_may_stand_in_any_row_of_numbers(model: Pix2Pix, kind: Any) -> None:
    rates = Rates()
    model.fit(1, lr=kind([2e-4, 1e-4]), checkpoint=False, callbacks=[rates], **FIT)
    np.testing.assert_allclose(rates.seen, [(2e-4, 1e-4)] * len(rates.seen))


def test_rate_of_a_single_network_is_one(write_chips: WriteChips) -> None:
    model = Pix2Pix(
        prepare_data(write_chips(count=9), batch_size=2), recipe="seamless", ngf=4, lambda_gan=0
    )
    with pytest.raises(InvalidInputError, match="as there is no discriminator"):
        model.fit(1, lr=(1e-4, 1e-4), **FIT)


def test_folder_of_a_training_holds_all_that_is_asked_for(model: Pix2Pix, tmp_path: Path) -> None:
    model.fit(4, folder=tmp_path / "run", checkpoint=2, sample_every=2, **FIT)
    names = sorted(str(f.relative_to(tmp_path / "run")) for f in (tmp_path / "run").rglob("*.*"))
    assert names == [
        "best/card.json",
        "best/model.safetensors",
        "epoch_0002/card.json",
        "epoch_0002/model.safetensors",
        "epoch_0004/card.json",
        "epoch_0004/model.safetensors",
        "history.csv",
        "last.safetensors",
        "previous.safetensors",
        "samples/epoch_0002.png",
        "samples/epoch_0004.png",
    ]
    with (tmp_path / "run" / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row.pop("epoch")) for row in rows] == [1, 2, 3, 4]
    assert [{k: float(v) for k, v in row.items()} for row in rows] == model.history
    best = Pix2Pix.from_model(tmp_path / "run" / "best")
    assert len(best.history) == 1 + best_row("valid_l1", model.history)


def test_without_checkpoints_nothing_is_written(model: Pix2Pix, tmp_path: Path) -> None:
    model.fit(1, folder=tmp_path / "run", checkpoint=False, **FIT)
    assert not (tmp_path / "run").exists()


def test_training_stops_when_nothing_becomes_better(
    model: Pix2Pix, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "geotranslate.training.callbacks.history.is_better", lambda monitor, one, other: False
    )
    model.fit(20, early_stopping=3, **FIT)
    assert len(model.history) == 4


@given(st.lists(st.one_of(st.just(float("nan")), st.floats(-9, 9)), min_size=1))
def test_best_row_is_the_first_of_the_best(values: list[float]) -> None:
    for monitor, pick in (("mae", np.nanmin), ("psnr", np.nanmax)):
        best = best_row(monitor, [{monitor: value} for value in values])
        if np.isnan(values).all():
            assert best == 0
        else:
            assert best == values.index(pick(values))
    assert not is_better("mae", float("nan"), 1)


def test_average_translates_validates_and_is_saved(model: Pix2Pix, tmp_path: Path) -> None:
    model.fit(3, ema=0.9, **FIT)
    source = model.data.valid_ds[0][0][None].as_subclass(torch.Tensor)
    translated = model.predictor.inference.scaled(source)
    with torch.inference_mode():
        model.pair.eval()
        torch.testing.assert_close(model.pair.average.module(source), translated)
        assert (model.pair.generator(source) != translated).any()
    model.save(tmp_path / "saved")
    again = Pix2Pix.from_model(tmp_path / "saved")
    assert torch.equal(again.predictor.inference.scaled(source), translated)


def test_training_without_the_average_translates_with_what_it_trains(model: Pix2Pix) -> None:
    model.fit(1, checkpoint=False, **FIT)
    assert model.predictor.inference.generator is model.pair.average.module
    model.fit(1, ema=0, checkpoint=False, **FIT)
    assert model.pair.average is None
    model.fit(1, checkpoint=False, **FIT)
    assert model.pair.average is None
    assert model.predictor.inference.generator is model.pair.generator


def test_measures_of_weights_before_a_training_are_not_saved(
    model: Pix2Pix, tmp_path: Path
) -> None:
    model.compute_metrics()
    model.fit(1, folder=tmp_path / "run", **FIT)
    assert not model.metrics
    model.compute_metrics()
    model.fit(1, folder=tmp_path / "run", resume=True, **FIT)
    assert not model.metrics


def test_average_is_the_moving_one() -> None:
    network = torch.nn.BatchNorm2d(3)
    average = averaged(network, 0.7)
    expected = None
    for step in range(9):
        with torch.no_grad():
            network.weight.add_(torch.randn(3))
        network(torch.randn(4, 3, 5, 5))
        average.update_parameters(network)
        state = {name: value.clone() for name, value in network.state_dict().items()}
        keep = min(0.7, (1 + step) / (10 + step))
        expected = (
            state
            if expected is None
            else {name: keep * expected[name] + (1 - keep) * value for name, value in state.items()}
        )
    for name, value in average.module.state_dict().items():
        if name == "num_batches_tracked":
            assert value == 9
        else:
            torch.testing.assert_close(value, expected[name])


def test_an_average_moved_for_several_steps_at_once_is_nearly_that_of_every_step() -> None:
    torch.manual_seed(0)
    network = torch.nn.Linear(50, 50)
    every, eighth = averaged(network, 0.99), averaged(network, 0.99)
    callback = EMACallback(eighth, network, 0.99)
    start = network.weight.detach().clone()
    for _ in range(1003):
        with torch.no_grad():
            network.weight.add_(0.01 * torch.randn(50, 50))
        every.update_parameters(network)
        callback.after_step()
    callback.after_train()
    assert int(every.n_averaged) == int(eighth.n_averaged) == 1003
    apart = (every.module.weight - eighth.module.weight).std()
    assert apart < 0.1 * (network.weight - start).std()


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("lambda_gan", [0.0, 1.0])
def test_bfloat16_trains_on_a_cpu_like_float32(write_chips: WriteChips, lambda_gan: float) -> None:
    rows = {}
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(0)
        data = prepare_data(write_chips(count=9), batch_size=2)
        model = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4, lambda_gan=lambda_gan)
        model.fit(2, precision=precision, progress=False, checkpoint=False)
        rows[precision] = model.history[-1]["valid_l1"]
        assert not torch.is_autocast_enabled("cpu")
        assert {p.dtype for p in model.pair.parameters()} == {torch.float32}
    assert rows["bfloat16"] == pytest.approx(rows["float32"], rel=0.1)


@pytest.mark.parametrize(
    ("kind", "capable", "expected"),
    [
        ("cpu", True, "bfloat16"),
        ("cpu", False, "float32"),
        ("cuda", True, "bfloat16"),
        ("cuda", False, "float16"),
    ],
)
def test_auto_is_the_fastest_that_the_device_multiplies(
    monkeypatch: pytest.MonkeyPatch, kind: str, capable: bool, expected: str
) -> None:
    monkeypatch.setattr(precisions, "multiplies_bfloat16", lambda device: capable)
    assert training_precision("auto", torch.device(kind)) == expected


def test_learning_rate_that_diverges_is_said(model: Pix2Pix) -> None:
    with pytest.raises(TrainingError, match=r"^The losses are not finite in epoch 1: the learning"):
        model.fit(3, lr=1e30, **FIT)


def watched(rows: list[dict[str, float]]) -> None:
    watch = Diagnostics(rows)
    # A run that was resumed for one more epoch.
    watch.learn = SimpleNamespace(epoch=0)
    watch.after_epoch()
    watch.after_epoch()


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (
            {"d_real": 0.001, "d_fake": 0.01},
            "^Epoch 6: The discriminator has won.*fit.lr=.2e-4, 5e-5",
        ),
        ({"std_ratio": 0.001}, "^Epoch 6: The generator has collapsed.*constant"),
    ],
)
def test_game_that_is_lost_is_said_once(row: dict[str, float], sentence: str) -> None:
    with pytest.warns(GeotranslateWarning, match=sentence) as said:
        watched([row] * 6)
    assert len(said) == 1
    watched([row] * 4)
    watched([*[row] * 5, {"d_real": 0.5, "d_fake": 0.7, "std_ratio": 0.9}])


def test_losses_of_a_critic_may_be_negative() -> None:
    watched([{"d_real": -2.0, "d_fake": -3.0, "d_penalty": 0.5}] * 6)


def test_a_generator_that_has_hardly_begun_is_not_called_collapsed() -> None:
    watched([{"std_ratio": epoch / 1000} for epoch in range(1, 10)])
    with pytest.warns(GeotranslateWarning, match=r"^Epoch 10: The generator has collapsed"):
        watched([{"std_ratio": epoch / 1000} for epoch in (1, 2, 3, 4, 5, 6, 7, 8, 9, 8)])


def test_columns_that_can_be_monitored_are_those_of_the_table(model: Pix2Pix) -> None:
    model.fit(1, monitor="psnr", **FIT)
    assert set(model.available_metrics) <= set(model.history[0])
    assert {"g_gan", "g_l1", "d_real", "d_fake", "valid_l1", "mae", "rmse", "psnr"} <= set(
        model.available_metrics
    )


def test_measures_while_training_are_those_of_compute_metrics(model: Pix2Pix) -> None:
    model.fit(2, **FIT)
    measured = model.compute_metrics()
    for name in ("mae", "rmse", "psnr"):
        assert model.history[-1][name] == pytest.approx(measured[name])
