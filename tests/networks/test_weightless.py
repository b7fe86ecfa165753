from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from geotranslate.errors import InvalidInputError
from geotranslate.networks.backbone import BackboneUNet
from geotranslate.networks.onehot import OneHot
from geotranslate.networks.patchgan import PatchGAN
from geotranslate.networks.resnet import LocalEnhancer, ResNet
from geotranslate.networks.unet import UNet
from geotranslate.networks.weightless import (
    assign,
    compare,
    computes_buffers,
    is_weightless,
    shapes_of,
    without_weights,
)

NETWORKS: list[Callable[[], nn.Module]] = [
    lambda: UNet(3, 1, depth=4, ngf=4),
    lambda: UNet(3, 1, depth=4, ngf=4, norm="channel", padding="reflect"),
    lambda: ResNet(3, 1, blocks=1, ngf=4, norm="renorm"),
    lambda: LocalEnhancer(3, 1, ngf=4, n_downsample_global=1, n_blocks_global=1),
    lambda: OneHot(UNet(2, 1, depth=4, ngf=4), [(-1.0, 0.0), (0.5, 1.0)]),
]


@pytest.mark.parametrize("make", NETWORKS)
def test_network_made_without_weights_is_the_same_once_it_has_them(
    make: Callable[[], nn.Module],
) -> None:
    network = make().eval()
    with without_weights():
        other = make().eval()
    assert is_weightless(other)
    assert not computes_buffers(other)
    compare(other, shapes_of(network.state_dict()))
    assign(other, network.state_dict())
    assert not is_weightless(other)
    bands = 1 if isinstance(network, OneHot) else 3
    image = torch.rand(1, bands, 32, 32) * 2 - 1
    with torch.no_grad():
        assert torch.equal(network(image), other(image))


def test_weights_take_no_memory() -> None:
    with without_weights():
        network = UNet(3, 1, ngf=1024)
    assert sum(weight.numel() for weight in network.parameters()) > 5 * 10**9


def test_random_numbers_and_other_tensors_are_as_always() -> None:
    torch.manual_seed(0)
    with without_weights():
        assert not torch.rand(2).is_meta
        assert not torch.zeros(2).is_meta
        assert not torch.empty(2, device="cpu").is_meta
    assert not torch.empty(2).is_meta


def test_differences_are_named() -> None:
    own = PatchGAN(3, ndf=4)
    for other, sentence in (
        (PatchGAN(4, ndf=4), r"layers\.0\.weight is 4 x 4 x 4 x 4 .*there and 4 x 3 x 4 x 4"),
        (nn.Identity(), r"layers\.0\.weight is missing there and 4 x 3 x 4 x 4"),
        (PatchGAN(3, ndf=4).half(), r"\(float16\) there and .*\(float32\) here"),
    ):
        with pytest.raises(InvalidInputError, match=sentence):
            compare(own, shapes_of(other.state_dict()))


def test_buffers_that_an_encoder_makes_from_nothing_are_noticed() -> None:
    pytest.importorskip("segmentation_models_pytorch")
    with without_weights():
        assert computes_buffers(BackboneUNet("tu-coatnet_nano_cc_224", 3, 1, ngf=4))
        assert not computes_buffers(BackboneUNet("resnet18", 3, 1, ngf=4))
