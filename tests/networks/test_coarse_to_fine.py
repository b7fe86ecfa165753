from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geotranslate.errors import InvalidInputError
from geotranslate.networks.normalization import (
    Around,
    around,
    between_tiles,
    by_tile,
    fixed,
    has_image_norm,
    measure,
    measuring,
    size_of,
)
from geotranslate.networks.resnet import LocalEnhancer, ResNet
from geotranslate.prediction.inference import frozen

NORMS = ("batch", "renorm", "instance", "group", "channel", "none")
Make = Callable[..., Any]


def coarse(bands_in: int = 2, bands_out: int = 1, **options: Any) -> ResNet:
    torch.manual_seed(0)
    shape = {"downsamplings": 2, "blocks": 1, "ngf": 4}
    return ResNet(bands_in, bands_out, **shape | options)


def enhancer(bands_in: int = 2, bands_out: int = 1, **options: Any) -> LocalEnhancer:
    torch.manual_seed(0)
    shape = {"n_downsample_global": 2, "n_blocks_global": 1, "n_blocks_local": 1, "ngf": 4}
    return LocalEnhancer(bands_in, bands_out, **shape | options)


def two_levels(bands_in: int = 2, bands_out: int = 1, **options: Any) -> LocalEnhancer:
    shape = {"n_downsample_global": 1, "n_local_enhancers": 2, "ngf": 8}
    return enhancer(bands_in, bands_out, **shape | options)


GENERATORS = (coarse, enhancer, two_levels)


def with_large_weights(network: Any) -> Any:
    """Return a network in eval mode and float64 whose every weight matters."""
    torch.manual_seed(1)
    for name, value in network.state_dict().items():
        if value.ndim == 4:
            value.normal_(0, (2 / value[0].numel()) ** 0.5)
        if "running_mean" in name:
            value.normal_(0, 0.1)
    return network.double().eval()


def run(network: nn.Module, given: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(given)


def count(network: nn.Module) -> int:
    """Return the parameters without scale and shift of normalizations, which those lack there."""
    norms = [m for m in network.modules() if isinstance(m, nn.InstanceNorm2d)]
    every = [*network.parameters()]
    return sum(p.numel() for p in every) - sum(p.numel() for m in norms for p in m.parameters())


def listed(*rows: tuple[int, int, int, int]) -> int:
    """Return the weights and biases of convolutions: how many, bands in and out, side."""
    return sum(times * (before * side**2 + 1) * after for times, before, after, side in rows)


@pytest.mark.parametrize(("bands", "millions"), [(3, 182.443), (36, 182.547)])
def test_parameters_of_the_global_generator_are_those_of_the_published_one(
    bands: int, millions: float
) -> None:
    """Users printed its layers, for the 36 bands of Cityscapes: NVIDIA/pix2pixHD issues 159, 207.

    The file of one with default options has 700 MB (pytorch-CycleGAN-and-pix2pix issue 1007).
    """
    with torch.device("meta"):
        found = count(ResNet(bands, 3, downsamplings=4))
    down = ((1, 64, 128, 3), (1, 128, 256, 3), (1, 256, 512, 3), (1, 512, 1024, 3))
    up = ((1, 1024, 512, 3), (1, 512, 256, 3), (1, 256, 128, 3), (1, 128, 64, 3))
    assert found == listed((1, bands, 64, 7), *down, (18, 1024, 1024, 3), *up, (1, 64, 3, 7))
    assert found / 1e6 == pytest.approx(millions, abs=5e-4)
    assert 4 * found / 2**20 == pytest.approx(700, rel=0.01)


def test_parameters_of_the_local_enhancer_are_those_of_the_published_one() -> None:
    """Its file has 2.9 GB for 5 bands and ngf 64 (NVIDIA/pix2pixHD issue 258).

    There ngf is of the outermost level, so that the coarse part begins with 128 filters, as the
    layers say that a user printed (issue 221).
    """
    with torch.device("meta"):
        network = LocalEnhancer(5, 3, ngf=128)
        generator = ResNet(5, 3, downsamplings=4, ngf=128)
    around_it = ((1, 5, 64, 7), (1, 64, 128, 3), (6, 128, 128, 3), (1, 128, 64, 3), (1, 64, 3, 7))
    assert count(network) == count(generator) - listed((1, 128, 3, 7)) + listed(*around_it)
    assert 4 * count(network) == pytest.approx(2.9e9, rel=0.01)


def test_levels_outwards_have_half_the_filters_and_at_least_one() -> None:
    network = enhancer(ngf=4, n_local_enhancers=4)
    widths = [next(down.children()).out_channels for down in network.downs]
    assert widths == [2, 1, 1, 1]
    assert run(network, torch.rand(1, 2, 130, 130)).shape == (1, 1, 130, 130)


def test_a_resnet_of_as_many_halvings_is_a_global_generator() -> None:
    torch.manual_seed(0)
    other = ResNet(2, 1, blocks=1, downsamplings=2, ngf=4)
    assert torch.equal(run(coarse(), (given := torch.rand(1, 2, 21, 30))), run(other, given))
    assert other.state_dict().keys() == coarse().state_dict().keys()


@pytest.mark.slow_after(24)
@pytest.mark.parametrize("make", GENERATORS)
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("upsample", ["transposed", "resize"])
@pytest.mark.parametrize("beyond", [1, 29])
def test_any_size_and_bands_train_and_predict(
    make: Make, norm: str, upsample: str, beyond: int
) -> None:
    network = make(3, 5, norm=norm, upsample=upsample, dropout=0.5)
    size = network.stride + beyond
    image = torch.rand(2, 3, size, size + 5) * 2 - 1
    translated = network(image)
    assert translated.shape == (2, 5, size, size + 5)
    assert translated.abs().max() <= 1
    translated.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert network.eval()(image).shape == translated.shape


@pytest.mark.parametrize("make", GENERATORS)
@pytest.mark.parametrize("norm", NORMS)
def test_images_that_are_a_single_pixel_inside_are_translated(make: Make, norm: str) -> None:
    network = make(norm=norm).eval()
    stride = network.stride
    for rows, cols in ((stride, stride), (stride, 3 * stride), (stride // 2 + 1, 50)):
        found = run(network, torch.rand(1, 2, rows, cols))
        assert found.shape == (1, 1, rows, cols)
        assert found.isfinite().all()


@pytest.mark.parametrize("padding", ["zeros", "reflect", "replicate"])
def test_padding_is_that_of_every_convolution(padding: str) -> None:
    for make in GENERATORS:
        kinds = [m for m in make(padding=padding).modules() if isinstance(m, nn.Conv2d)]
        assert {module.padding_mode for module in kinds} == {padding}


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_features_of_the_image_are_added_to_those_of_the_smaller_one(levels: int) -> None:
    network = with_large_weights(enhancer(n_local_enhancers=levels, norm="channel"))
    image = torch.rand(1, 2, 4 * network.stride, 3 * network.stride, dtype=torch.float64)
    sizes = [image]
    for _ in range(levels):
        ones = torch.ones_like(sizes[-1])
        sums = [F.avg_pool2d(each, 3, 2, 1) for each in (sizes[-1], ones)]
        sizes.append(sums[0] / sums[1])
    with torch.inference_mode():
        hidden = network.coarse(sizes[levels])
        for level in range(levels):
            own = network.downs[level](sizes[levels - 1 - level])
            assert own.shape == hidden.shape
            hidden = network.ups[level](own + hidden)
        torch.testing.assert_close(network(image), network.head(hidden), atol=1e-12, rtol=0)


@pytest.mark.parametrize("make", GENERATORS)
@pytest.mark.parametrize("upsample", ["transposed", "resize"])
def test_shifts_by_the_stride_shift_the_translation(make: Make, upsample: str) -> None:
    network = with_large_weights(make(norm="batch", upsample=upsample))
    stride = network.stride
    edge = (network.radius // stride + 3) * stride
    image = torch.rand(1, 2, 2 * stride, 2 * edge + 2 * stride, dtype=torch.float64)
    inside = slice(edge, -edge)
    for shift in (stride // 2, stride):
        found, moved = run(network, image), run(network, image.roll(shift, -1))
        same = torch.allclose(found.roll(shift, -1)[..., inside], moved[..., inside], atol=1e-9)
        assert same == (shift == stride)


@pytest.mark.parametrize("make", GENERATORS)
@pytest.mark.parametrize("upsample", ["transposed", "resize"])
@pytest.mark.parametrize("blocks", [0, 2])
def test_nothing_beyond_the_radius_changes_a_pixel_and_its_rim_does(
    make: Make, upsample: str, blocks: int
) -> None:
    names = ("blocks",) if make is coarse else ("n_blocks_global", "n_blocks_local")
    options: dict[str, Any] = dict.fromkeys(names, blocks)
    network = with_large_weights(make(1, 1, norm="none", ngf=2, upsample=upsample, **options))
    for activation in [m for m in network.modules() if isinstance(m, nn.ReLU)]:
        # What is negative goes on as well, so that all that is read shows.
        activation.forward = F.leaky_relu
    radius, stride = network.radius, network.stride
    image = torch.rand(1, 1, 4 * stride, (2 * radius // stride + 3) * 2 * stride).double()
    middle = image.shape[-1] // 2 // stride * stride
    image.requires_grad_(True)
    reached = 0
    for pixel in range(middle, middle + stride):
        made = network(image)[..., 2 * stride : 3 * stride, pixel]
        (gradient,) = torch.autograd.grad((made * torch.rand_like(made)).sum(), image)
        read = gradient[0, 0].any(dim=0).nonzero().flatten()
        reached = max(reached, middle - int(read[0]), int(read[-1]) - middle - stride + 1)
    assert reached == radius


@pytest.mark.parametrize("make", GENERATORS)
@pytest.mark.parametrize("norm", ["batch", "channel"])
@pytest.mark.parametrize(("upsample", "padding"), [("transposed", "zeros"), ("resize", "reflect")])
def test_tiles_with_their_halo_are_the_whole_image(
    make: Make, norm: str, upsample: str, padding: str
) -> None:
    network = with_large_weights(make(norm=norm, upsample=upsample, padding=padding))
    stride = network.stride
    halo, tile = -(-network.radius // stride) * stride, 2 * stride
    size = 2 * halo + 3 * tile
    image = torch.rand(1, 2, 2 * stride, size, dtype=torch.float64)
    whole = run(network, image)
    apart = {}
    for around_it in (halo, halo - stride):
        worst = 0.0
        for start in range(0, size, tile):
            first, last = max(start - around_it, 0), min(start + tile + around_it, size)
            made = run(network, image[..., first:last])[..., start - first :][..., :tile]
            worst = max(worst, float((made - whole[..., start : start + tile]).abs().max()))
        apart[around_it] = worst / float(whole.max() - whole.min())
    assert apart[halo] < 1e-9 < apart[halo - stride]


@pytest.mark.parametrize("make", GENERATORS)
@pytest.mark.parametrize("norm", NORMS)
def test_radius_is_unknown_where_a_normalization_sees_the_image(make: Make, norm: str) -> None:
    network = make(norm=norm)
    assert (network.radius is None) == has_image_norm(network) == (norm in ("instance", "group"))
    assert fixed(network).radius == make(norm="none").radius


def test_strides_and_radii_of_the_published_shapes() -> None:
    """At half the size, a coarse part sees twice as far."""
    with torch.device("meta"):
        generator = ResNet(3, 3, downsamplings=4, ngf=2, norm="none")
        for levels in (1, 2):
            network = LocalEnhancer(3, 3, n_local_enhancers=levels, ngf=4, norm="none")
            assert network.stride == 2**levels * generator.stride == 16 * 2**levels
            assert network.radius == 2**levels * generator.radius
    assert (generator.stride, generator.radius) == (16, 323)


def test_the_coarse_part_takes_the_weights_of_a_global_generator() -> None:
    for norm in NORMS:
        generator, network = coarse(norm=norm), enhancer(norm=norm)
        with_large_weights(generator)
        before = copy.deepcopy(network.head.state_dict())
        network.load_coarse(generator.state_dict())
        given = torch.rand(1, 2, 16, 16)
        found, expected = run(network.eval().coarse, given), run(generator.float().layers, given)
        torch.testing.assert_close(found, expected)
        assert all(torch.equal(before[name], v) for name, v in network.head.state_dict().items())


def test_the_number_of_target_bands_does_not_matter_to_the_coarse_part() -> None:
    enhancer(2, 5).load_coarse(coarse(2, 3).state_dict())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"bands_in": 3}, r"layers\.0\.weight is 4 x 3 x 7 x 7 where the coarse part's is 4 x 2 x"),
        ({"downsamplings": 3}, r"layers\..* where the coarse part's is .* same bands_in, downs"),
        ({"blocks": 2}, r"layers\..* where the coarse part's is "),
        ({"ngf": 8}, r"layers\.0\.weight is 8 x 2 x 7 x 7 where the coarse part's is 4 x 2 x 7 x"),
        ({"norm": "none"}, r"layers\.0\.bias is missing where the coarse part's is 4;"),
        ({"norm": "batch"}, r"is missing where the coarse part's is 4;"),
        ({"upsample": "resize"}, r"is 8 x 16 x 3 x 3 where the coarse part's is 16 x 8 x 3 x 3;"),
    ],
)
def test_weights_of_another_network_are_refused_by_name_and_change_nothing(
    options: dict[str, Any], sentence: str
) -> None:
    network = enhancer()
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(InvalidInputError, match=sentence):
        network.load_coarse(coarse(**options).state_dict())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_weights_that_are_too_many_are_refused() -> None:
    weights = coarse().state_dict() | {"encoder.0.bias": torch.rand(3)}
    with pytest.raises(InvalidInputError, match=r"encoder\.0\.bias is 3 where .* is missing"):
        enhancer().load_coarse(weights)


def step(network: nn.Module) -> set[str]:
    """Train a step and return the names of what changed."""
    before = copy.deepcopy(network.state_dict())
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1.0)
    (network(torch.rand(2, 2, 32, 32)) - 1).square().mean().backward()
    optimizer.step()
    return {k for k, value in network.state_dict().items() if not torch.equal(before[k], value)}


@pytest.mark.parametrize("norm", NORMS)
def test_a_frozen_coarse_part_stays_as_it_is_while_the_rest_trains(norm: str) -> None:
    network = with_large_weights(enhancer(norm=norm, dropout=0.5)).float()
    given = torch.rand(2, 2, 16, 16)
    expected = run(network.coarse, given)
    network.freeze()
    outer = {name for name, _ in network.named_parameters() if not name.startswith("coarse")}
    for other in (network, copy.deepcopy(network)):
        changed = step(nn.Sequential(other).train()[0])
        assert not any(name.startswith("coarse") for name in changed)
        assert {"head.0.weight", "downs.0.0.weight"} <= changed and outer & changed
        assert other.head.training and other.downs.training
        assert torch.equal(run(other.coarse, given), expected)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("training", [True, False])
def test_a_thawed_coarse_part_trains_as_if_it_had_never_been_frozen(
    norm: str, training: bool
) -> None:
    network = enhancer(norm=norm, dropout=0.5).train(training)
    modes = {name: module.training for name, module in network.named_modules()}
    network.freeze()
    assert not any(module.training for module in network.coarse.modules())
    network.unfreeze()
    assert {name: module.training for name, module in network.named_modules()} == modes
    assert all(parameter.requires_grad for parameter in network.parameters())
    network.eval().train()
    assert any(name.startswith("coarse") for name in step(network))


def normalized(make: Make, norm: str) -> tuple[Any, Tensor]:
    network = with_large_weights(make(norm=norm, dropout=0.5)).float()
    return network, torch.randn(3, 2, 4 * network.stride, 4 * network.stride) + 0.5


@pytest.mark.parametrize("make", GENERATORS)
@pytest.mark.parametrize("norm", ["batch", "renorm", "instance", "group"])
def test_by_tile_is_every_image_for_itself(make: Make, norm: str) -> None:
    network, images = normalized(make, norm)
    alone = run(by_tile(network), images)
    torch.testing.assert_close(run(by_tile(network), images[1:2]), alone[1:2], atol=1e-4, rtol=0)
    if norm in ("instance", "group"):
        torch.testing.assert_close(alone, run(network, images), atol=1e-4, rtol=0)


@pytest.mark.parametrize("make", GENERATORS)
@pytest.mark.parametrize("norm", ["batch", "renorm", "instance", "group"])
def test_statistics_of_each_tile_are_what_it_is_normalized_by(make: Make, norm: str) -> None:
    network, images = normalized(make, norm)
    each = measure(measuring(network, together=False), images, torch.ones_like(images[:, :1]))
    assert each.shape == (3, size_of(network))
    alone = run(by_tile(network), images)

    def whole(size: int) -> Tensor:
        return torch.ones(3, size, 1)

    with around(Around(each[:, None, None], whole, whole)):
        smooth = run(between_tiles(network), images)
    torch.testing.assert_close(smooth, alone, atol=1e-4, rtol=0)
    for values, image, expected in zip(each, images, alone, strict=True):
        still = run(fixed(network, values), image[None])[0]
        torch.testing.assert_close(still, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("make", GENERATORS)
def test_bfloat16_is_near_float32_and_ends_in_its_steps(make: Make) -> None:
    network = make(norm="channel").eval()
    image = torch.rand(2, 2, 64, 64)
    exact, fast = run(network, image), frozen(network, "bfloat16")
    found = run(fast, image.to(next(fast.parameters()).dtype))
    assert found.dtype == torch.float32
    assert (found != found.bfloat16().float()).any()
    assert (found - exact).abs().mean() < 0.05 * exact.std()
