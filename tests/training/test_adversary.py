from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from fastai.callback.core import Callback
from torch import Tensor

from geotranslate import Pix2Pix, prepare_data


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
    model.fit(5, progress=False)
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


def test_discriminator_never_sees_what_stands_on_invalid_pixels(
    write_chips: Callable[..., Path],
) -> None:
    data = prepare_data(write_chips(count=5), batch_size=4)
    source, target = data.one_batch()

    def train(spoiled: Tensor) -> list[Tensor]:
        torch.manual_seed(0)
        model = Pix2Pix(data, ngf=4, ndf=4, dropout=0)
        batch = (source, spoiled.as_subclass(type(target)))
        model.learn.dls.train = [batch]
        model.fit(2, progress=False)
        return [parameter.detach() for parameter in model.pair.parameters()]

    hole = target.clone()
    hole[:, :, :20] = torch.nan
    parameters = train(hole)
    assert all(torch.isfinite(parameter).all() for parameter in parameters)
