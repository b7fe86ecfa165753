"""Generators whose layers do not see where they are: tiles, cropped, are the whole image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from numpy.typing import NDArray
from torch import nn

from geotranslate.networks.pixel import PixelNetwork, Started
from geotranslate.networks.resnet import LocalEnhancer, ResNet
from geotranslate.networks.unet import ResUNet, UNet
from geotranslate.raster.pipeline import translate_raster

FREE = ("batch", "channel")
ENDS = (("transposed", "zeros"), ("resize", "zeros"), ("resize", "reflect"))


class Apply:
    """A network as a function of tiles, which says what it needs to be cropped."""

    def __init__(self, network: nn.Module, stride: int, radius: int | None) -> None:
        self.network, self.stride, self.radius = network, stride, radius

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return self.network(torch.from_numpy(batch)).numpy()


def with_large_weights(network: nn.Module) -> Any:
    """Return a network in eval mode whose every weight matters."""
    torch.manual_seed(1)
    for name, value in network.state_dict().items():
        if value.ndim >= 2:
            value.normal_(0, (2 / value[0].numel()) ** 0.5)
        if "running_mean" in name:
            value.normal_(0, 0.1)
    return network.eval()


def apart(
    tmp_path: Path, network: Any, size: int, halo: int | None = None, **options: Any
) -> float:
    """Return the largest difference of tiles and whole image, as a share of the image's range."""
    image = np.random.default_rng(0).uniform(-1, 1, (1, size, size)).astype(np.float32)
    profile = {"driver": "GTiff", "height": size, "width": size, "count": 1, "dtype": "float32"}
    placed = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 3e5, 0, -10, 5e6)}
    with rasterio.open(tmp_path / "scene.tif", "w", **profile, **placed) as scene:
        scene.write(image)
    apply = Apply(network, network.stride, network.radius)
    if halo is not None:
        options |= {"padding": halo, "blend": "crop"}
        apply.stride = 1
    done = translate_raster(
        tmp_path / "scene.tif", "out.tif", apply, bands_out=1, progress=False, **options
    )
    with rasterio.open(done) as written:
        tiled = written.read()
    whole = apply(image[None])[0]
    return float(np.abs(tiled - whole).max() / np.ptp(whole))


@pytest.mark.slow_after(6)
@pytest.mark.parametrize("norm", FREE)
@pytest.mark.parametrize(("upsample", "padding"), ENDS)
@pytest.mark.parametrize(("depth", "tile"), [(3, 80), (4, 160), (5, 320)])
def test_tiles_of_a_shallow_unet_are_the_whole_image(
    tmp_path: Path, depth: int, tile: int, norm: str, upsample: str, padding: str
) -> None:
    options: dict[str, Any] = {"norm": norm, "upsample": upsample, "padding": padding}
    network = with_large_weights(UNet(1, 1, depth=depth, ngf=4, **options))
    assert apart(tmp_path, network, 2 * tile + network.stride, tile_size=tile) < 1e-5


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("norm", FREE)
@pytest.mark.parametrize(("upsample", "padding"), ENDS)
def test_tiles_of_a_resnet_are_the_whole_image(
    tmp_path: Path, norm: str, upsample: str, padding: str
) -> None:
    options: dict[str, Any] = {"norm": norm, "upsample": upsample, "padding": padding}
    network = with_large_weights(ResNet(1, 1, ngf=4, **options))
    assert apart(tmp_path, network, 600, tile_size=320) < 1e-5


@pytest.mark.parametrize("norm", FREE)
@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize(("depth", "tile"), [(2, 120), (3, 240)])
def test_tiles_of_a_residual_unet_are_the_whole_image(
    tmp_path: Path, depth: int, tile: int, norm: Any, padding: Any
) -> None:
    network = with_large_weights(ResUNet(1, 1, depth=depth, ngf=4, norm=norm, padding=padding))
    assert apart(tmp_path, network, 2 * tile + 27, tile_size=tile) < 1e-5


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(("depth", "tile", "more"), [(1, 320, 27), (3, 480, 32), (3, 480, 27)])
def test_tiles_of_a_generator_with_a_start_are_the_whole_image(
    tmp_path: Path, depth: int, tile: int, more: int
) -> None:
    network = ResUNet(2, 1, depth=depth, ngf=4, bounded=False)
    started = with_large_weights(Started(PixelNetwork(1, 1), network))
    assert apart(tmp_path, started, tile + 64 + more, tile_size=tile) < 1e-5


@pytest.mark.parametrize("levels", [1, 2])
def test_tiles_of_an_enhancer_are_the_whole_image(tmp_path: Path, levels: int) -> None:
    options: dict[str, Any] = {"n_downsample_global": 2, "n_blocks_global": 2, "norm": "batch"}
    network = with_large_weights(
        LocalEnhancer(1, 1, n_local_enhancers=levels, n_blocks_local=1, ngf=4, **options)
    )
    tile = 5 * -(-network.radius // network.stride) * network.stride
    assert apart(tmp_path, network, tile + 90, tile_size=tile) < 1e-5


@pytest.mark.parametrize(
    ("depth", "halo", "exact"),
    [(5, 0, False), (5, 32, False), (5, 64, True), (6, 64, False), (6, 128, True)],
)
def test_a_unet_needs_a_halo_of_twice_its_stride(
    tmp_path: Path, depth: int, halo: int, exact: bool
) -> None:
    network = with_large_weights(UNet(1, 1, depth=depth, ngf=2))
    assert (apart(tmp_path, network, 640, halo, tile_size=384) < 1e-5) == exact


@pytest.mark.slow_after(2)
@pytest.mark.parametrize(
    ("halo", "exact"), [(0, False), (32, False), (64, False), (84, True), (88, True), (89, False)]
)
def test_a_resnet_needs_a_halo_of_84_px_in_whole_strides(
    tmp_path: Path, halo: int, exact: bool
) -> None:
    network = with_large_weights(ResNet(1, 1, ngf=2, norm="batch"))
    assert (apart(tmp_path, network, 600, halo, tile_size=320) < 1e-5) == exact


@pytest.mark.parametrize("norm", ["instance", "group"])
def test_no_halo_helps_where_a_normalization_sees_the_tile(tmp_path: Path, norm: str) -> None:
    network = with_large_weights(ResNet(1, 1, ngf=4, norm=norm))
    assert apart(tmp_path, network, 600, 88, tile_size=320) > 1e-3


def test_the_unet_of_the_paper_cannot_be_cropped_exactly(tmp_path: Path) -> None:
    network = with_large_weights(UNet(1, 1, depth=8, ngf=1))
    assert apart(tmp_path, network, 512, 64, tile_size=256) > 1e-3
