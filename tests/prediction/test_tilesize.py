from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geotranslate.chips.bands.classes import Classes
from geotranslate.networks.resnet import ResNet
from geotranslate.networks.unet import UNet
from geotranslate.prediction.inference import Inference
from geotranslate.prediction.tilesize import fitting_tile
from geotranslate.prediction.translation import Translation
from geotranslate.raster.tiling.overlap import ReceptiveField, TilingOptions, choose_tiling
from geotranslate.translators.encoding import encoded, source_channels
from tests.prediction.test_inference import make_card

SIDES = st.integers(1, 50_000)
MANY: dict[str, Any] = {"chip_size": 256, "crop": True}


@given(SIDES, SIDES, st.integers(2, 7), st.integers(0, 10**5))
def test_tiles_are_whole_strides_and_no_larger_than_memory_or_scene_allow(
    rows: int, cols: int, depth: int, most: int
) -> None:
    stride = 2**depth
    tile = fitting_tile((rows, cols), stride, 2 * stride - 1, most=most, **MANY)
    assert tile % stride == 0
    assert tile <= max(most, 256)
    assert tile - stride < max(rows, cols, 1)


@given(st.integers(5000, 50_000), st.integers(5000, 50_000), st.integers(2, 7))
def test_tiles_are_cropped_exactly_where_memory_allows(rows: int, cols: int, depth: int) -> None:
    stride = 2**depth
    tile = fitting_tile((rows, cols), stride, 2 * stride - 1, most=10**6, **MANY)
    tiling = choose_tiling(TilingOptions(tile), ReceptiveField(stride, 2 * stride - 1))
    assert (tiling.tile, tiling.padding, tiling.step) == (tile, 2 * stride, stride)


@pytest.mark.parametrize(
    ("most", "tile"), [(5000, 4096), (4000, 3072), (2600, 2560), (2559, 1024), (800, 512), (0, 256)]
)
def test_less_memory_makes_smaller_tiles(most: int, tile: int) -> None:
    assert fitting_tile((40_000, 40_000), 256, 511, most=most, **MANY) == tile


def test_a_scene_that_fits_is_one_tile() -> None:
    assert fitting_tile((900, 700), 256, 511, most=5000, **MANY) == 1024


def test_a_strip_has_the_tiles_that_leave_least_over() -> None:
    assert fitting_tile((300, 10_000), 256, 511, most=5000, **MANY) == 4096
    assert fitting_tile((300, 5_000), 256, 511, most=5000, **MANY) == 3072


def test_tiles_that_are_blended_are_four_chips_and_those_seen_whole_are_one() -> None:
    options: dict[str, Any] = {"chip_size": 250, "most": 10**6}
    assert fitting_tile((9000, 9000), 32, 63, crop=False, **options) == 1024
    assert fitting_tile((9000, 9000), 32, None, crop=True, **options) == 256


@pytest.mark.parametrize("network", [UNet(1, 1, depth=6, ngf=8), ResNet(1, 1, ngf=8)])
def test_memory_is_shared_by_workers(network: torch.nn.Module) -> None:
    inference = Inference(network.eval(), make_card(), 8, None)
    alone, shared = (inference.largest_tile(workers) for workers in (1, 4))
    assert alone == pytest.approx(2 * shared, abs=2)
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize(
    ("norm_stats", "depth", "tile"),
    [
        ("tile", 4, 64),
        ("smooth", 4, 128),
        ("running", 4, 256),
        ("scene", 4, 256),
        ("scene", 6, 640),
        ("running", 6, 1024),
    ],
)
def test_tiles_are_those_that_the_statistics_are_good_for(
    norm_stats: Any, depth: int, tile: int
) -> None:
    network, card = UNet(1, 1, depth=depth, ngf=2).eval(), make_card()
    inference = Inference(network, card, network.stride, network.radius)
    inference = inference.at("float32", norm_stats)
    options: Any = SimpleNamespace(
        tile_size="auto", overlap=None, padding=None, blend="auto", workers=1
    )
    scene: Any = SimpleNamespace(grid=SimpleNamespace(height=6000, width=6000))
    provenance: Any = None
    found = Translation(inference, inference, provenance, options, {})._tile_size(scene, inference)
    assert found == tile


def test_bands_of_many_classes_take_memory() -> None:
    sides = []
    for count in (2, 250):
        numbers = tuple(range(count))
        card = make_card()
        card = replace(card, source=replace(card.source, classes=Classes(numbers, None)))
        network = UNet(source_channels(card.source), 1, depth=2, ngf=4).eval()
        inference = Inference(encoded(network, card.source), card, 4, None)
        sides.append(inference.largest_tile(1))
    # The widest place of the network itself has 4 channels at half the size.
    assert sides[1] < 0.2 * sides[0]
