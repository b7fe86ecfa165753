"""The losses of pairs, by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from geotranslate.networks.multiscale import MultiScale
from geotranslate.training.objectives.losses import masked_l1
from geotranslate.training.objectives.paired import PairedGame

MODES = ("vanilla", "lsgan", "hinge")


class Judge:
    """Two scales whose features and logits are multiples of the target; the source is added."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def features(self, source: Tensor, target: Tensor) -> list[list[Tensor]]:
        self.seen.append(target)
        one = source + target
        return [[one, 3 * one, 2 * one], [one[..., ::2, ::2], 4 * one[..., ::2, ::2]]]


def game(judge: Any, **options: Any) -> PairedGame:
    weights = {"lambda_l1": 100.0, "lambda_gan": 1.0, "lambda_features": 10.0}
    return PairedGame(judge, **weights | options)


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
def test_verdicts_and_fooling_are_summed_over_scales_and_features_averaged(mode: Any) -> None:
    played = game(Judge(), gan_mode=mode)
    played.begin(flat(0.3), flat(0.2), flat(-0.2))
    verdicts = played.judge()
    aims = played.aim(torch.tensor(0.4))
    real, fake, fooling = BY_HAND[mode]
    assert list(verdicts) == list(played.verdicts) == ["d_real", "d_fake"]
    assert list(aims) == list(played.terms) == ["generator", "l1", "perceptual"]
    assert float(verdicts["d_real"]) == pytest.approx(real, abs=1e-6)
    assert float(verdicts["d_fake"]) == pytest.approx(fake, abs=1e-6)
    # Of the first scale 0.4 + 1.2, of the second 0.4.
    expected = {"generator": (1, fooling), "l1": (100, 0.4), "perceptual": (10, (1.6 + 0.4) / 2)}
    for name, (weight, loss) in aims.items():
        assert (weight, float(loss)) == pytest.approx(expected[name], abs=1e-6), name


@pytest.mark.parametrize(("mode", "real"), [("lsgan", 0.1**2 + 1.1**2), ("vanilla", None)])
def test_labels_are_smoothed_for_real_pairs_in_the_verdict_alone(mode: Any, real: Any) -> None:
    if real is None:
        real = sum(0.9 * softplus(-logit) + 0.1 * softplus(logit) for logit in (1, 2))
    played = game(Judge(), gan_mode=mode, label_smoothing=0.1)
    played.begin(flat(0.3), flat(0.2), flat(-0.2))
    verdicts = played.judge()
    assert float(verdicts["d_real"]) == pytest.approx(real, abs=1e-6)
    assert float(verdicts["d_fake"]) == pytest.approx(BY_HAND[mode][1], abs=1e-6)
    fooling = float(played.aim(torch.tensor(0.4))["generator"][1])
    assert fooling == pytest.approx(BY_HAND[mode][2], abs=1e-6)


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
    judge = MultiScale(3, scales=scales, ndf=2, n_layers=n_layers, norm="none").double()
    source, target, fake = pairs(dtype=torch.float64)
    played = game(judge)
    played.begin(source, target, fake)
    weight, loss = played.aim(masked_l1(fake, target))["perceptual"]
    published = torch.zeros((), dtype=torch.float64)
    for translated, real in zip(
        judge.features(source, fake), judge.features(source, target), strict=True
    ):
        assert len(real) == n_layers + 2
        for one, other in zip(translated[:-1], real[:-1], strict=True):
            published = published + 4 / (n_layers + 1) / scales * 10 * F.l1_loss(one, other)
    ours = weight * float(loss.detach())
    assert ours * 4 / (n_layers + 1) == pytest.approx(float(published.detach()), rel=1e-12)


@pytest.mark.parametrize("scales", [1, 2])
def test_features_of_the_target_are_constants(scales: int) -> None:
    judge = MultiScale(3, scales=scales, ndf=2, n_layers=2, norm="none")
    source, target, fake = pairs()
    target.requires_grad_(True)
    played = game(judge)
    played.begin(source, target, fake)
    own = [*judge.parameters()]
    loss = played.aim(fake.mean())["perceptual"][1]
    found = torch.autograd.grad(loss, [fake, target, *own], allow_unused=True)
    assert found[0].any() and found[1] is None
    total = torch.zeros(())
    for one, other in zip(
        judge.features(source, fake), judge.features(source, target), strict=True
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
    judge = MultiScale(3, ndf=2, n_layers=2)
    source, target, fake = pairs()
    played = game(judge, gan_mode=mode)
    played.begin(source, target, fake)
    torch.stack(list(played.judge().values())).sum().backward()
    assert fake.grad is None
    assert all(parameter.grad is not None for parameter in judge.parameters())


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_invalid_pixels_are_those_of_the_translation_as_constants(share: float) -> None:
    judge = MultiScale(3, ndf=2, n_layers=2, norm="none")
    source, target, fake = pairs()
    gaps = torch.rand_like(target) < share
    found, expected = game(judge, gan_mode="lsgan"), game(judge, gan_mode="lsgan")
    found.begin(source, target.masked_fill(gaps, torch.nan), fake)
    expected.begin(source, torch.where(gaps, fake.detach(), target), fake)
    for name, verdict in found.judge().items():
        assert torch.equal(verdict, expected.judge()[name])
    term, wanted = (each.aim(fake.mean())["perceptual"][1] for each in (found, expected))
    assert torch.equal(term, wanted)
    (gradient,) = torch.autograd.grad(term, fake)
    assert gradient.isfinite().all()
    assert bool(term) == bool(gradient.any()) == (share < 1)


def test_without_weight_features_are_left_out() -> None:
    judge = Judge()
    played = game(judge, lambda_features=0.0)
    assert played.terms == ("generator", "l1")
    played.begin(flat(0.3), flat(0.2), flat(-0.2))
    assert list(played.judge()) == ["d_real", "d_fake"]
    assert list(played.aim(torch.tensor(0.4))) == ["generator", "l1"]
    # Real and fake for the verdict, and fake for the generator.
    assert len(judge.seen) == 3


def test_one_patchgan_is_one_scale() -> None:
    torch.manual_seed(0)
    several = MultiScale(3, scales=1, ndf=2, n_layers=2, norm="none")
    one = several.discriminators[0]
    found = []
    for judge in (several, one):
        source, target, fake = pairs()
        played = game(judge)
        played.begin(source, target, fake)
        losses = [*played.judge().values(), *(v for _, v in played.aim(fake.mean()).values())]
        found.append(torch.stack(losses))
    assert torch.equal(*found)
