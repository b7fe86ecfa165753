from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from geotranslate.networks.normalization import (
    Around,
    around,
    between_tiles,
    by_tile,
    fixed,
    lacking,
    measure,
    measuring,
    normalizes,
    size_of,
)
from geotranslate.networks.unet import UNet
from geotranslate.prediction.inference import frozen

NORMS = ("batch", "instance", "group")


def unet(norm: str, **options: Any) -> UNet:
    torch.manual_seed(0)
    return UNet(2, 1, **{"depth": 4, "ngf": 4, "norm": norm, "dropout": 0.0, **options})


def images(count: int = 4, side: int = 32) -> Tensor:
    return torch.randn(count, 2, side, side, generator=torch.Generator().manual_seed(1)) + 0.5


def all_valid(like: Tensor) -> Tensor:
    return torch.ones(len(like), 1, *like.shape[-2:])


def of_scene(network: nn.Module, given: Tensor, valid: Tensor | None = None) -> Tensor:
    shares = all_valid(given) if valid is None else valid
    return measure(measuring(network, together=True), given, shares)[0]


def run(network: nn.Module, given: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(given)


def near(found: Tensor, expected: Tensor, within: float = 1e-6) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=within)


def test_frozen_statistics_are_those_of_training_mode_on_the_same_batch() -> None:
    network, given = unet("batch"), images()
    kept = copy.deepcopy(network.eval().state_dict())
    found = run(fixed(network, of_scene(network, given)), given)
    assert all(torch.equal(kept[name], value) for name, value in network.state_dict().items())
    near(found, run(network.train(), given))


def test_statistics_of_one_image_are_those_of_instance_and_group_norm() -> None:
    for norm in ("instance", "group"):
        network, given = unet(norm).eval(), images(1)
        near(run(fixed(network, of_scene(network, given)), given), run(network, given), 1e-5)


@pytest.mark.parametrize("norm", NORMS)
def test_by_tile_is_training_mode_one_by_one(norm: str) -> None:
    network, given = unet(norm), images()
    alone = by_tile(network)
    expected = torch.cat([run(network.train(), image[None]) for image in given])
    near(run(alone, given), expected)
    near(run(alone, given[1:2]), expected[1:2])
    assert not alone.training and alone.radius is None


@pytest.mark.parametrize("norm", NORMS)
def test_invalid_pixels_of_a_layer_do_not_count(norm: str) -> None:
    given, valid = images(), all_valid(images())
    valid[:, :, 4:12, 8:24] = 0
    network = nn.Sequential(next(m for m in unet(norm).modules() if "Norm" in type(m).__name__))
    given = given.repeat(1, 8 // 2, 1, 1)
    garbage = torch.where(valid > 0, given, 1e4)
    for together in (True, False):
        layers = measuring(network, together=together)
        torch.testing.assert_close(measure(layers, garbage, valid), measure(layers, given, valid))
    expected = given[:, 0][valid[:, 0] > 0].double()
    if norm != "group":
        found = of_scene(network, given, valid)
        wanted = torch.stack([expected.mean(), expected.std(correction=0)]).float()
        near(found[[0, 8]], wanted)


def test_shares_of_a_pixel_count_as_they_are() -> None:
    """A layer at half the size weighs its pixels by what is valid of the four under them."""
    network = nn.Sequential(nn.AvgPool2d(2), nn.InstanceNorm2d(1))
    valid = torch.tensor([[[[1.0, 1.0, 1, 0], [1, 1, 0, 0]]]])
    given = torch.tensor([[[[4.0, 4, 8, 8], [4, 4, 8, 8]]]])
    mean, deviation = of_scene(network, given, valid)
    assert mean.item() == pytest.approx((4 * 4 + 8) / 5)
    assert deviation.item() == pytest.approx((16 / 5 - (4 / 5) ** 2) ** 0.5)


@pytest.mark.parametrize("norm", NORMS)
def test_how_far_it_sees_is_that_of_its_convolutions(norm: str) -> None:
    network, expected = unet(norm), unet("none").radius
    assert fixed(network).radius == between_tiles(network).radius == expected == 2 * 2**4 - 1
    assert size_of(network) == len(of_scene(network, images()))


def constant(values: Tensor, count: int = 4) -> Around:
    """Return the same statistics everywhere, in neighborhoods of 3 x 3 with uneven weights."""

    def weights(size: int) -> Tensor:
        ramp = torch.linspace(0, 1, size)
        return torch.stack([1 - ramp, ramp / 4, 3 * ramp / 4], 1).repeat(count, 1, 1)

    return Around(values.expand(count, 3, 3, -1), weights, weights)


@pytest.mark.parametrize("norm", NORMS)
def test_constant_statistics_between_tiles_are_fixed_ones(norm: str) -> None:
    network, given = unet(norm), images()
    values = of_scene(network, given)
    with around(constant(values)):
        found = run(between_tiles(network), given)
    near(found, run(fixed(network, values), given), 1e-5)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_statistics_of_each_tile_are_what_it_is_normalized_by(norm: str, precision: Any) -> None:
    network, given = unet(norm), images(3)
    values = measure(measuring(network, together=False), given, all_valid(given))

    def whole(size: int) -> Tensor:
        return torch.ones(3, size, 1)

    smooth = frozen(between_tiles(network), precision)
    with around(Around(values[:, None, None], whole, whole)):
        found = run(smooth, given.to(next(smooth.parameters()).dtype))
    expected = run(by_tile(network), given)
    near(found, expected, 1e-5 if precision == "float32" else 0.05)


@pytest.mark.parametrize("make", [by_tile, fixed, between_tiles])
def test_bfloat16_differs_little(make: Callable[[nn.Module], nn.Module]) -> None:
    network, given = unet("batch"), images()
    fast = frozen(make(network), "bfloat16")
    near(run(fast, given.bfloat16()), run(make(network), given), 0.05)


def test_autocast_does_not_round_statistics() -> None:
    layer, values = nn.Sequential(nn.InstanceNorm2d(2)), torch.tensor([1.001, 7.003, 0.501, 3.007])
    with around(constant(values)):
        expected = run(between_tiles(layer), images())
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(run(between_tiles(layer), images()), expected)


class OverChannels(nn.Module):
    """Normalizes every pixel for itself."""

    def forward(self, image: Tensor) -> Tensor:
        return image - image.mean(1, keepdim=True)


def test_other_layers_stay_and_kinds_are_told_apart() -> None:
    plain = nn.Sequential(nn.Conv2d(2, 2, 1), OverChannels())
    assert not normalizes(plain) and size_of(plain) == 0
    assert isinstance(fixed(plain)[1], OverChannels)
    mixed = nn.Sequential(nn.BatchNorm2d(2), nn.GroupNorm(1, 2), nn.InstanceNorm2d(2))
    assert normalizes(mixed) and lacking(mixed) == ["GroupNorm", "InstanceNorm2d"]
    assert lacking(nn.BatchNorm2d(2)) == []
    assert lacking(nn.BatchNorm2d(2, track_running_stats=False)) == ["BatchNorm2d"]


class Activating(nn.BatchNorm2d):
    """As those of timm."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.drop, self.act = nn.Identity(), nn.ReLU()

    def forward(self, image: Tensor) -> Tensor:
        return self.act(self.drop(super().forward(image)))


def test_layers_that_activate_as_well_go_on_doing_so() -> None:
    network, given = nn.Sequential(Activating(2)), images()
    found = run(fixed(network, of_scene(network, given)), given)
    near(found, run(network.train(), given))
    assert found.min() == 0


def test_between_tiles_that_differ_what_they_differ_by_counts_as_deviation() -> None:
    network = between_tiles(nn.Sequential(nn.InstanceNorm2d(1)))
    # Two tiles of next to no deviation, with means of -1 and 1; a pixel in the middle between them.
    values = torch.tensor([[[[-1.0, 1e-3], [1.0, 1e-3]]]])
    half = torch.full((1, 1, 2), 0.5)
    with around(Around(values, lambda size: torch.ones(1, 1, 1), lambda size: half)):
        found = run(network, torch.tensor([[[[1.0]]]]))
    assert found.item() == pytest.approx(1, abs=1e-4)
