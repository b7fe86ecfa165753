"""A small network over a pixel and its neighborhood, and generators that add to it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from geotranslate.networks.pixel import FEATURES, PixelNetwork, Pyramid, Started
from geotranslate.networks.resnet import ResNet
from geotranslate.networks.unet import ResUNet, UNet

GENERATORS: list[Any] = [
    lambda: UNet(5, 2, depth=3, ngf=4, bounded=False),
    lambda: ResUNet(5, 2, depth=3, ngf=4, bounded=False),
    lambda: ResNet(5, 2, blocks=2, ngf=4, norm="batch", bounded=False),
]


def drawn(network: Any) -> Any:
    """Return a network in eval mode whose every weight matters."""
    torch.manual_seed(1)
    for weight in network.state_dict().values():
        if weight.ndim >= 2:
            weight.normal_(0, (2 / weight[0].numel()) ** 0.5)
    return network.eval()


def images(rows: int, cols: int, count: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, rows, cols, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_a_constant_image_has_its_value_in_all_means_and_no_deviation() -> None:
    features = Pyramid()(torch.full((1, 1, 64, 96), 0.25))[0]
    assert features.shape == (FEATURES, 64, 96)
    means, deviations = features[[0, 1, 2, 4, 6]], features[[3, 5, 7]]
    assert torch.allclose(means, torch.tensor(0.25), atol=1e-6)
    assert deviations.max() < 2e-3


def test_means_follow_a_ramp_away_from_the_edges() -> None:
    ramp = torch.arange(256.0).expand(1, 1, 256, 256) / 256
    features = Pyramid()(ramp)[0]
    inside = slice(96, 160)
    for number in (1, 2, 4, 6):
        assert torch.allclose(
            features[number, inside, inside], ramp[0, 0, inside, inside], atol=1e-5
        )


def test_features_turn_and_flip_with_the_image() -> None:
    image = images(64, 64)
    features = Pyramid()(image)
    for turned in (lambda x: x.flip(-1), lambda x: x.rot90(1, (-2, -1))):
        assert torch.allclose(Pyramid()(turned(image)), turned(features), atol=1e-5)


@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (7, 40), (33, 32), (100, 65)])
def test_images_of_any_size_are_translated(rows: int, cols: int) -> None:
    assert drawn(PixelNetwork(3, 2))(images(rows, cols)).shape == (1, 2, rows, cols)


def test_the_result_does_not_depend_on_the_batch() -> None:
    network, batch = drawn(PixelNetwork(3, 2)), images(96, 64, count=3)
    alone = torch.cat([network(image[None]) for image in batch])
    assert torch.equal(network(batch), alone)


@pytest.mark.parametrize("make", GENERATORS)
def test_a_generator_begins_near_the_start(make: Any) -> None:
    start = drawn(PixelNetwork(3, 2))
    started = Started(start, make()).eval()
    image = images(64, 96)
    apart = (started(image) - start(image)).abs().mean()
    assert 0 < apart < 0.05 * start(image).abs().mean()


@pytest.mark.parametrize("make", GENERATORS)
def test_a_step_changes_the_network_and_not_the_start(make: Any) -> None:
    started = Started(drawn(PixelNetwork(3, 2)), make()).train()
    started(images(64, 64, count=2)).square().mean().backward()
    assert all(weight.grad is None for weight in started.start.parameters())
    assert any(weight.grad is not None for weight in started.network.parameters())


@pytest.mark.parametrize("make", GENERATORS)
def test_tiles_cropped_by_the_radius_are_the_whole_image(make: Any) -> None:
    started = drawn(Started(drawn(PixelNetwork(3, 2)), make()))
    stride = started.stride
    halo = -(-started.radius // stride) * stride
    side = 2 * halo + stride
    image = images(side + 2 * stride, side + 3 * stride)
    with torch.inference_mode():
        whole = started(image)
        tile = started(image[..., stride : stride + side, 2 * stride : 2 * stride + side])
    inside = slice(halo, halo + stride)
    expected = whole[..., stride + halo : 2 * stride + halo, 2 * stride + halo : 3 * stride + halo]
    assert torch.allclose(tile[..., inside, inside], expected, atol=1e-5 * float(whole.abs().max()))


@pytest.mark.parametrize("make", GENERATORS)
def test_no_pixel_beyond_the_radius_matters(make: Any) -> None:
    started = drawn(Started(drawn(PixelNetwork(3, 2)), make())).requires_grad_(True)
    stride, radius = started.stride, started.radius
    side = 2 * (radius // stride + 2) * stride
    image = images(side, side).requires_grad_(True)
    first = side // 2 // stride * stride
    # The start is a constant of a training: its gradients are added here.
    found = started.start(image)
    both = torch.cat([image, found], dim=1)
    (found + started.network(both))[..., first : first + stride, :].sum().backward()
    assert image.grad is not None
    rows = image.grad.abs().sum((0, 1, 3)).nonzero()[:, 0]
    assert rows.min() >= first - radius
    assert rows.max() <= first + stride - 1 + radius


def test_a_head_that_is_bounded_ends_in_its_bounds_and_another_does_not() -> None:
    for make in (UNet, ResUNet):
        for bounded in (True, False):
            network = drawn(make(3, 1, depth=3, ngf=4, bounded=bounded))
            for layer in network.head.modules():
                if isinstance(layer, nn.Conv2d):
                    nn.init.normal_(layer.weight, 0, 10)
            with torch.inference_mode():
                most = network(images(32, 32)).abs().max()
            assert (most <= 1) == bounded
