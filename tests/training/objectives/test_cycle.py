"""The losses of a CycleGAN by hand, on images of a few pixels."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from geotranslate.networks.twoway import TwoWay
from geotranslate.training.objectives.cycle import CycleGame, filled

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


def make_game(**options: Any) -> CycleGame:
    ways = TwoWay(Affine(0.5, 0.25), Affine(2.0, 0.0))
    shape = {"lambda_cycle": 10.0, "lambda_identity": 0.5, "pool_size": 0}
    fill = torch.full((1, 1, 1), 0.5, dtype=torch.float64)
    return CycleGame(ways, Affine(1.0, 0.0), Affine(-1.0, 0.5), fill=fill, **{**shape, **options})


SOURCE, TARGET = image(0.0, 0.5, -1.0), image(1.0, NAN, 0.0)
# Forth x/2 + 1/4, back 2x; the invalid target pixel is 1/2.
THERE, BACK = image(0.25, 0.5, -0.25), image(2.0, 1.0, 0.0)


def softplus(value: float) -> float:
    return math.log1p(math.exp(value))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_squares_are_those_by_hand(smoothing: float) -> None:
    game = make_game(label_smoothing=smoothing)
    game.begin(SOURCE, TARGET, game.generators(SOURCE))
    label = 1 - smoothing
    # Of the source the logits are the values, of the target 1/2 - value.
    source, target = (0.0, 0.5, -1.0), (-0.5, 0.0, 0.5)
    real = sum((x - label) ** 2 for x in source) + sum((x - label) ** 2 for x in target)
    fake = sum(x**2 for x in (2.0, 1.0, 0.0)) + sum(x**2 for x in (0.25, 0.0, 0.75))
    verdicts = game.judge()
    assert verdicts["d_real"].item() == pytest.approx(real / 3)
    assert verdicts["d_fake"].item() == pytest.approx(fake / 3)
    aims = game.aim(torch.tensor(123.0))
    fooling = sum((x - 1) ** 2 for x in (2.0, 1.0, 0.0, 0.25, 0.0, 0.75))
    assert aims["generator"][0] == 1
    assert aims["generator"][1].item() == pytest.approx(fooling / 3)


def test_cross_entropy_is_that_by_hand() -> None:
    game = make_game(gan_mode="vanilla")
    game.begin(SOURCE, TARGET, game.generators(SOURCE))
    real, fake = (0.0, 0.5, -1.0, -0.5, 0.0, 0.5), (2.0, 1.0, 0.0, 0.25, 0.0, 0.75)
    verdicts = game.judge()
    assert verdicts["d_real"].item() == pytest.approx(sum(softplus(-x) for x in real) / 3)
    assert verdicts["d_fake"].item() == pytest.approx(sum(softplus(x) for x in fake) / 3)
    fooling = game.aim(torch.tensor(0.0))["generator"][1].item()
    assert fooling == pytest.approx(sum(softplus(-x) for x in fake) / 3)


def test_cycle_and_identity_are_means_over_valid_pixels_by_hand() -> None:
    game = make_game()
    game.begin(SOURCE, TARGET, game.generators(SOURCE))
    assert torch.equal(game.fake["target"], THERE)
    assert torch.equal(game.fake["source"], BACK)
    game.judge()
    aims = game.aim(torch.tensor(0.0))
    assert [*aims] == [*game.terms] == ["generator", "cycle", "identity"]
    # Back again 1/2, 1, -1/2 for 0, 1/2, -1, and 5/4, (3/4), 1/4 for 1, (NaN), 0.
    assert aims["cycle"][0] == 10
    assert aims["cycle"][1].item() == pytest.approx((0.5 + 0.5 + 0.5) / 3 + (0.25 + 0.25) / 2)
    # The way back makes 0, 1, -2 of sources; the way forth 3/4, (1/2), 1/4 of targets.
    assert aims["identity"][0] == 5
    assert aims["identity"][1].item() == pytest.approx((0 + 0.5 + 1) / 3 + (0.25 + 0.25) / 2)


def test_identity_is_left_out_where_it_has_no_weight() -> None:
    game = make_game(lambda_identity=0.0)
    game.begin(SOURCE, TARGET, game.generators(SOURCE))
    game.judge()
    assert [*game.aim(torch.tensor(0.0))] == [*game.terms] == ["generator", "cycle"]


@pytest.mark.parametrize("pool_size", [0, 1, 5])
def test_verdicts_have_no_gradients_for_generators_and_aims_have(pool_size: int) -> None:
    torch.manual_seed(0)
    game = make_game(pool_size=pool_size)
    for _ in range(4):
        game.begin(SOURCE, TARGET, game.generators(SOURCE))
        sum(game.judge().values()).backward()
        assert all(parameter.grad is None for parameter in game.generators.parameters())
        for judge in game.discriminators.values():
            assert all(parameter.grad is not None for parameter in judge.parameters())
    aims = game.aim(torch.tensor(0.0))
    sum(weight * loss for weight, loss in aims.values()).backward()
    assert all(parameter.grad is not None for parameter in game.generators.parameters())


def test_each_aim_teaches_both_generators_through_the_whole_way() -> None:
    for name in ("generator", "cycle", "identity"):
        game = make_game()
        game.begin(SOURCE, TARGET, game.generators(SOURCE))
        game.judge()
        game.aim(torch.tensor(0.0))[name][1].backward()
        for way in (game.generators.forth, game.generators.back):
            assert way.factor.grad != 0, name


def test_losses_are_those_of_the_valid_pixels_wherever_they_are() -> None:
    for values in ((1.0, NAN, 0.0), (NAN, 1.0, 0.0), (1.0, 0.0, NAN)):
        game = make_game()
        game.begin(SOURCE, image(*values), game.generators(SOURCE))
        game.judge()
        aims = game.aim(torch.tensor(0.0))
        assert aims["identity"][1].item() == pytest.approx(0.5 + 0.25)
        assert aims["cycle"][1].item() == pytest.approx(0.5 + 0.25)
    game.begin(SOURCE, image(NAN, NAN, NAN), game.generators(SOURCE))
    game.judge()
    assert all(math.isfinite(loss.item()) for _, loss in game.aim(torch.tensor(0.0)).values())


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
    one, other = (make_game(pool_size=3) for _ in range(2))
    for step in range(5):
        one.begin(SOURCE + step, TARGET, one.generators(SOURCE + step))
        one.judge()
    other.begin(SOURCE, TARGET, other.generators(SOURCE))
    other.judge()
    other.restore(one.state())
    numbers = torch.get_rng_state()
    for step in range(5, 12):
        found = []
        for game in (one, other):
            torch.set_rng_state(numbers)
            game.begin(SOURCE + step, TARGET, game.generators(SOURCE + step))
            found.append([value.item() for value in game.judge().values()])
        assert found[0] == found[1]
        numbers = torch.get_rng_state()
    for side, images in one.state().items():
        assert torch.equal(images, other.state()[side])
    other.restore({})
    assert not other.state()


def test_a_game_that_ended_holds_no_images_but_those_of_the_pools() -> None:
    game = make_game(pool_size=3)
    game.end()
    game.begin(SOURCE, TARGET, game.generators(SOURCE))
    game.judge()
    game.end()
    assert not any(name in vars(game) for name in ("given", "real", "fake"))
    assert len(game.state()["target"]) == 1
