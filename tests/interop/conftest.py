"""A small model and its ONNX file, which is written once for all tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from affine import Affine

from geotranslate import Pix2Pix, prepare_data
from tests.conftest import NORTH_UP, raster_writer


@pytest.fixture(scope="session")
def chips64(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of chips from three bands of uint8 to one of float32, in 10..20."""
    folder = tmp_path_factory.mktemp("chips64")
    write = raster_writer(folder)
    generator = np.random.default_rng(0)
    for chip in range(4):
        place = {"transform": NORTH_UP @ Affine.translation(64 * chip, 0)}
        source = generator.integers(0, 256, (3, 64, 64)).astype(np.uint8)
        write(f"images/{chip}.tif", source, **place)
        target = (10 + source.mean(0, keepdims=True) / 25.6).astype(np.float32)
        write(f"images2/{chip}.tif", target, **place)
    return folder


@pytest.fixture(scope="session")
def small_model(chips64: Path) -> Pix2Pix:
    """Return an untrained model that repeats pixels and whose last layer is not faint."""
    torch.manual_seed(0)
    data = prepare_data(chips64, num_workers=0)
    return Pix2Pix(data, recipe="seamless", generator="unet", depth=3, ngf=4)


@pytest.fixture(scope="session")
def onnx_file(small_model: Pix2Pix, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the ONNX file of the small model."""
    return small_model.export(tmp_path_factory.mktemp("onnx") / "model.onnx")
