from __future__ import annotations

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from fastai.callback.core import Callback
from fastai.callback.fp16 import MixedPrecision
from fastai.callback.training import GradientAccumulation, GradientClip
from torch import Tensor, nn

from geotranslate import Pix2Pix, Pix2PixHD, prepare_data
from geotranslate.training.callbacks.gan import GANCallback

# So few steps leave a network that gives one color, and need not be better than a constant.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Epoch .* has collapsed"),
    pytest.mark.filterwarnings("ignore:.*model is not better than"),
]


class Watch(Callback):
    """Keeps the batches that are trained on, in double precision."""

    # After fastai has made plain tensors of them.
    order = 10

    def __init__(self) -> None:
        self.batches: list[tuple[Tensor, Tensor]] = []

    def before_batch(self) -> None:
        self.learn.xb, self.learn.yb = ((side[0].double(),) for side in (self.xb, self.yb))
        if self.training:
            self.batches.append((self.xb[0], self.yb[0]))

    def after_batch(self) -> None:
        # As fastai's table wants it.
        self.learn.loss = self.learn.loss.float()


VANILLA = {
    "real": lambda logits, s: F.binary_cross_entropy_with_logits(
        logits, torch.full_like(logits, 1 - s)
    ),
    "fake": lambda logits: F.binary_cross_entropy_with_logits(logits, torch.zeros_like(logits)),
    "generator": lambda logits: F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits)),
}
LSGAN = {
    "real": lambda logits, s: (logits - (1 - s)).square().mean(),
    "fake": lambda logits: logits.square().mean(),
    "generator": lambda logits: (logits - 1).square().mean(),
}
HINGE = {
    "real": lambda logits, s: F.relu(1 - logits).mean(),
    "fake": lambda logits: F.relu(1 + logits).mean(),
    "generator": lambda logits: -logits.mean(),
}


WGAN = {
    "real": lambda logits, s: -logits.mean(),
    "fake": lambda logits: logits.mean(),
    "generator": lambda logits: -logits.mean(),
}


def penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """Return the gradient penalty of Gulrajani et al., image by image."""
    shares, found = torch.rand(len(real), 1, 1, 1), []
    for share, one, other in zip(shares, real, fake.detach(), strict=True):
        image = torch.lerp(other, one, share.double())[None].requires_grad_()
        (slope,) = torch.autograd.grad(critic(image).sum(), image, create_graph=True)
        found.append((slope.square().sum().sqrt() - 1) ** 2)
    return 10 * torch.stack(found).mean()


@dataclass
class Loop:
    """The same training by hand: two networks, two optimizers, no fastai."""

    generator: nn.Module
    discriminator: nn.Module
    losses: dict[str, Callable[..., Tensor]]
    smoothing: float = 0.0
    perceptual: float = 0.0
    max_norm: float | None = None
    accumulated: int = 1

    def train(self, batches: list[tuple[Tensor, Tensor]]) -> None:
        of_generator, of_discriminator = (
            torch.optim.Adam(network.parameters(), 2e-4, (0.5, 0.999))
            for network in (self.generator, self.discriminator)
        )
        for number, (source, target) in enumerate(batches, 1):
            fake = self.generator(source)
            (self.critic_loss(source, target, fake.detach()) / self.accumulated).backward()
            if number % self.accumulated == 0:
                of_discriminator.step()
                of_discriminator.zero_grad()
            parameters = list(self.generator.parameters())
            loss = self.generator_loss(source, target, fake) / self.accumulated
            for parameter, gradient in zip(
                parameters, torch.autograd.grad(loss, parameters), strict=True
            ):
                parameter.grad = gradient + (0 if parameter.grad is None else parameter.grad)
            if number % self.accumulated == 0:
                if self.max_norm:
                    nn.utils.clip_grad_norm_(parameters, self.max_norm)
                of_generator.step()
                of_generator.zero_grad()

    def critic_loss(self, source: Tensor, target: Tensor, fake: Tensor) -> Tensor:
        real = self.losses["real"](self.discriminator(source, target), self.smoothing)
        return 0.5 * (real + self.losses["fake"](self.discriminator(source, fake)))

    def generator_loss(self, source: Tensor, target: Tensor, fake: Tensor) -> Tensor:
        loss = 100 * F.l1_loss(fake, target)
        loss = loss + self.losses["generator"](self.discriminator(source, fake))
        if self.perceptual:
            hidden, wanted = torch.cat([source, fake], 1), torch.cat([source, target], 1)
            for layer in self.discriminator.layers[:-1]:
                hidden, wanted = layer(hidden), layer(wanted)
                if isinstance(layer, nn.LeakyReLU):
                    loss = loss + self.perceptual * F.l1_loss(hidden, wanted.detach())
        return loss


def trained_both_ways(
    folder: Path,
    loop: Callable[[nn.Module, nn.Module], Loop],
    *callbacks: Callback,
    **options: Any,
) -> None:
    """Check that a model's training ends with the weights of the loop."""
    torch.manual_seed(0)
    model = Pix2Pix(
        prepare_data(folder, batch_size=2), recipe="seamless", ngf=4, ndf=4, dropout=0, **options
    )
    # Normalizations of what is flat, and Adam, make differences of rounding large.
    model.pair.double()
    generator = copy.deepcopy(model.pair.generator).train()
    discriminator = copy.deepcopy(model.pair.discriminator).train()
    watch = Watch()
    model.learn.add_cbs([watch, *callbacks])
    model.fit(3, precision="float32", checkpoint=False, progress=False)
    assert len(watch.batches) == 12
    loop(generator, discriminator).train(watch.batches)
    for name, ours in (("generator", generator), ("discriminator", discriminator)):
        theirs = dict(getattr(model.pair, name).named_parameters())
        for key, value in ours.named_parameters():
            torch.testing.assert_close(theirs[key], value, atol=1e-9, rtol=0, msg=f"{name} {key}")


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("gan_mode", "losses", "smoothing"),
    [
        pytest.param("vanilla", VANILLA, 0, marks=pytest.mark.slow),
        ("vanilla", VANILLA, 0.1),
        pytest.param("lsgan", LSGAN, 0, marks=pytest.mark.slow),
        ("lsgan", LSGAN, 0.2),
        ("hinge", HINGE, 0),
    ],
)
def test_training_equals_a_hand_written_loop_with_two_optimizers(
    write_chips: Callable[..., Path],
    gan_mode: str,
    losses: dict[str, Callable[..., Tensor]],
    smoothing: float,
) -> None:
    trained_both_ways(
        write_chips(count=9),
        partial(Loop, losses=losses, smoothing=smoothing),
        gan_mode=gan_mode,
        label_smoothing=smoothing,
    )


@pytest.mark.parametrize("weight", [pytest.param(True, marks=pytest.mark.slow), 2.5])
def test_features_are_matched_as_in_a_hand_written_loop(
    write_chips: Callable[..., Path], weight: bool | float
) -> None:
    trained_both_ways(
        write_chips(count=9),
        partial(Loop, losses=VANILLA, perceptual=10.0 if weight is True else weight),
        perceptual_loss=weight,
    )


@pytest.mark.parametrize("max_norm", [1e-3, pytest.param(1.0, marks=pytest.mark.slow)])
def test_gradient_clip_clips_the_generator_alone(
    write_chips: Callable[..., Path], max_norm: float
) -> None:
    trained_both_ways(
        write_chips(count=9),
        partial(Loop, losses=VANILLA, max_norm=max_norm),
        GradientClip(max_norm),
    )


@pytest.mark.parametrize("clip", [pytest.param(False, marks=pytest.mark.slow), True])
def test_accumulation_equals_a_hand_written_loop(
    write_chips: Callable[..., Path], clip: bool
) -> None:
    trained_both_ways(
        write_chips(count=9),
        partial(Loop, losses=VANILLA, accumulated=2, max_norm=0.5 if clip else None),
        GradientAccumulation(4),
        *([GradientClip(0.5)] if clip else []),
    )


def train_in_parts(folder: Path, parts: int, epochs: int = 12, **options: Any) -> list[Tensor]:
    """Return the weights after steps on four pairs each, in so many parts."""
    torch.manual_seed(0)
    data = prepare_data(folder, batch_size=4 // parts, transforms=False)
    model = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4, dropout=0, norm="none", **options)
    pairs = [data.train_ds[i] for i in range(8)]
    batches = [
        tuple(torch.stack(side) for side in zip(*pairs[i : i + 4 // parts], strict=True))
        for i in range(0, 8, 4 // parts)
    ]
    data.train = batches
    if parts > 1:
        model.learn.add_cb(GradientAccumulation(4))
    model.pair.double()
    model.learn.add_cb(Watch())
    if epochs:
        model.fit(epochs, ema=0, precision="float32", checkpoint=False, progress=False)
    return [parameter.detach().clone() for parameter in model.pair.parameters()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lambda_gan", "near"), [pytest.param(1, 0.02, marks=pytest.mark.slow), (0, 1e-9)]
)
def test_accumulated_batches_are_near_whole_ones_and_alike_without_a_game(
    write_chips: Callable[..., Path], lambda_gan: float, near: float
) -> None:
    folder = write_chips(count=9)
    start, whole, halves, quarters = (
        torch.cat([one.flatten() for one in train_in_parts(folder, lambda_gan=lambda_gan, **how)])
        for how in ({"parts": 1, "epochs": 0}, {"parts": 1}, {"parts": 2}, {"parts": 4})
    )
    for split in (halves, quarters):
        # The generator plays the first parts against the discriminator of before.
        assert (split - whole).abs().mean() < near * (whole - start).abs().mean()


def test_discriminators_step_does_not_move_the_generator(
    write_chips: Callable[..., Path],
) -> None:
    model = Pix2Pix(
        prepare_data(write_chips(count=9), batch_size=1), recipe="seamless", ngf=4, ndf=4
    )
    seen: dict[str, list[list[Tensor]]] = {"before": [], "after": []}

    class Look(Callback):
        run_valid = False

        def __init__(self, order: int, rows: list[list[Tensor]]) -> None:
            self.order, self.rows = order, rows

        def after_pred(self) -> None:
            parameters = self.model.generator.parameters()
            self.rows.append([parameter.detach().clone() for parameter in parameters])

    looks = [
        Look(GANCallback.order + step, seen[when]) for step, when in ((-1, "before"), (1, "after"))
    ]
    model.learn.add_cbs([*looks, GradientAccumulation(4)])
    model.fit(2, precision="float32", checkpoint=False, progress=False)
    states = zip(seen["before"], seen["after"], strict=True)
    assert all(torch.equal(a, b) for state in states for a, b in zip(*state, strict=True))
    assert not torch.equal(seen["after"][0][0], seen["after"][-1][0])


def test_discriminator_sees_the_same_on_invalid_pixels_of_real_and_fake(
    write_chips: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = prepare_data(write_chips(count=5), batch_size=4)
    model = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4)
    source, target = data.one_batch()
    target[:, :, :20] = torch.nan
    data.train = [(source, target)]
    seen: list[Tensor] = []
    discriminator = model.pair.discriminator
    features = discriminator.features
    monkeypatch.setattr(
        discriminator, "features", lambda s, t: seen.append(t.detach().clone()) or features(s, t)
    )
    model.fit(1, checkpoint=False, progress=False)
    real, fake, again = seen
    assert torch.equal(real[:, :, :20], fake[:, :, :20])
    assert not torch.equal(real[:, :, 20:], fake[:, :, 20:])
    assert torch.equal(fake, again)
    assert all(torch.isfinite(parameter).all() for parameter in model.pair.parameters())


def test_both_networks_are_groups_of_one_optimizer(write_chips: Callable[..., Path]) -> None:
    model = Pix2Pix(prepare_data(write_chips(count=3)), recipe="seamless", ngf=4, ndf=4)
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
        model = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4, dropout=0, norm="none")
        if interrupted:
            before = copy.deepcopy(model.pair.state_dict())
            stop = Stop()
            model.learn.add_cb(stop)
            with pytest.raises(KeyboardInterrupt):
                model.fit(1, ema=0, checkpoint=False, progress=False)
            model.learn.remove_cb(stop)
            model.pair.load_state_dict(before)
            model.learn.create_opt()
        data.train.rng = random.Random(1)
        model.fit(1, ema=0, checkpoint=False, progress=False)
        return [parameter.detach().clone() for parameter in model.pair.parameters()]

    for one, other in zip(train(False), train(True), strict=True):
        assert torch.equal(one, other)


def test_game_is_played_before_its_loss_is_weighed_and_scaled() -> None:
    assert GANCallback.order < GradientAccumulation.order < MixedPrecision.order


class WatchDraws(Watch):
    """Keeps the random numbers of each batch, too."""

    def __init__(self) -> None:
        super().__init__()
        self.draws: list[Tensor] = []

    def before_batch(self) -> None:
        super().before_batch()
        if self.training:
            self.draws.append(torch.get_rng_state())


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Pix2Pix, Pix2PixHD])
def test_wasserstein_training_equals_a_hand_written_loop(
    write_chips: Callable[..., Path], kind: Any
) -> None:
    data = prepare_data(write_chips(count=5), batch_size=2)
    own: dict[str, Any] = {"recipe": "seamless", "dropout": 0}
    if kind is Pix2PixHD:
        own = {"n_downsample_global": 1, "n_blocks_global": 1, "feat_loss": False}
        own["n_layers"] = 2
    model = kind(data, gan_mode="wgangp", norm="batch", ngf=4, ndf=4, **own)
    model.pair.double()
    generator = copy.deepcopy(model.pair.generator).train()
    critic = copy.deepcopy(model.pair.discriminator).train()
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in critic.modules())

    def scales(source: Tensor, image: Tensor) -> list[Tensor]:
        found = critic(source, image)
        return found if isinstance(found, list) else [found]

    watch = WatchDraws()
    model.learn.add_cb(watch)
    model.fit(3, schedule="constant", ema=0, precision="float32", checkpoint=False, progress=False)
    assert len(watch.batches) == 6
    of_generator, of_critic = (
        torch.optim.Adam(network.parameters(), 2e-4, (0.5, 0.999))
        for network in (generator, critic)
    )
    for (source, target), draws in zip(watch.batches, watch.draws, strict=True):
        torch.set_rng_state(draws)
        fake = generator(source)
        loss = sum(one.mean() for one in scales(source, fake.detach()))
        loss = loss - sum(one.mean() for one in scales(source, target))
        places = iter(range(len(source)))

        def summed(image: Tensor, source: Tensor = source, places: Any = places) -> Tensor:
            place = next(places)
            logits = scales(source[place : place + 1], image)
            return torch.stack([one.sum() for one in logits])

        of_critic.zero_grad()
        (0.5 * (loss + penalty(summed, target, fake))).backward()
        of_critic.step()
        loss = 100 * F.l1_loss(fake, target) - sum(one.mean() for one in scales(source, fake))
        of_generator.zero_grad()
        loss.backward()
        of_generator.step()
    for name, ours in (("generator", generator), ("discriminator", critic)):
        theirs = dict(getattr(model.pair, name).named_parameters())
        for key, value in ours.named_parameters():
            layer, _, kind = key.rpartition(".")
            inner = isinstance(ours.get_submodule(layer), nn.Conv2d) and not layer.endswith(".0")
            # What an instance normalization takes out again has gradients of rounding alone, which
            # Adam brings to the size of a step.
            near = 3e-3 if inner and kind == "bias" else 1e-9
            torch.testing.assert_close(theirs[key], value, atol=near, rtol=0, msg=f"{name} {key}")
