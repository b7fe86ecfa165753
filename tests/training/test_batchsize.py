from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from geotranslate import CycleGAN, Pix2Pix, prepare_data
from geotranslate.errors import InvalidInputError
from geotranslate.training.batchsize import fitting_batch_size, largest_fitting
from geotranslate.training.objectives import objectives_of
from geotranslate.training.reproducibility import MemoryFullError, random_state
from geotranslate.translators.runs import trainingrun
from tests.training.test_resume import Interrupt

pytestmark = pytest.mark.filterwarnings("ignore:Epoch .* has collapsed", "ignore:.*is not better")
WriteChips = Callable[..., Path]
FIT: dict[str, Any] = {"progress": False, "precision": "float32", "ema": 0}


@given(st.integers(0, 300), st.integers(2, 200))
def test_sizes_are_doubled_until_memory_is_full(memory: int, most: int) -> None:
    tried: list[int] = []

    def step(size: int) -> None:
        tried.append(size)
        if size > memory:
            raise MemoryFullError

    found = largest_fitting(step, most)
    fitting = [2**i for i in range(1, 9) if 2**i <= min(memory, most)]
    assert found == max(fitting, default=0)
    assert tried[: len(fitting)] == fitting
    assert len(tried) <= len(fitting) + 1


def fill_memory(generator: nn.Module, most: int) -> list[int]:
    """Let a network find no memory for more images; return the sizes of its batches."""
    seen: list[int] = []

    def count(network: nn.Module, images: tuple[Tensor, ...]) -> None:
        if network.training:
            seen.append(len(images[0]))
            if len(images[0]) > most:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    generator.register_forward_pre_hook(count)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "trained"), [(Pix2Pix, False), (CycleGAN, True)])
def test_half_of_what_fits_is_found_without_a_trace(
    write_chips: WriteChips, kind: Any, trained: bool
) -> None:
    options = {"recipe": "seamless", "depth": 3} if kind is Pix2Pix else {"gen_blocks": 1}
    data = prepare_data(write_chips(count=36), batch_size="auto", num_workers=0)
    model = kind(data, ngf=2, ndf=2, n_layers=1, **options)
    if trained:
        model.fit(1, checkpoint=False, **FIT)
    seen = fill_memory(model.pair.generator, 5)
    before = {name: value.clone() for name, value in model.pair.state_dict().items()}
    optimizer = repr(model.learn.opt.opt.state_dict()) if trained else None
    numbers, order = random_state(data)[0], random.getstate()
    pools = [objective.state() for objective in objectives_of(model.learn)]
    assert fitting_batch_size(model.learn, "float32") == 2
    assert sorted(set(seen)) == [2, 4, 8]
    for name, value in model.pair.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(torch.equal(value, numbers[name]) for name, value in random_state(data)[0].items())
    assert random.getstate() == order
    assert repr(pools) == repr([each.state() for each in objectives_of(model.learn)])
    assert (repr(model.learn.opt.opt.state_dict()) if trained else model.learn.opt) == optimizer
    assert (model.learn.pred, model.learn.loss, model.learn.xb) == (None, None, (None,))
    assert len(model.history) == trained
    assert data.train.bs == 4


@pytest.mark.parametrize(("memory", "size"), [(1, 2), (2, 2), (9, 4), (1000, 4)])
def test_an_epoch_keeps_eight_steps(write_chips: WriteChips, memory: int, size: int) -> None:
    data = prepare_data(write_chips(count=36), batch_size="auto", num_workers=0)
    assert len(data.train_ds) // 8 == 4
    model = Pix2Pix(data, recipe="seamless", ngf=2, ndf=2, depth=3, n_layers=1)
    fill_memory(model.pair.generator, memory)
    assert fitting_batch_size(model.learn, "float32") == size


def weights(model: Pix2Pix) -> Tensor:
    return torch.cat([one.detach().flatten() for one in model.pair.parameters()])


def test_chosen_size_trains_as_if_it_had_been_given(
    write_chips: WriteChips, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = write_chips(count=20)
    kept: dict[str, Any] = {"folder": tmp_path / "run", **FIT}

    def model(batch_size: Any) -> Pix2Pix:
        data = prepare_data(folder, batch_size=batch_size, num_workers=0)
        return Pix2Pix(data, recipe="seamless", ngf=2, ndf=2, depth=3, n_layers=1)

    plain = model("auto").fit(1, checkpoint=False, **FIT)
    assert plain.data.bs == 4  # type: ignore[union-attr]
    assert torch.equal(weights(plain), weights(model(4).fit(1, checkpoint=False, **FIT)))
    expected = weights(model(2).fit(2, checkpoint=False, **FIT))
    monkeypatch.setattr(trainingrun, "has_own_memory", lambda device: True)
    chosen = model("auto").fit(2, checkpoint=False, **FIT)
    data: Any = chosen.data
    assert (data.train.bs, data.options.batch_size, data.valid.bs) == (2, 2, 2)
    assert torch.equal(weights(chosen), expected)
    with pytest.raises(KeyboardInterrupt):
        model("auto").fit(2, callbacks=[Interrupt(epoch=1)], **kept)
    # The other machine has less memory, but the training keeps its batches.
    monkeypatch.setattr(trainingrun, "fitting_batch_size", lambda *given: 4)
    assert torch.equal(weights(model("auto").fit(2, resume=True, **kept)), expected)


@pytest.mark.parametrize("value", ["all", "", "4"])
def test_other_words_are_refused(write_chips: WriteChips, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"^batch_size is '.*'; give a number of pairs, or"):
        prepare_data(write_chips(), batch_size=value)
