"""Steps of several batches end with the epoch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from geotranslate import Pix2Pix, prepare_data
from geotranslate.training.callbacks.gan import EpochAccumulation


@pytest.mark.parametrize("lambda_gan", [0.0, 1.0])
def test_too_many_batches_are_those_of_the_epoch(
    write_chips: Callable[..., Path], lambda_gan: float
) -> None:
    chips, found = write_chips(count=9), []
    for accumulate in (4, 1000):
        torch.manual_seed(0)
        data = prepare_data(chips, batch_size=2)
        assert len(data.train) == 4
        model = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4, lambda_gan=lambda_gan)
        before = [one.detach().clone() for one in model.pair.parameters()]
        model.fit(2, accumulate=accumulate, precision="float32", checkpoint=False, progress=False)
        found.append(list(model.pair.parameters()))
        assert any((one != other).any() for one, other in zip(before, found[-1], strict=True))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_last_step_of_an_epoch_is_by_the_mean_of_its_own_batches() -> None:
    accumulation = EpochAccumulation(3)
    accumulation.learn = type("Learner", (), {"n_iter": 5, "yb": (torch.zeros(2, 1),)})()
    accumulation.before_fit()
    sizes = []
    for batch in range(5):
        accumulation.learn.iter = batch
        accumulation.before_batch()
        sizes.append(accumulation.n_acc)
        accumulation.count = (accumulation.count + 2) % accumulation.n_acc
    assert sizes == [6, 6, 6, 4, 4]
