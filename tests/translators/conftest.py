"""A model of networks that are small, with weights as they are drawn; maps of classes."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from affine import Affine
from numpy.typing import NDArray

from geotranslate import Pix2Pix, prepare_data
from tests.conftest import NORTH_UP, WriteRaster

WriteMaps = Callable[..., Path]
NUMBERS = (10, 20, 30, 95)


@pytest.fixture
def fresh_model(write_chips: Callable[..., Path]) -> Pix2Pix:
    """Return an untrained Pix2Pix of 3 to 1 bands of uint8 and chips of 64 px."""
    torch.manual_seed(0)
    return Pix2Pix(prepare_data(write_chips()), recipe="seamless", ngf=4, ndf=4)


def patches(side: int, seed: int, numbers: Sequence[int] = NUMBERS) -> NDArray[np.uint8]:
    """Return a map `(1, side, side)` of patches of 8 px."""
    places = np.random.default_rng(seed).integers(0, len(numbers), (-(-side // 8), -(-side // 8)))
    grown = places.repeat(8, 0).repeat(8, 1)[:side, :side]
    return np.array(numbers)[grown].astype(np.uint8)[None]


@pytest.fixture
def write_maps(write_raster: WriteRaster, tmp_path: Path) -> WriteMaps:
    """Return a function that writes maps and what they look like, with gaps of nodata 0."""

    def write(
        name: str = "maps", numbers: Sequence[int] = NUMBERS, *, gaps: bool = True, **options: Any
    ) -> Path:
        looks = np.random.default_rng(9).integers(0, 255, (3, len(numbers)))
        for chip in range(5):
            classes = patches(64, chip, range(len(numbers)))[0]
            source = np.array(numbers)[classes].astype(np.uint8)[None]
            if gaps:
                source[0, 5:20, 3:30] = 0
            place = {"transform": NORTH_UP @ Affine.translation(64 * chip, 0)}
            write_raster(f"{name}/images/{chip}.tif", source, nodata=0, **place, **options)
            target = looks[:, classes].astype(np.uint8)
            write_raster(f"{name}/images2/{chip}.tif", target, **place)
        return tmp_path / name

    return write


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list of what was asked of the network, which answers nothing."""
    asked: list[str] = []

    def refuse(*place: Any, **_: Any) -> None:
        asked.append(str(place))
        raise PermissionError("no network")

    for name in ("getaddrinfo", "create_connection"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return asked
