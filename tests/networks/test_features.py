"""The first features of images are compared with those of training."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from geotranslate.networks.features import feature_distance
from geotranslate.networks.unet import UNet


def images(seed: int, gain: float = 1.0, offset: float = 0.0) -> Tensor:
    chance = torch.Generator().manual_seed(seed)
    return torch.randn(8, 3, 32, 32, generator=chance) * 0.3 * gain + offset


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """Return a network whose running statistics are those of `images`."""
    torch.manual_seed(0)
    network = UNet(3, 1, ngf=8, depth=4, norm="batch").train()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            # The mean over all batches.
            layer.momentum = None
    with torch.no_grad():
        for seed in range(12):
            network(images(seed))
    return network


def everywhere(batch: Tensor) -> Tensor:
    return torch.ones_like(batch[:, :1])


def test_distance_grows_with_the_change_of_the_images(network: nn.Module) -> None:
    changes = [(1, 0), (1, 0.1), (1, 0.3), (1, 0.9)], [(1, 0), (1.3, 0), (2, 0), (4, 0)]
    for each in changes:
        found = [
            feature_distance(network, images(99, *change), everywhere(images(0))) for change in each
        ]
        distances = [distance for distance in found if distance is not None]
        assert len(distances) == len(each)
        assert distances[0] < 0.1
        assert distances == sorted(distances)
        assert distances[-1] > 10 * distances[0]


def test_pixels_that_do_not_count_and_states_change_nothing(network: nn.Module) -> None:
    before = copy.deepcopy(network.state_dict())
    batch = images(99)
    whole = feature_distance(network, batch, everywhere(batch))
    # Far from the valid half, as features see the pixels around them.
    half = torch.cat([batch[:, :, :16], batch.flip(2)[:, :, 16:]], dim=2)
    valid = everywhere(batch)
    valid[:, :, 16:] = 0
    other = half.clone()
    other[:, :, 26:] = 5
    assert feature_distance(network, other, valid) == pytest.approx(
        feature_distance(network, half, valid), abs=1e-5
    )
    assert feature_distance(network, batch, everywhere(batch)) == whole
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("norm", ["instance", "group", "none"])
def test_networks_without_running_statistics_have_no_distance(norm: str) -> None:
    network = UNet(3, 1, ngf=8, depth=4, norm=norm)  # type: ignore[arg-type]
    assert feature_distance(network, images(0), everywhere(images(0))) is None
