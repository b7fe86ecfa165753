"""Schedules in epochs, warm-up, betas, weight decay, logs of steps and chosen samples."""

from __future__ import annotations

import csv
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fastai.callback.core import Callback
from fastai.callback.schedule import ParamScheduler, SchedLin
from hypothesis import assume, given
from hypothesis import strategies as st

from geotranslate import Pix2Pix, prepare_data
from geotranslate.errors import InvalidInputError, MissingPackageError
from geotranslate.training.callbacks.schedule import FIRST, RateCurve, rate_at
from geotranslate.training.learner import Adam

WriteChips = Callable[..., Path]
FIT: dict[str, Any] = {"progress": False, "precision": "float32", "lr": 1e-3}
FALLING = ("linear_decay", "cosine", "step")


@pytest.fixture
def model(write_chips: WriteChips) -> Pix2Pix:
    data = prepare_data(write_chips(count=8), batch_size=2, val_split_pct=0.25)
    return Pix2Pix(data, recipe="seamless", ngf=4, ndf=4, n_layers=1)


class Seen(Callback):
    order, run_valid = 70, False

    def __init__(self) -> None:
        self.groups: list[dict[str, Any]] = []
        self.shares: list[float] = []

    def after_batch(self) -> None:
        group = self.opt.opt.param_groups[0]
        self.groups.append({name: group[name] for name in ("lr", "betas", "weight_decay")})
        self.shares.append(self.learn.share_done)


@given(
    schedule=st.sampled_from(FALLING),
    epochs=st.integers(2, 300),
    decay=st.none() | st.integers(1, 300),
    warmup=st.none() | st.floats(0, 300),
    share=st.floats(0, 1),
)
def test_rates_lie_between_nothing_and_the_rate(
    schedule: Any, epochs: int, decay: int | None, warmup: float | None, share: float
) -> None:
    last = 0 if decay is None or schedule == "step" else decay
    assume((warmup or 0) + last <= epochs and (warmup or 0) < epochs)
    curve = RateCurve(schedule, epochs, decay, warmup)
    assert -1e-9 <= curve.at(share) <= 1
    if warmup:
        assert curve.at(0) == pytest.approx(FIRST)
    if decay is None and warmup is None:
        assert curve.at(share) == rate_at(schedule, share)


@given(epochs=st.integers(1, 200), decay=st.integers(1, 200), epoch=st.integers(0, 399))
def test_rates_fall_in_the_last_epochs(epochs: int, decay: int, epoch: int) -> None:
    """As in the code of Isola et al.: constant, then in a line to 0; there one epoch later."""
    total = epochs + decay
    assume(epoch < total)
    share = epoch / total
    line = RateCurve("linear_decay", total, decay).at(share)
    assert line == pytest.approx(1 - max(0, epoch - epochs) / decay, abs=1e-9)
    wave = RateCurve("cosine", total, decay).at(share)
    assert (wave == 1) == (epoch <= epochs) or wave == pytest.approx(1)
    assert RateCurve("step", total, decay).at(share) == pytest.approx(0.1 ** (epoch // decay))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"decay_epochs": 2, "schedule": "constant"}, "the schedule 'constant' has no such epochs"),
        ({"decay_epochs": 2, "schedule": "one_cycle"}, "'one_cycle' has no such epochs"),
        ({"decay_epochs": 3, "schedule": "cosine"}, "together more than the 2 epochs"),
        ({"warmup": 2}, "warmup is 2 and decay_epochs is None, together more"),
        ({"warmup": -1}, "warmup is -1; give a number of at least 0"),
        ({"decay_epochs": 0}, "decay_epochs is 0; give a whole number of at least 1"),
        ({"betas": 0.5}, "betas is 0.5; give a list"),
        ({"betas": (0.5, 1)}, r"betas\[1\] is 1; give a number of at least 0 and below 1"),
        ({"weight_decay": -1}, "weight_decay is -1; give a number of at least 0"),
        ({"sample_pairs": 0}, "sample_pairs is 0; give a whole number of at least 1"),
        ({"sample_pairs": [9], "sample_every": 1}, "there are 2 pairs to draw; give places"),
        ({"sample_pairs": []}, "sample_pairs has 0 values; give at least 1"),
        ({"log_every": "all"}, "log_every is 'all'; give a whole number"),
        ({"wandb": 1}, "wandb is 1; give True or False"),
    ],
)
def test_impossible_knobs_are_said(model: Pix2Pix, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        model.fit(2, checkpoint=False, **FIT, **options)


def test_betas_weight_decay_and_warmup_reach_the_optimizer(model: Pix2Pix) -> None:
    seen = Seen()
    model.fit(
        2,
        checkpoint=False,
        betas=(0.9, 0.99),
        weight_decay=0.25,
        warmup=1,
        schedule="constant",
        callbacks=[seen],
        **FIT,
    )
    assert {group["betas"] for group in seen.groups} == {(0.9, 0.99)}
    assert {group["weight_decay"] for group in seen.groups} == {0.25}
    rates = [group["lr"] for group in seen.groups]
    assert rates[0] == pytest.approx(1e-3 * FIRST)
    assert rates[3:] == [1e-3] * 3
    assert rates[:4] == sorted(rates[:4])


def test_weight_decay_is_that_of_adamw() -> None:
    torch.manual_seed(0)
    ours, theirs = (torch.nn.Parameter(torch.randn(3, 4)) for _ in range(2))
    theirs.data.copy_(ours.data)
    bias = torch.nn.Parameter(torch.ones(3))
    steps = [
        Adam([ours, bias], lr=0.1, weight_decay=0.3, fused=True),
        torch.optim.AdamW([theirs], lr=0.1, weight_decay=0.3),
    ]
    for _ in range(5):
        for weight in (ours, theirs):
            weight.grad = torch.sin(weight.detach())
        bias.grad = torch.zeros(3)
        for step in steps:
            step.step()
    torch.testing.assert_close(ours, theirs)
    assert torch.equal(bias, torch.ones(3))


def test_scheduler_of_the_user_wins(model: Pix2Pix) -> None:
    seen, rates = Seen(), ParamScheduler({"lr": SchedLin(1.0, 0.0)})
    model.fit(2, checkpoint=False, schedule="constant", callbacks=[seen, rates], **FIT)
    found = [group["lr"] for group in seen.groups]
    assert found[0] == 1.0
    assert found == sorted(found, reverse=True)
    # What the discriminator begins by is still known.
    assert seen.shares == pytest.approx([step / 6 for step in range(6)])


def test_steps_are_logged_across_an_interruption(write_chips: WriteChips, tmp_path: Path) -> None:
    chips = write_chips(count=8)

    class Stop(Callback):
        order = 200

        def after_batch(self) -> None:
            if self.training and self.epoch == 1 and self.iter == 1:
                raise KeyboardInterrupt

    def train(folder: str, **options: Any) -> list[dict[str, str]]:
        data = prepare_data(chips, batch_size=2, val_split_pct=0.25)
        made = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4, n_layers=1)
        made.fit(2, folder=tmp_path / folder, log_every=2, **FIT, **options)
        with (tmp_path / folder / "steps.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    whole = train("whole")
    assert [(row["step"], row["epoch"]) for row in whole] == [("2", "1"), ("4", "2"), ("6", "2")]
    columns = [
        "step",
        "epoch",
        "lr",
        "lr_discriminator",
        "loss",
        "g_gan",
        "g_l1",
        "d_real",
        "d_fake",
    ]
    assert list(whole[0]) == columns
    with pytest.raises(KeyboardInterrupt):
        train("parts", callbacks=[Stop()])
    assert train("parts", resume=True) == whole


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("options", "places"),
    [({}, [[0, 1]] * 2), ({"sample_pairs": [1]}, [[1]] * 2), ({"sample_random": True}, None)],
)
def test_samples_show_the_chosen_pairs(
    model: Pix2Pix,
    options: dict[str, Any],
    places: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    shown: list[list[int]] = []
    drawn = Pix2Pix._drawn

    def note(self: Pix2Pix, pairs: Any, rows: int) -> Any:
        shown.append(list(pairs.indices))
        return drawn(self, pairs, rows)

    monkeypatch.setattr(Pix2Pix, "_drawn", note)
    model.fit(2, checkpoint=False, folder=tmp_path, sample_every=1, **FIT, **options)
    assert (tmp_path / "samples" / "epoch_0002.png").is_file()
    assert shown == places or sorted(shown[0]) == sorted(shown[1]) == [0, 1]


def test_wandb_that_is_not_installed_is_said(
    model: Pix2Pix, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'geotranslate\[wandb\]'"):
        model.fit(1, wandb=True, folder=tmp_path, **FIT)


def test_wandb_gets_losses_and_leaves_the_training_as_it_is(
    write_chips: WriteChips, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    logged: list[dict[str, Any]] = []
    fake: Any = types.ModuleType("wandb")
    update = lambda values, **options: logged.append({"config": values})  # noqa: E731
    fake.run, fake.config = None, types.SimpleNamespace(update=update)
    run = types.SimpleNamespace(step=0, summary={})
    fake.init = lambda **options: (logged.append(options), setattr(fake, "run", run))
    fake.log = lambda values, **options: logged.append(values)
    fake.finish = lambda: logged.append({"finished": True})
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.delitem(sys.modules, "fastai.callback.wandb", raising=False)
    chips = write_chips(count=4)
    weights = []
    for options in ({"wandb": True}, {}):
        made = Pix2Pix(
            prepare_data(chips, batch_size=2, val_split_pct=0.25), recipe="seamless", ngf=4, ndf=4
        )
        made.fit(1, checkpoint=False, folder=tmp_path, **FIT, **options)
        weights.append(made.digest())
    assert weights[0] == weights[1]
    assert logged[0]["project"] == "geotranslate"
    assert logged[1]["config"]["ngf"] == 4
    assert any("valid_l1" in values for values in logged)
    assert logged[-1] == {"finished": True}
