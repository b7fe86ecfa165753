from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from fastai.callback.core import Callback
from fastai.callback.fp16 import MixedPrecision
from fastai.callback.training import GradientAccumulation
from torch import Tensor

from geotranslate import Pix2Pix, prepare_data
from geotranslate.errors import InvalidInputError
from geotranslate.training.adversary import Adversary


class Watch(Callback):
    """Keeps the batches that are trained on."""

    run_valid = False

    def __init__(self) -> None:
        self.batches: list[tuple[Tensor, Tensor]] = []

    def before_batch(self) -> None:
        self.batches.append((self.xb[0].as_subclass(Tensor), self.yb[0].as_subclass(Tensor)))


def test_training_equals_a_hand_written_loop_with_two_optimizers(
    write_chips: Callable[..., Path],
) -> None:
    torch.manual_seed(0)
    data = prepare_data(write_chips(count=9), batch_size=2)
    model = Pix2Pix(data, ngf=4, ndf=4, dropout=0)
    generator = copy.deepcopy(model.pair.generator).train()
    discriminator = copy.deepcopy(model.pair.discriminator).train()
    watch = Watch()
    model.learn.add_cb(watch)
    model.fit(5, precision="float32", progress=False)
    assert len(watch.batches) == 20

    of_generator, of_discriminator = (
        torch.optim.Adam(network.parameters(), 2e-4, (0.5, 0.999))
        for network in (generator, discriminator)
    )
    for source, target in watch.batches:
        fake = generator(source)
        real_logits = discriminator(source, target)
        fake_logits = discriminator(source, fake.detach())
        loss = 0.5 * (
            F.binary_cross_entropy_with_logits(real_logits, torch.ones_like(real_logits))
            + F.binary_cross_entropy_with_logits(fake_logits, torch.zeros_like(fake_logits))
        )
        of_discriminator.zero_grad()
        loss.backward()
        of_discriminator.step()
        logits = discriminator(source, fake)
        loss = F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
        loss = loss + 100 * F.l1_loss(fake, target)
        of_generator.zero_grad()
        loss.backward()
        of_generator.step()

    for name, ours in (("generator", generator), ("discriminator", discriminator)):
        theirs = getattr(model.pair, name).state_dict()
        for key, value in ours.state_dict().items():
            torch.testing.assert_close(theirs[key], value, atol=1e-6, rtol=0, msg=f"{name} {key}")


def test_discriminator_sees_the_same_on_invalid_pixels_of_real_and_fake(
    write_chips: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = prepare_data(write_chips(count=5), batch_size=4)
    model = Pix2Pix(data, ngf=4, ndf=4)
    source, target = data.one_batch()
    target[:, :, :20] = torch.nan
    data.train = [(source, target)]
    seen: list[Tensor] = []
    discriminator = model.pair.discriminator
    judge = discriminator.forward
    monkeypatch.setattr(
        discriminator, "forward", lambda s, t: seen.append(t.detach().clone()) or judge(s, t)
    )
    model.fit(1, checkpoint=False, progress=False)
    real, fake, again = seen
    assert torch.equal(real[:, :, :20], fake[:, :, :20])
    assert not torch.equal(real[:, :, 20:], fake[:, :, 20:])
    assert torch.equal(fake, again)
    assert all(torch.isfinite(parameter).all() for parameter in model.pair.parameters())


def test_both_networks_are_groups_of_one_optimizer(write_chips: Callable[..., Path]) -> None:
    model = Pix2Pix(prepare_data(write_chips(count=3)), ngf=4, ndf=4)
    model.learn.create_opt()
    sizes = [len(group["params"]) for group in model.learn.opt.opt.param_groups]
    networks = (model.pair.generator, model.pair.discriminator)
    assert sizes == [len(list(network.parameters())) for network in networks]


def test_interrupted_training_goes_on_as_if_it_began(write_chips: Callable[..., Path]) -> None:
    data = prepare_data(write_chips(count=5), batch_size=4, transforms=False)

    class Stop(Callback):
        def before_step(self) -> None:
            raise KeyboardInterrupt

    def train(interrupted: bool) -> list[Tensor]:
        torch.manual_seed(0)
        model = Pix2Pix(data, ngf=4, ndf=4, dropout=0, norm="none")
        if interrupted:
            before = copy.deepcopy(model.pair.state_dict())
            stop = Stop()
            model.learn.add_cb(stop)
            with pytest.raises(KeyboardInterrupt):
                model.fit(1, progress=False)
            model.learn.remove_cb(stop)
            model.pair.load_state_dict(before)
            model.learn.create_opt()
        data.train.rng = random.Random(1)
        model.fit(1, progress=False)
        return [parameter.detach().clone() for parameter in model.pair.parameters()]

    for one, other in zip(train(False), train(True), strict=True):
        assert torch.equal(one, other)


def test_accumulation_is_refused(write_chips: Callable[..., Path]) -> None:
    model = Pix2Pix(prepare_data(write_chips(count=3)), ngf=4, ndf=4)
    model.learn.add_cb(GradientAccumulation(4))
    with pytest.raises(InvalidInputError, match="GradientAccumulation does not work with an adv"):
        model.fit(1, progress=False)


def test_game_is_played_before_mixed_precision_scales() -> None:
    assert Adversary.order < MixedPrecision.order
