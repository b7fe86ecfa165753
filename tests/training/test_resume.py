"""A training that is interrupted ends as it would have."""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fastai.callback.core import Callback

from geotranslate import Pix2Pix, prepare_data
from geotranslate.errors import GeotranslateWarning, ModelFileError
from geotranslate.training.checkpoints import BEFORE, LAST
from tests.children import Child
from tests.conftest import chip_writer

FIT: dict[str, Any] = {"precision": "float32", "progress": False, "ema": 0.99}


def train(chips: Path, folder: Path, epochs: int = 6, **options: Any) -> Pix2Pix:
    """Train a small model, always from the same start."""
    torch.manual_seed(0)
    data = prepare_data(chips, batch_size=2, num_workers=options.pop("num_workers", None))
    model = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4)
    return model.fit(epochs, **{**FIT, "folder": folder, **options})


Trained = Callable[[int], tuple[Pix2Pix, Path]]
Whole = Callable[[int], Pix2Pix]
Begun = Callable[[int], Path]


@pytest.fixture(scope="module")
def chips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return chips that no test changes."""
    return chip_writer(tmp_path_factory.mktemp("resume"))(count=9)


@pytest.fixture(scope="module")
def trainings(chips: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return a function that trains for some epochs, once."""
    folder = tmp_path_factory.mktemp("trainings")
    return functools.cache(
        lambda epochs: (train(chips, folder / str(epochs), epochs), folder / str(epochs))
    )


@pytest.fixture
def whole(trainings: Trained) -> Whole:
    """Return a function that gives a model that was trained without an interruption."""
    return lambda epochs: trainings(epochs)[0]


@pytest.fixture
def begun(trainings: Trained, tmp_path: Path) -> Begun:
    """Return a function that gives a folder in which a training stopped after some epochs."""
    return lambda epochs: shutil.copytree(trainings(epochs)[1], tmp_path / "begun")


def assert_same(one: Pix2Pix, other: Pix2Pix) -> None:
    """Compare all weights, to the last bit, and the rows of the history."""
    theirs = other.pair.state_dict()
    for name, value in one.pair.state_dict().items():
        assert torch.equal(value, theirs[name]), name
    assert one.history == other.history


class Interrupt(Callback):
    """Stops a training in the middle of an epoch, as a user does."""

    order = 95

    def __init__(self, epoch: int) -> None:
        self.at = epoch

    def after_batch(self) -> None:
        if self.learn.epoch == self.at and self.training and self.iter == 1:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("schedule", "num_workers"),
    [
        pytest.param("constant", 0, marks=pytest.mark.slow),
        ("linear_decay", 0),
        ("one_cycle", 0),
        pytest.param("linear_decay", 1, marks=pytest.mark.slow),
    ],
)
def test_interrupted_training_ends_with_the_same_weights(
    chips: Path, tmp_path: Path, schedule: str, num_workers: int
) -> None:
    options = {"schedule": schedule, "num_workers": num_workers, "epochs": 3}
    whole = train(chips, tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        train(chips, tmp_path / "broken", **options, callbacks=[Interrupt(1)])
    resumed = train(chips, tmp_path / "broken", **options, resume=True)
    assert_same(resumed, whole)
    assert len(resumed.history) == 3


def go_on(chips: Path, folder: Path, epochs: int) -> None:
    train(chips, folder, epochs, resume=True)


def kill_after_an_epoch(child: Child, folder: Path, more: float) -> None:
    """Kill a training some seconds after it wrote a checkpoint, or let it end."""

    def written() -> int | None:
        return (folder / LAST).stat().st_mtime_ns if (folder / LAST).exists() else None

    before = written()
    with child:
        while written() in (before, None) and child.exit_code is None:
            time.sleep(0.005)
        child.process.join(more)


@pytest.mark.slow(minutes=1)
def test_killed_five_times_it_ends_with_the_same_weights(chips: Path, tmp_path: Path) -> None:
    whole = train(chips, tmp_path / "whole", 20)
    run = tmp_path / "killed"
    chance = np.random.default_rng(0)
    for number in range(5):
        child = Child(tmp_path / f"{number}.txt", go_on, chips, run, 20)
        kill_after_an_epoch(child, run, chance.uniform(0, 0.5))
    assert_same(train(chips, run, 20, resume=True), whole)


def test_from_checkpoint_goes_on_too(chips: Path, whole: Whole, begun: Begun) -> None:
    folder = begun(2)
    data = prepare_data(chips, batch_size=2)
    with pytest.raises(ModelFileError, match="no checkpoint"):
        Pix2Pix.from_checkpoint("ä" * 300, data)
    model = Pix2Pix.from_checkpoint(folder, data)
    assert len(model.history) == 2
    model.fit(4, **FIT, folder=folder, resume=True)
    assert_same(model, whole(4))


def test_average_is_resumed_as_it_was_begun(chips: Path, whole: Whole, begun: Begun) -> None:
    assert_same(train(chips, begun(2), 3, resume=True, ema=None), whole(3))


@pytest.mark.slow
def test_average_may_begin_or_end_where_a_training_is_resumed(chips: Path, tmp_path: Path) -> None:
    whole = train(chips, tmp_path / "whole", 3, ema=0)
    train(chips, tmp_path / "half", 2, ema=0)
    begun = train(chips, tmp_path / "half", 3, resume=True, ema=0.9)
    assert begun.predictor.inference.generator is begun.pair.average.module
    train(chips, tmp_path / "other", 2, ema=0.9)
    ended = train(chips, tmp_path / "other", 3, resume=True, ema=0)
    assert ended.predictor.inference.generator is ended.pair.generator
    assert ended.history[-1] == whole.history[-1]
    for one in (begun, ended):
        for mine, theirs in zip(
            one.pair.generator.parameters(), whole.pair.generator.parameters(), strict=True
        ):
            assert torch.equal(mine, theirs)


def test_what_is_finished_is_not_trained_again(chips: Path, whole: Whole, begun: Begun) -> None:
    assert_same(train(chips, begun(2), 2, resume=True), whole(2))


def test_without_a_checkpoint_it_begins(chips: Path, tmp_path: Path, whole: Whole) -> None:
    assert_same(train(chips, tmp_path / "other", 2, resume=True), whole(2))


def test_second_fit_goes_on_with_the_optimizer_and_can_be_resumed(
    chips: Path, tmp_path: Path
) -> None:
    one = train(chips, tmp_path / "a", 2).fit(3, **FIT, folder=tmp_path / "a")
    other = train(chips, tmp_path / "b", 2)
    with pytest.raises(KeyboardInterrupt):
        other.fit(3, **FIT, folder=tmp_path / "b", callbacks=[Interrupt(1)])
    data = prepare_data(chips, batch_size=2)
    resumed = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4).fit(
        3, **FIT, folder=tmp_path / "b", resume=True
    )
    assert_same(resumed, one)
    assert len(resumed.history) == 5


@pytest.mark.parametrize("share", [0.0, pytest.param(0.5, marks=pytest.mark.slow), 0.99])
def test_checkpoint_cut_off_is_said_and_the_one_before_is_used(
    chips: Path, whole: Whole, begun: Begun, share: float
) -> None:
    last = begun(3) / LAST
    content = last.read_bytes()
    last.write_bytes(content[: int(share * len(content))])
    with pytest.warns(GeotranslateWarning, match="last.safetensors is damaged.*after epoch 2"):
        resumed = train(chips, last.parent, 4, resume=True)
    assert_same(resumed, whole(4))


def test_kill_between_two_names_loses_nothing(chips: Path, whole: Whole, begun: Begun) -> None:
    folder = begun(2)
    (folder / LAST).unlink()
    assert_same(train(chips, folder, 3, resume=True), whole(3))


def test_checkpoints_that_are_all_damaged_are_said(chips: Path, begun: Begun) -> None:
    folder = begun(2)
    for name in (LAST, BEFORE):
        (folder / name).write_text("no checkpoint")
    with pytest.raises(ModelFileError, match=r"last.*damaged.*previous.*Remove the folder"):
        train(chips, folder, 3, resume=True)


def test_checkpoint_of_other_data_or_another_model_is_refused(chips: Path, begun: Begun) -> None:
    folder = begun(1)
    data = prepare_data(chips, batch_size=2)
    with pytest.raises(ModelFileError, match="another arguments of the model"):
        Pix2Pix(data, recipe="seamless", ngf=8, ndf=4).fit(2, **FIT, folder=folder, resume=True)
    other = prepare_data(chips, batch_size=2, seed=7)
    with pytest.raises(ModelFileError, match="of another training: another data"):
        Pix2Pix(other, recipe="seamless", ngf=4, ndf=4).fit(2, **FIT, folder=folder, resume=True)


def test_full_disk_loses_the_newest_checkpoint_alone(
    chips: Path, whole: Whole, begun: Begun, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = begun(2)
    with monkeypatch.context() as full:
        from geotranslate.training import checkpoints

        def no_room(*args: Any, **options: Any) -> None:
            raise OSError(28, "No space left on device")

        full.setattr(checkpoints, "save_file", no_room)
        with pytest.warns(GeotranslateWarning, match="No space left.*checkpoint before it stays"):
            assert_same(train(chips, folder, 4, resume=True), whole(4))
    assert_same(train(chips, folder, 4, resume=True), whole(4))
    assert not list(folder.glob(".*.partial"))


def test_accumulation_ends_with_the_epoch_so_it_can_be_resumed(chips: Path, tmp_path: Path) -> None:
    whole = train(chips, tmp_path / "whole", 3, accumulate=3)
    train(chips, tmp_path / "half", 1, accumulate=3)
    assert_same(train(chips, tmp_path / "half", 3, accumulate=3, resume=True), whole)


def test_scaler_of_float16_goes_on_too(chips: Path, tmp_path: Path) -> None:

    class Scale(Callback):
        order = 70

        def __init__(self) -> None:
            self.seen: list[float] = []

        def after_batch(self) -> None:
            if self.training:
                self.seen.append(self.learn.scaler.get_scale())

    class Low(Callback):
        """Starts below the scale that a scaler of its own has."""

        order = 80

        def before_fit(self) -> None:
            scaler = self.learn.scaler
            scaler.load_state_dict({**scaler.state_dict(), "scale": 256.0})

    train(chips, tmp_path, 1, precision="float16", callbacks=[Low()])
    scale = Scale()
    train(chips, tmp_path, 2, precision="float16", callbacks=[scale], resume=True)
    assert set(scale.seen) == {256.0}


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [True, False])
def test_what_is_frozen_stays_so(chips: Path, tmp_path: Path, frozen: bool) -> None:
    data = prepare_data(chips, batch_size=2)
    model = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4)
    first = next(iter(model.pair.generator.parameters()))
    first.requires_grad_(not frozen)
    model.fit(1, **FIT, folder=tmp_path)
    other = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4)
    next(iter(other.pair.generator.parameters())).requires_grad_(frozen)
    other.fit(2, **FIT, folder=tmp_path, resume=True)
    for again in (other, Pix2Pix.from_checkpoint(tmp_path, data)):
        assert next(iter(again.pair.generator.parameters())).requires_grad != frozen
        assert all(one.requires_grad for one in again.pair.discriminator.parameters())
    assert torch.equal(first, next(iter(other.pair.generator.parameters()))) == frozen


@pytest.mark.slow
def test_second_fit_that_ends_in_its_first_epoch_can_be_resumed(
    chips: Path, tmp_path: Path
) -> None:
    one = train(chips, tmp_path / "a", 3).fit(2, lr=1e-3, **FIT, folder=tmp_path / "a")
    other = train(chips, tmp_path / "b", 3)
    options = {"lr": 1e-3, **FIT, "folder": tmp_path / "b"}
    with pytest.raises(KeyboardInterrupt):
        other.fit(2, **options, callbacks=[Interrupt(0)])
    data = prepare_data(chips, batch_size=2)
    assert_same(Pix2Pix(data, recipe="seamless", ngf=4, ndf=4).fit(2, **options, resume=True), one)


def test_training_that_stopped_early_is_not_resumed(
    chips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geotranslate.training.callbacks.history.is_better", lambda *values: False)
    whole = train(chips, tmp_path, early_stopping=2, checkpoint="all", sample_every=1)
    for name in ("samples/epoch_0003.png", "epoch_0003/card.json"):
        assert (tmp_path / name).exists()
    assert len(whole.history) == 3
    assert_same(train(chips, tmp_path, early_stopping=2, resume=True), whole)


@pytest.mark.parametrize(
    "changed",
    [
        {"batch_size": 3},
        {"transforms": False},
        {"transforms": lambda *pair: pair},
        {"augment": "light"},
    ],
)
def test_other_batches_are_refused_where_the_same_training_is_asked_for(
    chips: Path, begun: Begun, changed: dict[str, Any]
) -> None:
    folder = begun(1)
    data = prepare_data(chips, **{"batch_size": 2, **changed})
    with pytest.raises(ModelFileError, match=f"another training: another {next(iter(changed))}"):
        Pix2Pix(data, recipe="seamless", ngf=4, ndf=4).fit(2, **FIT, folder=folder, resume=True)
    model = Pix2Pix.from_checkpoint(folder, data).fit(1, **FIT, folder=folder)
    assert len(model.history) == 2
