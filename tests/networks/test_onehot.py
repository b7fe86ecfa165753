from __future__ import annotations

import copy
import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from geotranslate.networks.normalization import between_tiles, by_tile, fixed, measure, measuring
from geotranslate.networks.onehot import ClassBands, OneHot, OneHotLayers, unwrapped
from geotranslate.networks.patchgan import PatchGAN
from geotranslate.networks.resnet import ResNet
from geotranslate.networks.unet import UNet
from geotranslate.prediction.inference import frozen
from geotranslate.training.callbacks.ema import averaged

LEVELS = (-1.0, -0.6, 0.3, 1.0)
RANGES = [(level - 0.01, level + 0.01) for level in LEVELS]


def unet(norm: str = "batch") -> OneHot:
    torch.manual_seed(0)
    return OneHot(UNet(4, 2, depth=3, ngf=8, norm=norm), RANGES).eval()


def numbers(count: int = 2, side: int = 32) -> tuple[Tensor, Tensor]:
    """Return scaled numbers of classes and of none, and the places of the classes, 4 for none."""
    places = torch.randint(5, (count, 1, side, side), generator=torch.Generator().manual_seed(1))
    return torch.tensor([*LEVELS, 1.2])[places], places


def bands_of(places: Tensor) -> Tensor:
    return (places == torch.arange(4)[:, None, None]).float()


def run(network: nn.Module, *given: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(*given)


def test_every_class_has_a_band_and_others_have_none() -> None:
    given, places = numbers()
    found = ClassBands(RANGES)(given, torch.float32)
    torch.testing.assert_close(found, bands_of(places), rtol=0, atol=0)
    for other in (float("nan"), -0.8, -0.62, 1.011, 1e9, -float("inf")):
        assert not ClassBands(RANGES)(torch.full((1, 1, 2, 3), other), torch.float32).any()


def test_a_network_gets_the_bands_and_what_else_there_is() -> None:
    given, places = numbers()
    generator, discriminator = unet(), PatchGAN(7, ndf=4, n_layers=1).eval()
    expected = run(generator.network, bands_of(places))
    torch.testing.assert_close(run(generator, given), expected)
    target, wrapped = torch.randn(2, 3, 32, 32), OneHot(discriminator, RANGES)
    torch.testing.assert_close(
        run(wrapped, given, target), run(discriminator, bands_of(places), target)
    )
    features = discriminator.features(bands_of(places), target)
    torch.testing.assert_close(wrapped.features(given, target), features)
    assert unwrapped(wrapped) is unwrapped(discriminator) is discriminator


@pytest.mark.parametrize("held", list(itertools.product((False, True), repeat=3)))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bands_of_classes_are_expanded_in_their_places(
    held: tuple[bool, ...], dtype: torch.dtype
) -> None:
    given, places = numbers(3)
    image = given.reshape(1, 3, 32, 32)
    expected = [
        bands_of(places[band : band + 1]) if is_held else image[:, band : band + 1]
        for band, is_held in enumerate(held)
    ]
    network = OneHotLayers(nn.Conv2d(1, 1, 1, dtype=dtype), [RANGES if it else () for it in held])
    assert list(network.state_dict()) == ["network.weight", "network.bias"]
    found = network.bands(image, dtype)
    assert torch.equal(found, torch.cat(expected, 1).to(dtype))
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_stride_and_radius_are_those_of_the_network() -> None:
    for network in (UNet(4, 2, depth=3, ngf=4), UNet(4, 2, depth=3, ngf=4, norm="instance")):
        assert OneHot(network, RANGES).stride == network.stride
        assert OneHot(network, RANGES).radius == network.radius
    resnet = ResNet(4, 1, blocks=6, ngf=4)
    assert OneHot(resnet, RANGES).radius == resnet.radius
    assert getattr(OneHot(nn.Identity(), RANGES), "radius", None) is None


def test_classes_are_no_weights_and_follow_the_network() -> None:
    network = unet()
    assert all(name.startswith("network.") for name in network.state_dict())
    assert copy.deepcopy(network).bands.low.tolist() == network.bands.low.tolist()
    assert network.to("meta").bands.low.device.type == "meta"


@pytest.mark.parametrize("make", [by_tile, fixed, between_tiles])
def test_normalizations_inside_are_replaced(make: Callable[[nn.Module], nn.Module]) -> None:
    given, places = numbers()
    network = unet()
    expected = run(make(network.network), bands_of(places))
    torch.testing.assert_close(run(make(network), given), expected)
    near = frozen(make(network), "bfloat16")
    torch.testing.assert_close(run(near, given), expected, rtol=0, atol=0.05)


def test_statistics_are_those_of_the_bands() -> None:
    given, places = numbers()
    network, valid = unet("instance"), torch.ones(2, 1, 32, 32)
    found = measure(measuring(network, together=True), given, valid)
    expected = measure(measuring(network.network, together=True), bands_of(places), valid)
    torch.testing.assert_close(found, expected)


def test_an_average_has_the_same_classes() -> None:
    network = unet()
    average = averaged(network, 0.9)
    for _ in range(30):
        average.update_parameters(network)
    assert torch.equal(average.module.bands.low, network.bands.low)
    given, _ = numbers()
    torch.testing.assert_close(run(average.module.eval(), given), run(network, given))


class Taking(nn.Conv2d):
    """A convolution that keeps what it is given."""

    def forward(self, bands: Tensor) -> Tensor:
        self.given = bands
        return super().forward(bands)


def test_a_network_in_bfloat16_tells_many_classes_apart() -> None:
    # Steps between them are finer than those of bfloat16, which has 256 from 0.5 to 1.
    levels = torch.linspace(-1, 1, 1000)
    ranges = [(float(level) - 2e-4, float(level) + 2e-4) for level in levels]
    network = nn.Sequential(Taking(1000, 1, 1), nn.Conv2d(1, 1, 1))
    half = frozen(OneHot(network, ranges), "bfloat16")
    with pytest.raises(RuntimeError, match=r"bfloat16|BFloat16|dtype|type"):
        # The last convolution is in float32, as a network that is made for it knows.
        run(half, levels.reshape(1, 1, 10, 100))
    given = half.network[0].given
    assert given.dtype == torch.bfloat16
    assert torch.equal(given.float().argmax(1).flatten(), torch.arange(1000))
    assert (given.sum(1) == 1).all()


def test_autocast_changes_no_class() -> None:
    given, places = numbers()
    with torch.autocast("cpu", torch.bfloat16):
        found = unet().bands(given, torch.float32)
    assert torch.equal(found, bands_of(places))


def test_it_compiles() -> None:
    given, _ = numbers()
    network = unet()
    expected = run(network, given)
    # Without a C++ compiler: what is traced runs as it is.
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    torch.testing.assert_close(run(compiled, given), expected)
