"""Weights of the reference code; its networks are built here from their description."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from geotranslate import CycleGAN, Pix2Pix, prepare_data
from geotranslate.errors import InvalidInputError, ModelFileError
from geotranslate.networks.patchgan import PatchGAN
from geotranslate.networks.resnet import ResNet
from geotranslate.networks.unet import UNet
from geotranslate.translators.saved_models.reference_weights import (
    ReferenceGenerator,
    discriminator_arguments,
    discriminator_layers,
    load,
)

WriteChips = Callable[..., Path]
NORMS: dict[str, Any] = {
    "batch": nn.BatchNorm2d,
    "instance": nn.InstanceNorm2d,
    "none": lambda channels: nn.Identity(),
}


class Level(nn.Module):
    """A level of the reference U-Net with the levels inside of it, in its numbering."""

    def __init__(
        self, given: int, made: int, width: int, inner: nn.Module | None, norm: str, outermost: bool
    ) -> None:
        super().__init__()
        bias = norm == "instance"
        down = nn.Conv2d(given, width, 4, 2, 1, bias=bias)
        up = nn.ConvTranspose2d(
            width if inner is None else 2 * width, made, 4, 2, 1, bias=bias or outermost
        )
        if outermost:
            assert inner is not None
            parts = [down, inner, nn.ReLU(), up, nn.Tanh()]
        elif inner is None:
            parts = [nn.LeakyReLU(0.2), down, nn.ReLU(), up, NORMS[norm](made)]
        else:
            parts = [nn.LeakyReLU(0.2), down, NORMS[norm](width), inner]
            parts += [nn.ReLU(), up, NORMS[norm](made)]
        self.model, self.outermost = nn.Sequential(*parts), outermost

    def forward(self, image: Tensor) -> Tensor:
        found = self.model(image)
        return found if self.outermost else torch.cat([image, found], 1)


class Theirs(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *images: Tensor) -> Tensor:
        return self.model(torch.cat(images, 1))


def their_unet(depth: int, norm: str, ngf: int = 4, bands: tuple[int, int] = (3, 2)) -> Theirs:
    widths = [ngf * min(2**level, 8) for level in range(depth)]
    inner: nn.Module | None = None
    for level in range(depth - 1, 0, -1):
        outer = widths[level - 1]
        inner = Level(outer, outer, widths[level], inner, norm, outermost=False)
    return Theirs(Level(*bands, widths[0], inner, norm, outermost=True))


class Block(nn.Module):
    def __init__(self, channels: int, norm: str, dropout: bool) -> None:
        super().__init__()
        convolve = functools.partial(nn.Conv2d, channels, channels, 3, bias=norm == "instance")
        parts = [nn.ReflectionPad2d(1), convolve(), NORMS[norm](channels), nn.ReLU()]
        parts += [nn.Dropout(0.5)] if dropout else []
        parts += [nn.ReflectionPad2d(1), convolve(), NORMS[norm](channels)]
        self.conv_block = nn.Sequential(*parts)

    def forward(self, image: Tensor) -> Tensor:
        return image + self.conv_block(image)


def their_resnet(
    blocks: int, norm: str, dropout: bool = False, ngf: int = 4, bands: tuple[int, int] = (3, 2)
) -> Theirs:
    bias = norm == "instance"
    parts: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(bands[0], ngf, 7, bias=bias)]
    parts += [NORMS[norm](ngf), nn.ReLU()]
    for width in (ngf, 2 * ngf):
        # Theirs pads with zeros, ours reflects: the names are the same.
        parts.append(nn.Conv2d(width, 2 * width, 3, 2, 1, bias=bias, padding_mode="reflect"))
        parts += [NORMS[norm](2 * width), nn.ReLU()]
    parts += [Block(4 * ngf, norm, dropout) for _ in range(blocks)]
    for width in (4 * ngf, 2 * ngf):
        parts.append(nn.ConvTranspose2d(width, width // 2, 3, 2, 1, output_padding=1, bias=bias))
        parts += [NORMS[norm](width // 2), nn.ReLU()]
    return Theirs(
        nn.Sequential(*parts, nn.ReflectionPad2d(3), nn.Conv2d(ngf, bands[1], 7), nn.Tanh())
    )


def their_discriminator(n_layers: int, norm: str, ndf: int = 4, bands: int = 5) -> Theirs:
    kernel, padding = (4, 1) if n_layers else (1, 0)
    width, parts = bands, list[nn.Module]()
    for level in range(max(n_layers, 1) + 1):
        made = ndf * min(2**level, 8)
        stride = 2 if level < n_layers else 1
        bias = norm == "instance" or not level
        parts.append(nn.Conv2d(width, made, kernel, stride, padding, bias=bias))
        parts += [NORMS[norm](made)] if level else []
        parts.append(nn.LeakyReLU(0.2))
        width = made
    return Theirs(nn.Sequential(*parts, nn.Conv2d(width, 1, kernel, 1, padding)))


def stirred(network: nn.Module) -> nn.Module:
    """Return a network in eval mode with weights and statistics that differ from each other."""
    torch.manual_seed(0)
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) * 0.4 + (0.1 if value.ndim == 1 else -0.2))
    return network.eval()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("depth", [2, 3, 5])
def test_unets_translate_as_before(depth: int, norm: Any) -> None:
    theirs = stirred(their_unet(depth, norm))
    found = ReferenceGenerator.of(theirs.state_dict(), "G.pth")
    assert (found.kind, found.size, found.bands) == ("unet", depth, (3, 2))
    assert found.arguments["norm"] == norm
    ours = UNet(3, 2, depth=depth, ngf=found.arguments["ngf"], norm=norm).eval()
    found.load_into(ours, "G.pth")
    image = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(ours(image), theirs(image))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("blocks", "dropout"), [(6, False), (9, True)])
def test_resnets_translate_as_before(blocks: int, dropout: bool, norm: Any) -> None:
    theirs = stirred(their_resnet(blocks, norm, dropout))
    found = ReferenceGenerator.of(theirs.state_dict(), "G.pth")
    assert (found.kind, found.size, found.bands) == ("resnet", blocks, (3, 2))
    assert found.arguments["norm"] == norm
    ours = ResNet(3, 2, blocks=blocks, ngf=4, norm=norm).eval()
    found.load_into(ours, "G.pth")
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(ours(image), theirs(image))


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("n_layers", [0, 1, 3])
def test_discriminators_are_the_same(n_layers: int, norm: Any) -> None:
    theirs = stirred(their_discriminator(n_layers, norm))
    weights = theirs.state_dict()
    assert discriminator_arguments(weights) == {"ndf": 4, "n_layers": n_layers}
    ours = PatchGAN(5, ndf=4, n_layers=n_layers, norm=norm).eval()
    load(ours, weights, discriminator_layers(weights), "D.pth")
    pair = torch.rand(1, 3, 64, 64), torch.rand(1, 2, 64, 64)
    torch.testing.assert_close(ours(*pair), theirs(*pair))


def test_model_of_the_reference_code_translates_and_trains(
    write_chips: WriteChips, tmp_path: Path
) -> None:
    data = prepare_data(write_chips(source=(3, "uint8"), target=(2, "uint8")), batch_size=2)
    theirs = stirred(their_unet(6, "batch"))
    saved = {f"module.{name}": value for name, value in theirs.state_dict().items()}
    torch.save(saved, tmp_path / "latest_net_G.pth")
    judge = stirred(their_discriminator(2, "batch"))
    torch.save(judge.state_dict(), tmp_path / "latest_net_D.pth")
    model = Pix2Pix.from_pytorch_cyclegan(tmp_path, data)
    image = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(model.pair.generator.eval()(image), theirs(image))
    assert (model.config.ndf, model.config.n_layers) == (4, 2)
    model.fit(1, checkpoint=False, progress=False, precision="float32")
    again = Pix2Pix.from_model(model.save(tmp_path / "model"))
    assert again.digest() == model.digest()


def test_other_files_are_said(write_chips: WriteChips, tmp_path: Path) -> None:
    data = prepare_data(write_chips(source=(3, "uint8"), target=(1, "uint8")))
    file = tmp_path / "latest_net_G.pth"
    unet = their_unet(3, "batch").state_dict()
    lacking = {name: value for name, value in unet.items() if name != "model.model.3.bias"}
    for content, said in (
        (None, "No weights can be read from .*latest_net_G.pth"),
        ({"epoch": 3}, "it holds something else"),
        ({"fc.weight": torch.rand(2, 2)}, "holds neither a U-Net nor a ResNet"),
        ([1, 2], "it holds something else"),
    ):
        if content is not None:
            torch.save(content, file)
        with pytest.raises(ModelFileError, match=said):
            Pix2Pix.from_pytorch_cyclegan(tmp_path, data)
    torch.save(unet, file)
    with pytest.raises(InvalidInputError, match="3 bands into 2, but the data has 3 and 1; give"):
        Pix2Pix.from_pytorch_cyclegan(file, data)
    for weights, said in (
        (lacking, "model.model.3.bias is missing"),
        (unet | {"extra.weight": torch.rand(1)}, "extra.weight has no place"),
        (unet | {"model.model.3.bias": torch.rand(7)}, r"is \(7,\) where \(2,\) is needed"),
    ):
        found = ReferenceGenerator.of(weights, file)
        with pytest.raises(ModelFileError, match=said):
            found.load_into(UNet(3, 2, depth=3, ngf=4), file)


@pytest.fixture
def cyclegan(tmp_path: Path) -> dict[str, nn.Module]:
    """Save the networks of a CycleGAN of the reference code, of 3 bands into 2; return them."""
    torch.manual_seed(0)
    networks: dict[str, nn.Module] = {
        "G_A": their_resnet(6, "instance", bands=(3, 2)),
        "G_B": their_resnet(6, "instance", bands=(2, 3)),
        "D_A": their_discriminator(2, "instance", bands=2),
        "D_B": their_discriminator(2, "instance", bands=3),
    }
    for name, network in networks.items():
        torch.save(network.eval().state_dict(), tmp_path / f"latest_net_{name}.pth")
    return networks


@pytest.mark.parametrize("given", [".", "latest_net_G_A.pth", "latest_net_G_B.pth"])
def test_cyclegan_of_the_reference_code_translates_both_ways_and_trains(
    write_sides: WriteChips, tmp_path: Path, cyclegan: dict[str, nn.Module], given: str
) -> None:
    data = prepare_data(write_sides(bands=(3, 2)), batch_size=2)
    model = CycleGAN.from_pytorch_cyclegan(tmp_path / given, data)
    assert (model.config.gen_blocks, model.config.ndf, model.config.n_layers) == (6, 4, 2)
    assert (model.config.norm, model.config.upsample) == ("instance", "transposed")
    source, target = torch.rand(1, 3, 32, 32), torch.rand(1, 2, 32, 32)
    ways: Any = model.pair.translating.eval()
    torch.testing.assert_close(ways.forth(source), cyclegan["G_A"](source))
    torch.testing.assert_close(ways.back(target), cyclegan["G_B"](target))
    judges: Any = model.pair.discriminator
    torch.testing.assert_close(judges["of_target"].eval()(target), cyclegan["D_A"](target))
    torch.testing.assert_close(judges["of_source"].eval()(source), cyclegan["D_B"](source))
    if given == ".":
        model.fit(1, checkpoint=False, progress=False, precision="float32")
        again = CycleGAN.from_model(model.save(tmp_path / "model"))
        assert again.digest() == model.digest()


def test_cyclegans_that_do_not_fit_are_said(
    write_sides: WriteChips, tmp_path: Path, cyclegan: dict[str, nn.Module]
) -> None:
    data = prepare_data(write_sides(bands=(3, 2)))
    other = prepare_data(write_sides(bands=(3, 1), folder="other"))
    with pytest.raises(
        InvalidInputError, match=r"G_A.pth translates 3 bands into 2, but the data "
    ):
        CycleGAN.from_pytorch_cyclegan(tmp_path, other)
    (tmp_path / "latest_net_D_B.pth").unlink()
    CycleGAN.from_pytorch_cyclegan(tmp_path, data)
    back = tmp_path / "latest_net_G_B.pth"
    for network, said in (
        (their_unet(3, "instance", bands=(2, 3)), "are a resnet of size 6 and a unet of size 3, b"),
        (their_resnet(4, "instance", bands=(2, 3)), "a resnet of size 6 and a resnet of size 4, b"),
    ):
        torch.save(network.state_dict(), back)
        with pytest.raises(InvalidInputError, match=said):
            CycleGAN.from_pytorch_cyclegan(tmp_path, data)
    back.unlink()
    with pytest.raises(ModelFileError, match=r", and there is no .*latest_net_G_B\.pth; give that"):
        CycleGAN.from_pytorch_cyclegan(tmp_path, data)
    single = (tmp_path / "latest_net_G_A.pth").rename(tmp_path / "latest_net_G.pth")
    with pytest.raises(ModelFileError, match=r"needs the generators of both directions, such as "):
        CycleGAN.from_pytorch_cyclegan(single, data)
