from __future__ import annotations

import pytest
import torch
from torch import nn

from geotranslate.errors import InvalidInputError
from geotranslate.networks.layers import pad_to_multiple, seeded
from geotranslate.networks.unet import UNet, depth_for


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("chip_size", "millions"), [(256, 54.414), (128, 41.829)])
def test_parameters_are_those_of_the_reference(chip_size: int, millions: float) -> None:
    assert count(UNet(3, 3, depth=depth_for(chip_size))) / 1e6 == pytest.approx(millions, abs=5e-4)


@pytest.mark.parametrize(
    ("chip_size", "depth"), [(64, 6), (100, 6), (127, 6), (128, 7), (255, 7), (256, 8), (1024, 8)]
)
def test_depth_follows_the_chip_size(chip_size: int, depth: int) -> None:
    assert depth_for(chip_size) == depth


def test_chips_below_64_px_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"Chips of 63 px are too small .* 64 px or more"):
        depth_for(63)


@pytest.mark.slow_after(24)
@pytest.mark.parametrize("size", [64, 90, 150])
@pytest.mark.parametrize(("bands_in", "bands_out"), [(1, 1), (2, 12)])
@pytest.mark.parametrize("norm", ["batch", "renorm", "instance", "group", "channel", "none"])
@pytest.mark.parametrize("upsample", ["transposed", "resize"])
def test_any_chip_size_and_bands_train_and_predict(
    size: int, bands_in: int, bands_out: int, norm: str, upsample: str
) -> None:
    depth = depth_for(size)
    network = UNet(bands_in, bands_out, depth=depth, ngf=2, norm=norm, upsample=upsample)
    image = torch.rand(1, bands_in, size, size) * 2 - 1
    translated = network(image)
    assert translated.shape == (1, bands_out, size, size)
    assert translated.abs().max() <= 1
    translated.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert network.eval()(image).shape == translated.shape


def test_sizes_need_not_be_square() -> None:
    assert UNet(1, 2, depth=4, ngf=2)(torch.zeros(2, 1, 40, 75)).shape == (2, 2, 40, 75)


def test_convolutions_before_batch_norm_have_no_bias_and_the_head_has() -> None:
    network = UNet(3, 3, depth=5, ngf=4)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert [c.bias is not None for c in convolutions] == [False] * (len(convolutions) - 1) + [True]


def test_norm_stands_on_inner_levels_only() -> None:
    network = UNet(3, 3, depth=6, ngf=4)
    assert [isinstance(block[2], nn.BatchNorm2d) for block in network.encoder] == [
        False,
        True,
        True,
        True,
        True,
        False,
    ]
    assert all(isinstance(block[2], nn.BatchNorm2d) for block in network.decoder)
    assert isinstance(network.head[-1], nn.Tanh)


def test_dropout_is_in_the_three_innermost_decoder_blocks() -> None:
    rates = [block[3].p for block in UNet(3, 3, depth=8, ngf=2).decoder]
    assert rates == [0.5, 0.5, 0.5, 0, 0, 0, 0]


def test_weights_start_small_and_biases_at_zero() -> None:
    torch.manual_seed(0)
    network = UNet(3, 3, depth=6)
    assert network.encoder[3][1].weight.std().item() == pytest.approx(0.02, rel=0.02)
    norm = network.encoder[3][2]
    assert norm.weight.mean().item() == pytest.approx(1, abs=0.01)
    assert norm.weight.std().item() == pytest.approx(0.02, rel=0.2)
    assert not network.head[1].bias.any()


def test_prediction_does_not_depend_on_the_other_images_of_the_batch() -> None:
    torch.manual_seed(0)
    network = UNet(3, 3, depth=6, ngf=8).eval()
    images = torch.rand(5, 3, 64, 64)
    with torch.inference_mode():
        together = network(images)
        alone = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("size", "padded"), [(64, 64), (65, 96), (95, 96), (33, 64)])
def test_padding_reflects_to_the_next_multiple(size: int, padded: int) -> None:
    image = torch.rand(1, 2, size, size)
    found = pad_to_multiple(image, 32)
    assert found.shape == (1, 2, padded, padded)
    assert torch.equal(found[..., :size, :size], image)
    if padded > size:
        assert torch.equal(found[..., size, :size], image[..., size - 2, :])


@pytest.mark.parametrize("size", [65, 90, 127])
def test_other_sizes_are_the_upper_left_of_the_padded_translation(size: int) -> None:
    torch.manual_seed(0)
    network = UNet(2, 1, depth=6, ngf=4).eval()
    image = torch.rand(1, 2, size, size)
    with torch.inference_mode():
        whole = network(pad_to_multiple(image, 64))
        assert torch.equal(network(image), whole[..., :size, :size])


def exact_unet(depth: int, norm: str, upsample: str) -> UNet:
    """Return a float64 network in eval mode whose every weight matters."""
    torch.manual_seed(depth)
    network = UNet(1, 1, depth=depth, ngf=2, norm=norm, upsample=upsample).double().eval()
    for name, value in network.state_dict().items():
        if value.ndim == 4:
            value.normal_(0, 0.3)
        if "running_mean" in name:
            value.normal_(0, 0.1)
    return network


@pytest.mark.parametrize("norm", ["batch", "channel"])
@pytest.mark.parametrize("upsample", ["transposed", "resize"])
@pytest.mark.parametrize("depth", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("axis", [0, 1])
def test_nothing_beyond_the_radius_changes_a_pixel_and_its_rim_does(
    depth: int, norm: str, upsample: str, axis: int
) -> None:
    network = exact_unet(depth, norm, upsample)
    radius, stride = network.radius, network.stride
    assert radius is not None
    size = -(-(2 * radius + 3 * stride) // stride) * stride
    reached = 0
    image = torch.rand((1, 1, stride, size), dtype=torch.float64)
    image = image if axis else image.mT.contiguous()
    with torch.inference_mode():
        before = network(image)
        for changed in range(radius + stride, radius + 2 * stride, max(1, stride // 8)):
            other = image.clone()
            other[0, 0].select(axis, changed).add_(3.0)
            differs = (network(other) != before)[0, 0].any(dim=1 - axis).nonzero().flatten()
            blocks = differs // stride * stride
            beyond = torch.maximum(blocks - changed, changed - blocks - stride + 1)
            reached = max(reached, int(beyond.max()))
    assert radius - stride <= reached <= radius


@pytest.mark.parametrize("upsample", ["transposed", "resize"])
@pytest.mark.parametrize("depth", [2, 3, 4, 5])
def test_shifts_by_the_stride_shift_the_translation(depth: int, upsample: str) -> None:
    network = exact_unet(depth, "batch", upsample)
    radius, stride = network.radius, network.stride
    assert radius is not None
    size = -(-(2 * radius + 2 * stride) // stride) * stride
    image = torch.rand(1, 1, stride, size + stride, dtype=torch.float64)
    with torch.inference_mode():
        before = network(image)[0, 0, 0, radius + stride : -radius]
        after = network(image[..., stride:])[0, 0, 0, radius:-radius]
    torch.testing.assert_close(after[: len(before)], before, atol=1e-12, rtol=0)
    assert before.unique().numel() > 1


@pytest.mark.parametrize("norm", ["instance", "group"])
def test_radius_is_unknown_where_a_normalization_sees_the_image(norm: str) -> None:
    network = UNet(1, 1, depth=4, ngf=2, norm=norm).eval()
    assert network.radius is None
    image = torch.rand(1, 1, 16, 400)
    with torch.inference_mode():
        before = network(image)
        image[..., -1] += 9
        assert (network(image) != before)[..., 0].any()


@pytest.mark.parametrize("bands_out", [1, 3])
def test_translations_keep_the_steps_of_float32_under_autocast(bands_out: int) -> None:
    torch.manual_seed(0)
    network = UNet(3, bands_out, depth=6, ngf=8).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found = network(image)
    assert found.dtype == torch.float32
    assert (found != found.bfloat16().float()).any()


@pytest.mark.parametrize("gain", [0.005, 0.1])
def test_seeded_gain_scales_the_initial_weights(gain: float) -> None:
    with seeded(0):
        usual = UNet(3, 3, depth=3, ngf=8)
    with seeded(0, gain):
        network = UNet(3, 3, depth=3, ngf=8)
    for one, other in zip(usual.encoder, network.encoder, strict=True):
        torch.testing.assert_close(other[1].weight, one[1].weight * (gain / 0.02))
