from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from geotranslate.networks.layers import AnySizeConv2d
from geotranslate.networks.resnet import ResNet


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_parameters_are_those_of_the_reference() -> None:
    network = ResNet(3, 3)
    # That of the reference has no scale and shift in its instance normalizations.
    scales = sum(count(m) for m in network.modules() if isinstance(m, nn.InstanceNorm2d))
    assert (count(network) - scales) / 1e6 == pytest.approx(11.378, abs=5e-4)
    # That of its first release had them: the count that it printed.
    for upsample in ("transposed", "resize"):
        assert count(ResNet(3, 3, upsample=upsample)) == 11_388_675


@pytest.mark.parametrize("value", [-1.0, 0.0, 0.3])
@pytest.mark.parametrize("blocks", [6, 9])
def test_gradients_of_an_image_of_one_color_are_like_those_of_others(
    blocks: int, value: float
) -> None:
    torch.manual_seed(0)
    network = ResNet(3, 1, blocks=blocks, ngf=4).train()
    largest = []
    for image in (torch.rand(1, 3, 64, 64) * 2 - 1, torch.full((1, 3, 64, 64), value)):
        image.requires_grad_(True)
        network.zero_grad()
        (network(image) - 0.5).abs().mean().backward()
        found = [*(parameter.grad for parameter in network.parameters()), image.grad]
        largest.append(max(float(gradient.norm()) for gradient in found))
    # Without noise they are infinite.
    assert largest[1] < 2 * largest[0]


@pytest.mark.parametrize("size", [16, 101])
@pytest.mark.parametrize(("bands_in", "bands_out"), [(2, 12)])
@pytest.mark.parametrize("norm", ["batch", "renorm", "instance", "group", "channel", "none"])
@pytest.mark.parametrize("upsample", ["transposed", "resize"])
def test_any_size_and_bands_train_and_predict(
    size: int, bands_in: int, bands_out: int, norm: str, upsample: str
) -> None:
    network = ResNet(bands_in, bands_out, blocks=2, ngf=2, norm=norm, upsample=upsample)
    image = torch.rand(1, bands_in, size, size + 5) * 2 - 1
    translated = network(image)
    assert translated.shape == (1, bands_out, size, size + 5)
    assert translated.abs().max() <= 1
    translated.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert network.eval()(image).shape == translated.shape


@pytest.mark.parametrize("padding", ["reflect", "replicate", "zeros"])
@pytest.mark.parametrize("norm", ["batch", "instance", "group", "channel"])
@pytest.mark.parametrize("downsamplings", [1, 2, 4])
def test_images_that_are_a_single_pixel_inside_are_translated(
    downsamplings: int, norm: str, padding: str
) -> None:
    options: dict[str, Any] = {"downsamplings": downsamplings, "norm": norm, "padding": padding}
    network = ResNet(2, 1, blocks=1, ngf=2, **options).eval()
    stride = network.stride
    for rows, cols in ((stride, stride), (stride, 3 * stride), (stride // 2 + 1, 50)):
        found = network(torch.rand(1, 2, rows, cols))
        assert found.shape == (1, 1, rows, cols)
        assert found.isfinite().all()


@pytest.mark.parametrize("size", [1, 2, 3, 4, 9])
def test_a_convolution_repeats_the_edge_where_it_cannot_reflect(size: int) -> None:
    torch.manual_seed(0)
    layer = AnySizeConv2d(2, 3, 7, 1, 3, padding_mode="reflect")
    image = torch.rand(1, 2, size, 9)
    mode = "reflect" if size > 3 else "replicate"
    expected = F.conv2d(F.pad(image, (3, 3, 3, 3), mode=mode), layer.weight, layer.bias)
    assert torch.equal(layer(image), expected)


@pytest.mark.parametrize("blocks", [6, 9])
def test_it_has_so_many_blocks_and_drops_out_in_them(blocks: int) -> None:
    network = ResNet(3, 3, blocks=blocks, ngf=2, dropout=0.25)
    assert [m.p for m in network.modules() if isinstance(m, nn.Dropout)] == [0.25] * blocks


@pytest.mark.parametrize("upsample", ["transposed", "resize"])
@pytest.mark.parametrize("blocks", [0, 1, 3])
def test_nothing_beyond_the_radius_changes_a_pixel_and_its_rim_does(
    blocks: int, upsample: str
) -> None:
    torch.manual_seed(blocks)
    network = ResNet(1, 1, blocks=blocks, ngf=2, norm="batch", upsample=upsample).double().eval()
    for value in network.state_dict().values():
        if value.ndim == 4:
            value.normal_(0, 0.3)
    radius, stride = network.radius, network.stride
    assert radius is not None
    image = torch.rand(1, 1, 16, 4 * (radius + 8), dtype=torch.float64)
    reached = 0
    with torch.inference_mode():
        before = network(image)
        for changed in range(2 * radius, 2 * radius + stride):
            other = image.clone()
            other[..., changed] += 3
            differs = (network(other) != before)[0, 0].any(dim=0).nonzero().flatten()
            blocks_of = differs // stride * stride
            beyond = torch.maximum(blocks_of - changed, changed - blocks_of - stride + 1)
            reached = max(reached, int(beyond.max()))
    assert radius - stride <= reached <= radius


def test_radius_is_unknown_where_a_normalization_sees_the_image() -> None:
    assert ResNet(1, 1, ngf=2).radius is None
    assert ResNet(1, 1, ngf=2, norm="batch").radius == 83
