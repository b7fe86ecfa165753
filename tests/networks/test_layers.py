from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from geotranslate.networks.layers import FEW_PIXELS, Extend, Halve, ResizeConv2d, enlarge
from geotranslate.networks.normalization import (
    FAINT,
    BatchRenorm2d,
    has_image_norm,
    make_norm,
    textured,
)
from geotranslate.networks.resnet import ResNet
from geotranslate.networks.unet import UNet

NORMS = ("batch", "renorm", "instance", "group", "channel", "none")


@pytest.mark.parametrize(
    ("channels", "groups"), [(64, 32), (512, 32), (96, 32), (48, 16), (20, 4), (7, 1), (1, 1)]
)
def test_group_norm_has_32_groups_or_as_many_as_divide_both(channels: int, groups: int) -> None:
    norm = make_norm("group", channels)
    assert norm.num_groups == groups
    assert norm(torch.rand(1, channels, 4, 4)).shape == (1, channels, 4, 4)


def test_resized_blocks_of_one_value_stay_blocks_of_one_value() -> None:
    torch.manual_seed(0)
    flat = torch.rand(1, 3, 1, 1).expand(1, 3, 8, 8)
    for upsample, even in (("resize", True), ("transposed", False)):
        grown = nn.Sequential(*enlarge(upsample, 3, 1, bias=True))(flat)
        assert grown.shape == (1, 1, 16, 16)
        inside = grown[..., 2:-2, 2:-2]
        assert torch.allclose(inside, inside[..., :1, :1], atol=1e-6) == even


@pytest.mark.parametrize("padding", ["zeros", "reflect", "replicate"])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (31, 33), (32, 32), (40, 64)])
@pytest.mark.parametrize("images", [1, 3])
def test_resizing_repeats_pixels_and_convolves_however_it_is_computed(
    padding: str, size: tuple[int, int], images: int
) -> None:
    torch.manual_seed(size[1])
    layer = ResizeConv2d(3, 5, 3, padding=1, padding_mode=padding).double()
    image = torch.randn(images, 3, *size, dtype=torch.float64)
    repeated = image.repeat_interleave(2, 2).repeat_interleave(2, 3)
    expected = nn.Conv2d.forward(layer, repeated)
    torch.testing.assert_close(layer(image), expected, atol=1e-12, rtol=0)


def test_the_faster_way_of_resizing_has_the_same_gradients() -> None:
    torch.manual_seed(0)
    layer = ResizeConv2d(2, 3, 3, padding=1, padding_mode="reflect").double()
    image = torch.randn(1, 2, 32, FEW_PIXELS // 32, dtype=torch.float64, requires_grad=True)
    wanted = torch.randn(1, 3, 64, FEW_PIXELS // 16, dtype=torch.float64)
    found = torch.autograd.grad((layer(image) * wanted).sum(), [image, *layer.parameters()])
    plain = nn.Conv2d.forward(layer, F.interpolate(image, scale_factor=2))
    expected = torch.autograd.grad((plain * wanted).sum(), [image, *layer.parameters()])
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=0)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate"])
@pytest.mark.parametrize("upsample", ["transposed", "resize"])
@pytest.mark.parametrize("size", [1, 2, 5, 40])
def test_padding_changes_the_edge_alone(mode: str, upsample: str, size: int) -> None:
    torch.manual_seed(size)
    grown = nn.Sequential(*enlarge(upsample, 2, 3, bias=True, padding=mode))
    plain = nn.Sequential(*enlarge(upsample, 2, 3, bias=True))
    for one, other in zip(grown.parameters(), plain.parameters(), strict=True):
        one.data.copy_(other)
    image = torch.randn(1, 2, size, size)
    found, expected = grown(image), plain(image)
    assert found.shape == expected.shape == (1, 3, 2 * size, 2 * size)
    inside = (..., slice(2, -2), slice(2, -2))
    torch.testing.assert_close(found[inside], expected[inside])
    assert torch.allclose(found, expected, atol=1e-6) == (mode == "zeros")


@pytest.mark.parametrize("mode", ["reflect", "replicate"])
@pytest.mark.parametrize("upsample", ["transposed", "resize"])
def test_an_even_image_stays_even_up_to_its_edge_without_zeros(mode: str, upsample: str) -> None:
    torch.manual_seed(0)
    grown = nn.Sequential(*enlarge(upsample, 2, 3, bias=True, padding=mode))
    found = grown(torch.ones(1, 2, 6, 6))
    cells = found.unfold(2, 2, 2).unfold(3, 2, 2)
    torch.testing.assert_close(cells, cells[:, :, :1, :1].expand_as(cells))


def test_a_single_pixel_is_repeated_where_it_cannot_be_reflected() -> None:
    assert torch.equal(Extend("reflect")(torch.ones(1, 1, 1, 4)), torch.ones(1, 1, 3, 6))


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (7, 8)])
def test_halved_images_are_means_of_the_pixels_that_there_are(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    image = torch.rand(2, 3, *size)
    rows, cols = (
        [range(max(2 * i - 1, 0), min(2 * i + 2, n)) for i in range((n + 1) // 2)] for n in size
    )
    expected = [[image[..., list(r), :][..., list(c)].mean((2, 3)) for c in cols] for r in rows]
    wanted = torch.stack([torch.stack(line, -1) for line in expected], -2)
    torch.testing.assert_close(Halve()(image), wanted)


@pytest.mark.parametrize("norm", NORMS)
def test_only_instance_and_group_norm_see_the_image_when_translating(norm: str) -> None:
    torch.manual_seed(0)
    layer = make_norm(norm, 8).eval()
    image = torch.randn(1, 8, 6, 6)
    other = image.clone()
    other[..., 3:, :] += 2
    same = torch.equal(layer(image)[..., :3, :], layer(other)[..., :3, :])
    assert has_image_norm(nn.Sequential(layer)) == (not same) == (norm in ("instance", "group"))


def test_channel_norm_gives_every_pixel_mean_0_and_variance_1_over_its_channels() -> None:
    torch.manual_seed(0)
    found = make_norm("channel", 64)(3 * torch.randn(2, 64, 5, 7) + 4)
    torch.testing.assert_close(found.mean(1), torch.zeros(2, 5, 7), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.var(1, correction=0), torch.ones(2, 5, 7), atol=1e-4, rtol=0)


def trained(layer: nn.Module, images: list[torch.Tensor]) -> nn.Module:
    layer.train()
    for image in images:
        layer(image)
    return layer


def test_renormalization_begins_as_batch_normalization() -> None:
    torch.manual_seed(0)
    image = 5 * torch.randn(4, 3, 8, 8) + 2
    found, expected = BatchRenorm2d(3)(image), nn.BatchNorm2d(3)(image)
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0)


def test_renormalized_single_images_come_out_alike_in_training_and_translating() -> None:
    torch.manual_seed(0)
    images = [torch.randn(1, 3, 8, 8) * (1 + 0.1 * (i % 7)) + 0.1 * (i % 5) for i in range(1200)]
    image = images[17]
    apart = {}
    for kind in (BatchRenorm2d, nn.BatchNorm2d):
        layer = trained(kind(3), images)
        apart[kind] = float((layer(image) - layer.eval()(image)).abs().max().detach())
    assert apart[BatchRenorm2d] < 0.02
    assert apart[nn.BatchNorm2d] > 0.05


def test_renormalization_learns_the_statistics_of_what_it_has_seen() -> None:
    torch.manual_seed(0)
    layer = trained(BatchRenorm2d(2), [2 * torch.randn(4, 2, 8, 8) + 3 for _ in range(300)])
    torch.testing.assert_close(layer.running_mean, torch.full((2,), 3.0), atol=0.1, rtol=0)
    torch.testing.assert_close(layer.running_var, torch.full((2,), 4.0), atol=0.2, rtol=0)


def test_limits_of_renormalization_keep_an_odd_image_from_going_through_as_it_is() -> None:
    torch.manual_seed(0)
    layer = trained(BatchRenorm2d(1), [torch.randn(4, 1, 8, 8) for _ in range(1000)])
    odd = 100 * torch.randn(1, 1, 32, 32) + 1000
    assert float(layer(odd).std()) == pytest.approx(3, abs=0.01)
    assert float(layer(odd).mean()) == pytest.approx(5, abs=0.01)


def test_images_with_any_texture_stay_as_they_are_and_those_of_one_color_get_faint_noise() -> None:
    chance = torch.Generator().manual_seed(0)
    for bands in (1, 3):
        for dtype in (torch.float32, torch.float64):
            colors = torch.rand(6, bands, 1, 1, generator=chance, dtype=dtype) * 2 - 1
            images = colors.expand(6, bands, 20, 30).clone()
            # One pixel of one band is texture enough, and so is a slope.
            images[1, -1, 7, 9] += 2 * FAINT
            images[3] += torch.linspace(0, 2 * FAINT, 30, dtype=dtype)
            # Rounding is none.
            images[5, 0, 3, 4] += FAINT / 100
            found = textured(images)
            assert found.dtype == dtype
            for number in (1, 3):
                assert torch.equal(found[number], images[number])
            for number in (0, 2, 4, 5):
                noise = found[number] - images[number]
                assert (noise.flatten(1).std(1) - FAINT).abs().max() < FAINT / 4
                assert noise.abs().max() < 6 * FAINT
                assert noise.mean().abs() < FAINT / 4


def test_gradients_pass_the_noise_as_they_are() -> None:
    images = torch.zeros(2, 1, 8, 8, requires_grad=True)
    textured(images).sum().backward()
    assert torch.equal(images.grad, torch.ones_like(images))


@pytest.mark.parametrize(
    "make", [partial(ResNet, blocks=1, upsample="resize"), partial(UNet, depth=3, dropout=0)]
)
@pytest.mark.parametrize("norm", ["instance", "batch", "group", "channel", "none"])
def test_noise_is_for_training_by_instance_normalization_alone(
    make: Callable[..., nn.Module], norm: str
) -> None:
    torch.manual_seed(0)
    network = make(2, 1, ngf=2, norm=norm)
    for image, flat in ((torch.full((2, 2, 32, 32), 0.3), True), (torch.rand(2, 2, 32, 32), False)):
        for training in (True, False):
            network.train(training)
            first, again = network(image), network(image)
            assert torch.equal(first, again) != (norm == "instance" and training and flat)
