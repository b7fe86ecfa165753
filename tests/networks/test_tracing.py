from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torch import nn

from geotranslate.networks.bicubic import OverBicubic
from geotranslate.networks.edsr import EDSR
from geotranslate.networks.layers import Padding, ResizeConv2d
from geotranslate.networks.pixel import PixelNetwork, Started
from geotranslate.networks.rescaling import rescaled
from geotranslate.networks.tracing import traceable
from geotranslate.networks.unet import ResUNet, UNet


@pytest.mark.parametrize("padding", ["zeros", "reflect", "replicate"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("side", [2, 40])
def test_a_resizing_convolution_is_a_transposed_one(
    padding: Padding, bias: bool, side: int
) -> None:
    layer = ResizeConv2d(3, 5, 3, padding=1, padding_mode=padding, bias=bias)
    image = torch.rand(2, 3, side, side)
    with torch.no_grad():
        assert torch.allclose(layer.as_transposed()(image), layer(image), atol=1e-6)


def networks() -> list[nn.Module]:
    start = PixelNetwork(2, 1, hidden=4)
    enlarging = rescaled(
        lambda features, _: EDSR(2, features, blocks=1, ngf=4, padding="reflect"),
        2,
        Fraction(2),
        width=4,
        padding="reflect",
        bounded=False,
    )
    return [
        UNet(2, 1, depth=3, ngf=4, upsample="resize", padding="reflect"),
        Started(start, ResUNet(3, 1, depth=2, ngf=4, bounded=False)),
        OverBicubic(enlarging, 2),
    ]


@pytest.mark.parametrize("network", networks(), ids=lambda network: type(network).__name__)
def test_a_traceable_copy_translates_alike_and_leaves_the_network(network: nn.Module) -> None:
    image = torch.rand(2, 2, 64, 32)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        found = traceable(network)(image)
        assert torch.allclose(found, network.eval()(image), atol=1e-6)
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert not any(isinstance(layer, ResizeConv2d) for layer in traceable(network).modules())
