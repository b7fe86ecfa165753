"""A model of small networks with scenes, and its report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from affine import Affine
from numpy.typing import NDArray

from geotranslate import Pix2Pix, prepare_data
from geotranslate.report import pyramid, sceneview
from tests.conftest import NORTH_UP, WriteRaster, raster_writer
from tests.translators.conftest import fresh_model, write_maps

__all__ = ["fresh_model", "write_maps"]

HEIGHT, WIDTH = 200, 260
TILE, TOP = 32, 64
"""Smaller tiles than those of true reports, so that small scenes have some."""


def waves(bands: int, height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return a smooth picture with noise."""
    chance = np.random.default_rng(seed)
    rows, cols = np.indices((height, width)) / 23
    found = [
        100 + 60 * np.sin(rows + band) * np.cos(cols) + chance.integers(0, 20, (height, width))
        for band in range(bands)
    ]
    return np.array(found).astype(np.uint8)


def small_model(folder: Path, write: WriteRaster, **options: Any) -> Pix2Pix:
    """Return an untrained Pix2Pix of 3 to 2 bands, with its data and a history."""
    for chip in range(6):
        place = {"transform": NORTH_UP @ Affine.translation(64 * chip, 64)}
        source = waves(3, 64, 64, chip)
        write(f"chips/images/{chip}.tif", source, **place)
        write(f"chips/images2/{chip}.tif", source[:2] // 2 + 40, names=("near", "far"), **place)
    torch.manual_seed(0)
    data = prepare_data(folder / "chips", seed=1)
    model = Pix2Pix(data, **{"recipe": "seamless", "ngf": 4, "ndf": 4, **options})
    model.history.extend({"train_loss": 3.0 / epoch, "mae": 20.0 - epoch} for epoch in range(1, 6))
    return model


def small_tiles(patch: pytest.MonkeyPatch) -> None:
    """Make tiles and the coarsest level small."""
    patch.setattr(pyramid, "TILE", TILE)
    patch.setattr(sceneview, "TILE", TILE)
    patch.setattr(pyramid, "TOP", TOP)
    patch.setattr(pyramid, "SMALLEST", 8)


@dataclass
class Made:
    """A report, and what it was made of."""

    page: Path
    model: Pix2Pix
    scene: Path
    truth: Path

    @property
    def text(self) -> str:
        """The page."""
        return self.page.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """Return the report of a scene with nodata, and of one without a reference."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        small_tiles(patch)
        found = _made(folder)
    yield found


def _made(folder: Path) -> Made:
    write = raster_writer(folder)
    model = small_model(folder, write)
    pixels = waves(3, HEIGHT, WIDTH, 9)
    valid = np.ones((HEIGHT, WIDTH), bool)
    valid[20:60, 60:120] = False
    scene = write("scene.tif", pixels, valid=valid, tiled=True)
    truth = write("truth.tif", pixels[:2] // 2 + 41, tiled=True)
    alone = write("alone.tif", pixels[:, :90, :70])
    page = model.report(folder / "report.html", [(scene, truth), alone], progress=False)
    return Made(page, model, scene, truth)


@pytest.fixture
def model(tmp_path: Path, write_raster: WriteRaster) -> Pix2Pix:
    """Return an untrained model with its data."""
    return small_model(tmp_path, write_raster)
