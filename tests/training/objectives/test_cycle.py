"""The losses of a CycleGAN by hand, on images of a few pixels."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from geotranslate.networks.onehot import TwoWay
from geotranslate.training.objectives import CycleObjective, filled

NAN = math.nan


class Affine(nn.Module):
    """A network of one multiplication and one sum, which can be followed by hand."""

    def __init__(self, factor: float, shift: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor, dtype=torch.float64))
        self.shift = nn.Parameter(torch.tensor(shift, dtype=torch.float64))

    def forward(self, image: Tensor) -> Tensor:
        return image * self.factor + self.shift


def image(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).reshape(1, 1, 1, -1)


def make_objective(**options: Any) -> CycleObjective:
    ways = TwoWay(Affine(0.5, 0.25), Affine(2.0, 0.0))
    shape = {"lambda_cycle": 10.0, "lambda_identity": 0.5, "pool_size": 0}
    fill = torch.full((1, 1, 1), 0.5, dtype=torch.float64)
    return CycleObjective(
        ways, Affine(1.0, 0.0), Affine(-1.0, 0.5), fill=fill, **{**shape, **options}
    )


SOURCE, TARGET = image(0.0, 0.5, -1.0), image(1.0, NAN, 0.0)
# Forth x/2 + 1/4, back 2x; the invalid target pixel is 1/2.
THERE, BACK = image(0.25, 0.5, -0.25), image(2.0, 1.0, 0.0)


def softplus(value: float) -> float:
    return math.log1p(math.exp(value))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_squares_are_those_by_hand(smoothing: float) -> None:
    objective = make_objective(label_smoothing=smoothing)
    objective.start_batch(SOURCE, TARGET, objective.generators(SOURCE))
    label = 1 - smoothing
    # Of the source the logits are the values, of the target 1/2 - value.
    source, target = (0.0, 0.5, -1.0), (-0.5, 0.0, 0.5)
    real = sum((x - label) ** 2 for x in source) + sum((x - label) ** 2 for x in target)
    fake = sum(x**2 for x in (2.0, 1.0, 0.0)) + sum(x**2 for x in (0.25, 0.0, 0.75))
    losses = objective.discriminator_losses()
    assert losses["d_real"].item() == pytest.approx(real / 3)
    assert losses["d_fake"].item() == pytest.approx(fake / 3)
    weighted = objective.generator_losses(torch.tensor(123.0))
    adversarial = sum((x - 1) ** 2 for x in (2.0, 1.0, 0.0, 0.25, 0.0, 0.75))
    assert weighted["g_gan"][0] == 1
    assert weighted["g_gan"][1].item() == pytest.approx(adversarial / 3)


def test_cross_entropy_is_that_by_hand() -> None:
    objective = make_objective(gan_mode="vanilla")
    objective.start_batch(SOURCE, TARGET, objective.generators(SOURCE))
    real, fake = (0.0, 0.5, -1.0, -0.5, 0.0, 0.5), (2.0, 1.0, 0.0, 0.25, 0.0, 0.75)
    losses = objective.discriminator_losses()
    assert losses["d_real"].item() == pytest.approx(sum(softplus(-x) for x in real) / 3)
    assert losses["d_fake"].item() == pytest.approx(sum(softplus(x) for x in fake) / 3)
    adversarial = objective.generator_losses(torch.tensor(0.0))["g_gan"][1].item()
    assert adversarial == pytest.approx(sum(softplus(-x) for x in fake) / 3)


def test_cycle_and_identity_are_means_over_valid_pixels_by_hand() -> None:
    objective = make_objective()
    objective.start_batch(SOURCE, TARGET, objective.generators(SOURCE))
    assert torch.equal(objective.fake["target"], THERE)
    assert torch.equal(objective.fake["source"], BACK)
    objective.discriminator_losses()
    weighted = objective.generator_losses(torch.tensor(0.0))
    assert [*weighted] == [*objective.generator_terms] == ["g_gan", "g_cycle", "g_identity"]
    # Back again 1/2, 1, -1/2 for 0, 1/2, -1, and 5/4, (3/4), 1/4 for 1, (NaN), 0.
    assert weighted["g_cycle"][0] == 10
    assert weighted["g_cycle"][1].item() == pytest.approx((0.5 + 0.5 + 0.5) / 3 + (0.25 + 0.25) / 2)
    # The way back makes 0, 1, -2 of sources; the way forth 3/4, (1/2), 1/4 of targets.
    assert weighted["g_identity"][0] == 5
    assert weighted["g_identity"][1].item() == pytest.approx((0 + 0.5 + 1) / 3 + (0.25 + 0.25) / 2)


def test_identity_is_left_out_where_it_has_no_weight() -> None:
    objective = make_objective(lambda_identity=0.0)
    objective.start_batch(SOURCE, TARGET, objective.generators(SOURCE))
    objective.discriminator_losses()
    assert (
        [*objective.generator_losses(torch.tensor(0.0))]
        == [*objective.generator_terms]
        == ["g_gan", "g_cycle"]
    )


@pytest.mark.parametrize("pool_size", [0, 1, 5])
def test_verdicts_have_no_gradients_for_generators_and_aims_have(pool_size: int) -> None:
    torch.manual_seed(0)
    objective = make_objective(pool_size=pool_size)
    for _ in range(4):
        objective.start_batch(SOURCE, TARGET, objective.generators(SOURCE))
        sum(objective.discriminator_losses().values()).backward()
        assert all(parameter.grad is None for parameter in objective.generators.parameters())
        for discriminator in objective.discriminators.values():
            assert all(parameter.grad is not None for parameter in discriminator.parameters())
    weighted = objective.generator_losses(torch.tensor(0.0))
    sum(weight * loss for weight, loss in weighted.values()).backward()
    assert all(parameter.grad is not None for parameter in objective.generators.parameters())


def test_each_aim_teaches_both_generators_through_the_whole_way() -> None:
    for name in ("g_gan", "g_cycle", "g_identity"):
        objective = make_objective()
        objective.start_batch(SOURCE, TARGET, objective.generators(SOURCE))
        objective.discriminator_losses()
        objective.generator_losses(torch.tensor(0.0))[name][1].backward()
        for way in (objective.generators.forth, objective.generators.back):
            assert way.factor.grad != 0, name


def test_losses_are_those_of_the_valid_pixels_wherever_they_are() -> None:
    for values in ((1.0, NAN, 0.0), (NAN, 1.0, 0.0), (1.0, 0.0, NAN)):
        objective = make_objective()
        objective.start_batch(SOURCE, image(*values), objective.generators(SOURCE))
        objective.discriminator_losses()
        weighted = objective.generator_losses(torch.tensor(0.0))
        assert weighted["g_identity"][1].item() == pytest.approx(0.5 + 0.25)
        assert weighted["g_cycle"][1].item() == pytest.approx(0.5 + 0.25)
    objective.start_batch(SOURCE, image(NAN, NAN, NAN), objective.generators(SOURCE))
    objective.discriminator_losses()
    assert all(
        math.isfinite(loss.item())
        for _, loss in objective.generator_losses(torch.tensor(0.0)).values()
    )


def test_bands_are_filled_each_with_their_own() -> None:
    target = torch.rand(2, 2, 3, 3)
    target[0, 0, 1], target[1, 1, :, 2] = NAN, NAN
    found = filled(target, torch.tensor([0.25, -0.5])[:, None, None])
    assert (found[0, 0, 1] == 0.25).all()
    assert (found[1, 1, :, 2] == -0.5).all()
    valid = ~torch.isnan(target)
    assert torch.equal(found[valid], target[valid])


def test_discriminators_see_former_translations_after_a_state_is_put_back() -> None:
    torch.manual_seed(0)
    one, other = (make_objective(pool_size=3) for _ in range(2))
    for step in range(5):
        one.start_batch(SOURCE + step, TARGET, one.generators(SOURCE + step))
        one.discriminator_losses()
    other.start_batch(SOURCE, TARGET, other.generators(SOURCE))
    other.discriminator_losses()
    other.restore(one.state())
    numbers = torch.get_rng_state()
    for step in range(5, 12):
        found = []
        for objective in (one, other):
            torch.set_rng_state(numbers)
            objective.start_batch(SOURCE + step, TARGET, objective.generators(SOURCE + step))
            found.append([value.item() for value in objective.discriminator_losses().values()])
        assert found[0] == found[1]
        numbers = torch.get_rng_state()
    for side, images in one.state().items():
        assert torch.equal(images, other.state()[side])
    other.restore({})
    assert not other.state()


def test_a_game_that_ended_holds_no_images_but_those_of_the_pools() -> None:
    objective = make_objective(pool_size=3)
    objective.end_batch()
    objective.start_batch(SOURCE, TARGET, objective.generators(SOURCE))
    objective.discriminator_losses()
    objective.end_batch()
    assert not any(name in vars(objective) for name in ("given", "real", "fake"))
    assert len(objective.state()["target"]) == 1
