"""However a training ends, the model and the Python session are as a plain end leaves them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fastai.callback.core import Callback

from geotranslate import Pix2Pix, prepare_data
from geotranslate.errors import InvalidInputError, TrainingError
from geotranslate.training.reproducibility import memory_errors

WriteChips = Callable[..., Path]
FIT: dict[str, Any] = {"progress": False, "checkpoint": False}


def small_model(chips: Path) -> Pix2Pix:
    torch.manual_seed(0)
    return Pix2Pix(prepare_data(chips, batch_size=2), recipe="seamless", ngf=4, ndf=4)


class Fails(Callback):
    """Raises an error while a batch is in the middle."""

    run_valid = False

    def __init__(self, event: str, error: BaseException) -> None:
        self.at, self.error = event, error

    def __call__(self, event_name: str) -> None:
        if event_name == self.at:
            raise self.error


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("event", ["before_batch", "after_pred", "after_loss", "before_step"])
def test_interruption_leaves_nothing_changed(
    write_chips: WriteChips, precision: Any, event: str
) -> None:
    model = small_model(write_chips(count=5))
    with pytest.raises(KeyboardInterrupt):
        model.fit(1, precision=precision, callbacks=[Fails(event, KeyboardInterrupt())], **FIT)
    assert not torch.is_autocast_enabled("cpu")
    assert model.learn.scaler is None
    assert all(one.requires_grad for one in model.pair.parameters())
    assert all(one.grad is None for one in model.pair.parameters())


@pytest.mark.usefixtures("short_lr_find")
def test_learning_rate_is_found_without_a_trace(
    write_chips: WriteChips, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = small_model(write_chips(count=9))
    model.fit(1, **FIT)
    before = {name: value.clone() for name, value in model.pair.state_dict().items()}
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with model.learn.no_bar():
        assert 1e-8 < model.lr_find() < 10
        model.learn.add_cb(Fails("after_step", KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            model.lr_find()
        model.learn.cbs[-1].error = MemoryError()
        with pytest.raises(InvalidInputError, match="does not fit in memory"):
            model.lr_find()
    for name, value in model.pair.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert len(model.history) == 1
    assert not list(Path().iterdir())


class NoMemory(Callback):
    """Has no memory in an event, where fastai asks the error for words that it lacks."""

    def after_pred(self) -> None:
        raise MemoryError


def test_memory_error_in_a_callback_is_said(write_chips: WriteChips) -> None:
    model = small_model(write_chips(count=5))
    with pytest.raises(InvalidInputError, match="batch of 2 pairs does not fit in memory"):
        model.fit(1, callbacks=[NoMemory()], **FIT)


def test_compiler_that_is_missing_is_said_and_compiling_ends_with_the_training(
    write_chips: WriteChips, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._dynamo.exc import TorchDynamoException

    def no_compiler(*args: Any) -> None:
        raise TorchDynamoException("no C++ compiler")

    model = small_model(write_chips(count=5))
    called = []

    def plain(*args: Any) -> torch.Tensor:
        called.append(args)
        return model.pair.generator._call_impl(*args)

    monkeypatch.setattr(torch, "compile", lambda *args, **options: no_compiler)
    with pytest.raises(TrainingError, match=r"cannot compile .*no C\+\+.*without compile=True"):
        model.fit(1, compile=True, **FIT)
    monkeypatch.setattr(torch, "compile", lambda *args, **options: plain)
    model.fit(1, compile=True, **FIT)
    assert (batches := len(called))
    model.fit(1, **FIT)
    assert len(called) == batches


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
        RuntimeError("could not create a primitive"),
        MemoryError(),
    ],
)
def test_memory_that_does_not_hold_a_batch_is_said(error: Exception) -> None:
    with pytest.raises(InvalidInputError, match=r"batch of 8 .*batch_size=4"):
        with memory_errors(8):
            raise error
    with pytest.raises(InvalidInputError, match="a smaller chip_size"), memory_errors(1):
        raise error


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="something else"), memory_errors(8):
        raise RuntimeError("something else")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
@pytest.mark.parametrize(("padding", "recipe"), [("zeros", "measurement"), ("reflect", "seamless")])
def test_generators_learn_compiled_what_they_learn_otherwise(
    write_chips: Callable[..., Path], padding: Any, recipe: Any
) -> None:
    weights, chips = [], write_chips()
    for compile in (False, True):
        data = prepare_data(chips, batch_size=2)
        model = Pix2Pix(data, recipe=recipe, padding=padding, ngf=4, ndf=4, dropout=0, lambda_gan=0)
        model.fit(1, compile=compile, precision="float32", ema=0, **FIT)
        weights.append(torch.cat([one.flatten() for one in model.pair.generator.parameters()]))
    torch.testing.assert_close(*weights, atol=1e-3, rtol=0)
