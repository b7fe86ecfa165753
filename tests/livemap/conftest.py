"""A small model and a scene, served on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from affine import Affine

from geotranslate import Pix2Pix, prepare_data
from geotranslate.livemap.server import live_application, served
from geotranslate.prediction.blocks import open_blocks
from tests.conftest import raster_writer

PLACE = Affine.translation(500_000, 5_000_000) @ Affine.rotation(20) @ Affine.scale(2, -2)


def write_scene(folder: Path) -> Path:
    """Write a scene `(3, 220, 260)` with squares of colors and a gap, and its truth."""
    write = raster_writer(folder)
    rows, cols = np.mgrid[:220, :260]
    pixels = np.stack([rows % 64 * 3, cols % 64 * 3, (rows + cols) % 128]).astype(np.uint8) + 5
    pixels[:, 40:70, 100:160] = 0
    write("truth.tif", pixels[:1], transform=PLACE, nodata=0)
    return write("scene.tif", pixels, transform=PLACE, nodata=0)


small_blocks = partial(
    open_blocks, tile_size=64, norm_stats="running", precision="float32", progress=False
)


@pytest.fixture(scope="package")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("live"))


@pytest.fixture(scope="package")
def model(tmp_path_factory: pytest.TempPathFactory) -> Pix2Pix:
    folder = tmp_path_factory.mktemp("chips")
    write = raster_writer(folder)
    chance = np.random.default_rng(0)
    for chip in range(4):
        place = {"transform": Affine(2, 0, 128 * chip, 0, -2, 0)}
        write(f"images/{chip}.tif", chance.integers(1, 255, (3, 64, 64), np.uint8), **place)
        write(f"images2/{chip}.tif", chance.integers(1, 255, (1, 64, 64), np.uint8), **place)
    torch.manual_seed(0)
    return Pix2Pix(prepare_data(folder), recipe="seamless", ngf=4, ndf=4)


@pytest.fixture(scope="package")
def address(model: Pix2Pix, scene: Path) -> Iterator[str]:
    """The address of a map of the scene, its translation in tiles of 64 px, and its truth."""
    with (
        live_application(
            model.predictor, scene, scene.with_name("truth.tif"), blocks=small_blocks
        ) as application,
        served(application) as found,
    ):
        yield found
