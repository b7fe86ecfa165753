"""Generators whose translations have other pixels: tiles, cropped, are the whole image."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from torch import nn

from geotranslate.networks.onehot import unwrapped
from geotranslate.networks.patchgan import PatchGAN
from geotranslate.networks.rescaling import AtTargetSize, RepeatConv2d, rescaled
from geotranslate.networks.resnet import ResNet
from geotranslate.networks.unet import ResUNet, UNet
from geotranslate.raster.factor import FACTORS as ALL_FACTORS
from geotranslate.raster.pipeline import translate_raster
from tests.networks.test_exact_tiling import Apply, with_large_weights

FACTORS = [Fraction(k) for k in (2, 3, 4)] + [Fraction(1, k) for k in (2, 3, 8)]


def network_of(kind: str, factor: Fraction) -> Any:
    """Return a generator of 1 to 2 bands with weights that all matter."""
    makes: dict[str, Any] = {
        "unet": lambda bands, bounded: UNet(1, bands, depth=3, ngf=4, bounded=bounded),
        "resunet": lambda bands, bounded: ResUNet(1, bands, depth=2, ngf=4, bounded=bounded),
        "resnet": lambda bands, bounded: ResNet(
            1, bands, blocks=1, ngf=4, norm="batch", bounded=bounded
        ),
    }
    return with_large_weights(
        rescaled(makes[kind], 2, factor, width=8, padding="zeros", bounded=True)
    )


@pytest.mark.parametrize(
    ("kind", "factor"),
    [
        *(("resunet", factor) for factor in ALL_FACTORS if factor != 1),
        *(("unet", Fraction(k)) for k in (2, Fraction(1, 3))),
        *(("resnet", Fraction(1, k)) for k in (3, 5)),
    ],
    ids=str,
)
def test_tiles_are_the_whole_image(tmp_path: Path, kind: str, factor: Fraction) -> None:
    network = network_of(kind, factor)
    halo = -(-network.radius // network.stride) * network.stride
    draw = np.random.default_rng(factor.denominator)
    tile = 5 * halo
    # Sizes that are no multiples of the stride, of the factor, or of either.
    rows, cols = tile + halo + 5, tile + int(draw.integers(1, network.stride + halo))
    image = draw.uniform(-1, 1, (1, rows, cols)).astype(np.float32)
    profile = {"driver": "GTiff", "height": rows, "width": cols, "count": 1, "dtype": "float32"}
    placed = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 3e5, 0, -10, 5e6)}
    with rasterio.open(tmp_path / "scene.tif", "w", **profile, **placed) as scene:
        scene.write(image)
    apply = Apply(network, network.stride, network.radius)
    done = translate_raster(
        tmp_path / "scene.tif",
        "out.tif",
        apply,
        bands_out=2,
        scale=factor,
        tile_size=tile,
        progress=False,
    )
    with rasterio.open(done) as written:
        tiled = written.read()
    whole = apply(image[None])[0]
    assert tiled.shape == whole.shape
    assert np.abs(tiled - whole).max() < 1e-5 * np.ptp(whole)


@pytest.mark.parametrize(
    ("factor", "padding"),
    [*zip(FACTORS, 2 * ["zeros", "reflect", "replicate"], strict=True)],
    ids=str,
)
def test_pixels_beyond_the_radius_do_not_matter(factor: Fraction, padding: Any) -> None:
    network = with_large_weights(
        rescaled(
            lambda bands, bounded: ResUNet(1, bands, depth=1, ngf=4, padding=padding),
            1,
            factor,
            width=8,
            padding=padding,
            bounded=False,
        )
    )
    stride, radius = network.stride, network.radius
    side = 6 * stride + 2 * -(-radius // stride) * stride
    start = side // 2 // stride * stride
    image = torch.rand(1, 1, side, side)
    at = slice(int(start * factor), int((start + stride) * factor))
    outside = torch.ones(side, side, dtype=torch.bool)
    near = slice(start - radius, start + stride + radius)
    outside[near, near] = False
    changed = torch.where(outside, torch.rand(1, 1, side, side), image)
    with torch.inference_mode():
        one, other = (network(seen)[..., at, at] for seen in (image, changed))
    torch.testing.assert_close(one, other)
    assert one.shape[-1] == stride * factor


def test_generator_for_a_factor_of_1_is_as_it_was() -> None:
    def make(bands: int, bounded: bool) -> Any:
        return ResUNet(1, bands, depth=1, ngf=4, bounded=bounded)

    found = rescaled(make, 3, Fraction(1), width=8, padding="zeros", bounded=True)
    assert isinstance(found, ResUNet)
    other = rescaled(make, 3, Fraction(6), width=64, padding="zeros", bounded=True)
    assert unwrapped(other) is other.network
    assert other(torch.zeros(2, 1, 20, 16)).shape == (2, 3, 120, 96)
    assert isinstance(other.head[1], RepeatConv2d)


@pytest.mark.parametrize("size", [(7, 9), (8, 8), (1, 5)])
def test_sides_of_reduced_images_are_rounded_up(size: tuple[int, int]) -> None:
    network = rescaled(
        lambda bands, bounded: _Same(bands),
        2,
        Fraction(1, 3),
        width=4,
        padding="zeros",
        bounded=True,
    )
    rows, cols = size
    if min(size) < 2:
        pytest.skip("images are extended to the stride before they enter a network")
    assert network(torch.zeros(1, 1, rows, cols)).shape == (1, 2, -(-rows // 3), -(-cols // 3))


class _Same(nn.Module):
    """A network of stride 1 that repeats its only band."""

    stride, radius = 1, 0

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.bands = bands

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the band several times."""
        return image.repeat(1, self.bands, 1, 1)


@pytest.mark.parametrize("factor", [Fraction(4), Fraction(1, 4)], ids=str)
def test_discriminator_sees_the_source_at_the_size_of_the_target(factor: Fraction) -> None:
    network = PatchGAN(3, ndf=4)
    source = torch.rand(2, 1, 64, 64)
    if factor > 1:
        brought = source.repeat_interleave(4, -2).repeat_interleave(4, -1)
    else:
        source = torch.rand(2, 1, 256, 256)
        brought = source.unfold(2, 4, 4).unfold(3, 4, 4).mean(dim=(-2, -1))
    target = torch.rand(2, 2, *brought.shape[-2:])
    wrapped = AtTargetSize(network, factor)
    torch.testing.assert_close(wrapped(source, target), network(brought, target))
    for one, other in zip(
        wrapped.features(source, target)[0], network.features(brought, target)[0], strict=True
    ):
        torch.testing.assert_close(one, other)
