"""A U-Net of residual blocks that begins at half the size of the image."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

from geotranslate.networks.unet import ResUNet
from tests.networks.test_pixel import drawn, images

NORMS = ["batch", "renorm", "instance", "group", "channel", "none"]


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def expected_count(bands_in: int, bands_out: int, depth: int, ngf: int) -> int:
    """Return the parameters with batch normalization, counted by hand."""

    def convolution(inside: int, outside: int, side: int) -> int:
        return inside * outside * side**2 + outside

    widths = [ngf * min(2**level, 8) for level in range(depth)]
    blocks = [2 * width + 2 * convolution(width, width, 3) for width in widths]
    ends = convolution(4 * bands_in, ngf, 3) + convolution(ngf, 4 * bands_out, 3)
    between = sum(convolution(a, b, 2) + convolution(b, a, 1) for a, b in pairwise(widths))
    return ends + sum(blocks) + sum(blocks[:-1]) + between


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize(("bands_in", "bands_out", "ngf"), [(1, 1, 4), (4, 12, 6)])
def test_parameters_follow_from_levels_filters_and_bands(
    bands_in: int, bands_out: int, depth: int, ngf: int
) -> None:
    network = ResUNet(bands_in, bands_out, depth=depth, ngf=ngf)
    assert count(network) == expected_count(bands_in, bands_out, depth, ngf)


@pytest.mark.slow_after(12)
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("padding", ["zeros", "reflect", "replicate"])
@pytest.mark.parametrize("depth", [1, 3])
def test_images_of_any_size_train_and_are_translated(norm: Any, padding: Any, depth: int) -> None:
    network = drawn(ResUNet(3, 2, depth=depth, ngf=4, norm=norm, padding=padding))
    for rows, cols in ((8, 8), (9, 30), (40, 31), (65, 16)):
        image = images(rows, cols, count=2)
        found = network.train()(image)
        assert found.shape == (2, 2, rows, cols)
        assert found.abs().max() <= 1
        found.sum().backward()
        assert all(weight.grad is not None for weight in network.parameters())
        with torch.inference_mode():
            assert network.eval()(image).isfinite().all()


@pytest.mark.parametrize("size", [(33, 64), (70, 90), (95, 65)])
def test_other_sizes_are_the_upper_left_of_the_extended_translation(size: tuple[int, int]) -> None:
    network, image = drawn(ResUNet(3, 1, depth=4, ngf=4)), images(*size)
    rows, cols = size
    extended = nn.functional.pad(image, (0, -cols % 16, 0, -rows % 16), mode="reflect")
    with torch.inference_mode():
        assert torch.equal(network(image), network(extended)[..., :rows, :cols])


@pytest.mark.parametrize("norm", ["batch", "renorm", "channel", "none"])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("axis", [2, 3])
def test_gradients_end_at_the_radius(depth: int, norm: Any, axis: int) -> None:
    network = drawn(ResUNet(1, 1, depth=depth, ngf=4, norm=norm).double())
    stride, radius = network.stride, network.radius
    assert radius is not None
    first = (radius // stride + 2) * stride
    shape = [1, 1, 2 * stride, 2 * stride]
    shape[axis] = 2 * first + stride
    image = torch.rand(shape, dtype=torch.float64).requires_grad_(True)
    network(image).narrow(axis, first, stride).sum().backward()
    assert image.grad is not None
    across = 5 - axis
    seen = image.grad.abs().sum((0, 1, across)).nonzero()[:, 0]
    # Blocks of two pixels are read together: the rim itself is seen.
    assert int(seen.min()) == first - radius
    assert int(seen.max()) == first + stride - 1 + radius


@pytest.mark.parametrize("norm", ["instance", "group"])
def test_radius_is_unknown_where_a_normalization_sees_the_image(norm: Any) -> None:
    network = drawn(ResUNet(1, 1, depth=3, ngf=4, norm=norm))
    assert network.radius is None
    image = torch.rand(1, 1, 16, 400)
    with torch.inference_mode():
        before = network(image)
        image[..., -1] += 9
        assert (network(image) != before)[..., 0].any()


@pytest.mark.parametrize("depth", [1, 3])
def test_shifts_by_the_stride_shift_the_translation(depth: int) -> None:
    network = drawn(ResUNet(3, 1, depth=depth, ngf=4).double())
    stride, radius = network.stride, network.radius
    image = images(2 * stride, 2 * (radius + 3 * stride)).double()
    with torch.inference_mode():
        before = network(image)[..., radius + stride : -radius]
        after = network(image[..., stride:])[..., radius:-radius]
    torch.testing.assert_close(after, before, atol=1e-12, rtol=0)
    assert before.std() > 1e-3


def test_blocks_begin_as_nothing_and_every_level_learns() -> None:
    torch.manual_seed(0)
    network = ResUNet(3, 1, depth=4, ngf=4, dropout=0)
    hidden = torch.rand(2, 4, 16, 16)
    assert torch.equal(network.encoder[0](hidden), hidden)
    network(images(32, 32, count=2)).square().mean().backward()
    blocks: list[Any] = [*network.encoder, *network.decoder]
    for block in blocks:
        assert block.layers[-1].weight.grad.abs().max() > 0


def test_translations_keep_the_steps_of_float32_under_autocast() -> None:
    network = drawn(ResUNet(3, 1, depth=3, ngf=8))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found = network(images(64, 64))
    assert found.dtype == torch.float32
    assert (found != found.bfloat16().float()).any()
