"""The losses of pairs, by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from geotranslate.networks.patchgan import MultiscaleDiscriminator
from geotranslate.training.objectives import PairedObjective, masked_l1

MODES = ("vanilla", "lsgan", "hinge")


class Fixed:
    """Two scales whose features and logits are multiples of the target; the source is added."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def features(self, source: Tensor, target: Tensor) -> list[list[Tensor]]:
        self.seen.append(target)
        one = source + target
        return [[one, 3 * one, 2 * one], [one[..., ::2, ::2], 4 * one[..., ::2, ::2]]]


def make_objective(discriminator: Any, **options: Any) -> PairedObjective:
    weights = {"lambda_l1": 100.0, "lambda_gan": 1.0, "lambda_features": 10.0}
    return PairedObjective(discriminator, **weights | options)


def flat(value: float) -> Tensor:
    return torch.full((2, 1, 4, 6), value)


def softplus(value: float) -> float:
    return math.log1p(math.exp(value))


BY_HAND = {
    # Logits of the real pairs are 1 and 2, of the fake ones 0.2 and 0.4.
    "vanilla": (
        softplus(-1) + softplus(-2),
        softplus(0.2) + softplus(0.4),
        softplus(-0.2) + softplus(-0.4),
    ),
    "lsgan": (0 + 1, 0.2**2 + 0.4**2, 0.8**2 + 0.6**2),
    "hinge": (0, 1.2 + 1.4, -0.2 - 0.4),
}


@pytest.mark.parametrize("mode", MODES)
def test_adversarial_losses_are_summed_over_scales_and_features_averaged(mode: Any) -> None:
    objective = make_objective(Fixed(), gan_mode=mode)
    objective.start_batch(flat(0.3), flat(0.2), flat(-0.2))
    losses = objective.discriminator_losses()
    weighted = objective.generator_losses(torch.tensor(0.4))
    real, fake, adversarial = BY_HAND[mode]
    assert list(losses) == list(objective.discriminator_terms) == ["d_real", "d_fake"]
    assert list(weighted) == list(objective.generator_terms) == ["g_gan", "g_l1", "g_features"]
    assert float(losses["d_real"]) == pytest.approx(real, abs=1e-6)
    assert float(losses["d_fake"]) == pytest.approx(fake, abs=1e-6)
    # Of the first scale 0.4 + 1.2, of the second 0.4.
    expected = {"g_gan": (1, adversarial), "g_l1": (100, 0.4), "g_features": (10, (1.6 + 0.4) / 2)}
    for name, (weight, loss) in weighted.items():
        assert (weight, float(loss)) == pytest.approx(expected[name], abs=1e-6), name


@pytest.mark.parametrize(("mode", "real"), [("lsgan", 0.1**2 + 1.1**2), ("vanilla", None)])
def test_labels_are_smoothed_for_real_pairs_in_the_verdict_alone(mode: Any, real: Any) -> None:
    if real is None:
        real = sum(0.9 * softplus(-logit) + 0.1 * softplus(logit) for logit in (1, 2))
    objective = make_objective(Fixed(), gan_mode=mode, label_smoothing=0.1)
    objective.start_batch(flat(0.3), flat(0.2), flat(-0.2))
    losses = objective.discriminator_losses()
    assert float(losses["d_real"]) == pytest.approx(real, abs=1e-6)
    assert float(losses["d_fake"]) == pytest.approx(BY_HAND[mode][1], abs=1e-6)
    adversarial = float(objective.generator_losses(torch.tensor(0.4))["g_gan"][1])
    assert adversarial == pytest.approx(BY_HAND[mode][2], abs=1e-6)


def pairs(seed: int = 0, **like: Any) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(seed)
    source, target, fake = (torch.rand(2, bands, 96, 104, **like) * 2 - 1 for bands in (2, 1, 1))
    return source, target, fake.requires_grad_(True)


@pytest.mark.parametrize("n_layers", [1, 2, 3, 4])
@pytest.mark.parametrize("scales", [1, 2, 3])
def test_features_have_the_published_weights_with_three_layers(n_layers: int, scales: int) -> None:
    """Published, each is weighted by 4 / (layers of stride 2 + 1); ours are not.

    So with fewer layers features weigh less here, and with more, more: (n_layers + 1) / 4.
    """
    if n_layers == 4 and scales == 3:
        pytest.skip("chips would have to be large")
    discriminator = MultiscaleDiscriminator(
        3, scales=scales, ndf=2, n_layers=n_layers, norm="none"
    ).double()
    source, target, fake = pairs(dtype=torch.float64)
    objective = make_objective(discriminator)
    objective.start_batch(source, target, fake)
    weight, loss = objective.generator_losses(masked_l1(fake, target))["g_features"]
    published = torch.zeros((), dtype=torch.float64)
    for translated, real in zip(
        discriminator.features(source, fake), discriminator.features(source, target), strict=True
    ):
        assert len(real) == n_layers + 2
        for one, other in zip(translated[:-1], real[:-1], strict=True):
            published = published + 4 / (n_layers + 1) / scales * 10 * F.l1_loss(one, other)
    ours = weight * float(loss.detach())
    assert ours * 4 / (n_layers + 1) == pytest.approx(float(published.detach()), rel=1e-12)


@pytest.mark.parametrize("scales", [1, 2])
def test_features_of_the_target_are_constants(scales: int) -> None:
    discriminator = MultiscaleDiscriminator(3, scales=scales, ndf=2, n_layers=2, norm="none")
    source, target, fake = pairs()
    target.requires_grad_(True)
    objective = make_objective(discriminator)
    objective.start_batch(source, target, fake)
    own = [*discriminator.parameters()]
    loss = objective.generator_losses(fake.mean())["g_features"][1]
    found = torch.autograd.grad(loss, [fake, target, *own], allow_unused=True)
    assert found[0].any() and found[1] is None
    total = torch.zeros(())
    for one, other in zip(
        discriminator.features(source, fake), discriminator.features(source, target), strict=True
    ):
        for mine, theirs in zip(one[:-1], other[:-1], strict=True):
            total = total + (mine - theirs.detach()).abs().mean() / scales
    expected = torch.autograd.grad(total, [fake, *own], allow_unused=True)
    for mine, theirs in zip((found[0], *found[2:]), expected, strict=True):
        # Logits are no features.
        assert (mine is None) == (theirs is None)
        if mine is not None:
            torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("mode", MODES)
def test_the_verdict_leads_no_gradients_to_the_translation(mode: Any) -> None:
    discriminator = MultiscaleDiscriminator(3, ndf=2, n_layers=2)
    source, target, fake = pairs()
    objective = make_objective(discriminator, gan_mode=mode)
    objective.start_batch(source, target, fake)
    torch.stack(list(objective.discriminator_losses().values())).sum().backward()
    assert fake.grad is None
    assert all(parameter.grad is not None for parameter in discriminator.parameters())


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_invalid_pixels_are_those_of_the_translation_as_constants(share: float) -> None:
    discriminator = MultiscaleDiscriminator(3, ndf=2, n_layers=2, norm="none")
    source, target, fake = pairs()
    gaps = torch.rand_like(target) < share
    found, expected = (
        make_objective(discriminator, gan_mode="lsgan"),
        make_objective(discriminator, gan_mode="lsgan"),
    )
    found.start_batch(source, target.masked_fill(gaps, torch.nan), fake)
    expected.start_batch(source, torch.where(gaps, fake.detach(), target), fake)
    for name, loss in found.discriminator_losses().items():
        assert torch.equal(loss, expected.discriminator_losses()[name])
    term, wanted = (
        each.generator_losses(fake.mean())["g_features"][1] for each in (found, expected)
    )
    assert torch.equal(term, wanted)
    (gradient,) = torch.autograd.grad(term, fake)
    assert gradient.isfinite().all()
    assert bool(term) == bool(gradient.any()) == (share < 1)


def test_without_weight_features_are_left_out() -> None:
    discriminator = Fixed()
    objective = make_objective(discriminator, lambda_features=0.0)
    assert objective.generator_terms == ("g_gan", "g_l1")
    objective.start_batch(flat(0.3), flat(0.2), flat(-0.2))
    assert list(objective.discriminator_losses()) == ["d_real", "d_fake"]
    assert list(objective.generator_losses(torch.tensor(0.4))) == ["g_gan", "g_l1"]
    # Real and fake for the loss, and fake for the generator.
    assert len(discriminator.seen) == 3


def test_one_patchgan_is_one_scale() -> None:
    torch.manual_seed(0)
    several = MultiscaleDiscriminator(3, scales=1, ndf=2, n_layers=2, norm="none")
    one = several.discriminators[0]
    found = []
    for discriminator in (several, one):
        source, target, fake = pairs()
        objective = make_objective(discriminator)
        objective.start_batch(source, target, fake)
        losses = [
            *objective.discriminator_losses().values(),
            *(v for _, v in objective.generator_losses(fake.mean()).values()),
        ]
        found.append(torch.stack(losses))
    assert torch.equal(*found)
