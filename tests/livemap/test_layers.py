"""Layers are drawn in the colors of their values."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from numpy.typing import NDArray
from PIL import Image
from rasterio.warp import transform
from rio_tiler.models import ImageData

from geotranslate import Pix2Pix, prepare_data
from geotranslate.livemap import layers
from geotranslate.livemap.layers import FileLayer, Look, file_layer
from geotranslate.raster.reader import RasterReader
from tests.conftest import NORTH_UP, WriteRaster, values
from tests.translators.conftest import NUMBERS, WriteMaps, write_maps

__all__ = ["write_maps"]


def rgba(png: bytes | None) -> NDArray[np.uint8]:
    assert png is not None
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def layer_of(path: Path) -> FileLayer:
    with RasterReader(path) as reader:
        return file_layer("Source", str(path), reader)


def tile_of(layer: FileLayer, zoom: int = 16) -> NDArray[np.uint8]:
    """Return the map tile at the center of a raster on the usual grid."""
    (lon,), (lat,) = transform("EPSG:32633", "EPSG:4326", [NORTH_UP.c + 90], [NORTH_UP.f - 90])
    x = (lon + 180) / 360
    y = (1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2
    return rgba(layer.png(int(x * 2**zoom), int(y * 2**zoom), zoom))


@pytest.mark.filterwarnings("ignore::geotranslate.errors.GeotranslateWarning")
def test_classes_have_their_own_colors(write_maps: WriteMaps) -> None:
    torch.manual_seed(0)
    folder = write_maps(gaps=False)
    data = prepare_data(folder, direction="BtoA", target_classes=True)
    side = Pix2Pix(data, ngf=4, ndf=4).card.target
    look = Look.of_side(side, 1)
    assert set(look.colors) == set(NUMBERS)
    assert look.exact
    numbers = np.array([[NUMBERS]], np.uint8)
    drawn = rgba(look.png(ImageData(np.ma.MaskedArray(numbers, numbers == 30))))[0]
    assert drawn[:, 3].tolist() == [0 if value == 30 else 255 for value in NUMBERS]
    assert all(tuple(drawn[i]) == look.colors[v] for i, v in enumerate(NUMBERS) if v != 30)
    unknown = replace(side, classes=replace(side.classes, values=()))  # type: ignore[type-var]
    assert len(Look.of_side(unknown, 1).colors) == 256


def test_color_tables_are_kept(write_raster: WriteRaster) -> None:
    colors = {1: (250, 10, 20, 255), 2: (30, 240, 40, 255)}
    pixels = np.ones((1, 90, 90), np.uint8)
    pixels[:, :, 45:] = 2
    found = tile_of(layer_of(write_raster("a.tif", pixels, colormap=colors)))
    shown = {tuple(color) for color in found[found[..., 3] > 0].tolist()}
    assert shown == set(colors.values())


@pytest.mark.parametrize("dtype", ["int16", "float32", "uint16"])
def test_other_dtypes_are_stretched(write_raster: WriteRaster, dtype: str) -> None:
    pixels = (np.arange(90 * 90).reshape(1, 90, 90) % 1000 + 200).astype(dtype)
    layer = layer_of(write_raster("a.tif", pixels))
    assert 200 <= layer.look.low[0] < 250
    assert 1150 < layer.look.high[0] < 1200
    found = tile_of(layer)
    assert np.ptp(found[..., 0][found[..., 3] > 0].astype(int)) > 240


def test_bytes_are_drawn_as_they_are(write_raster: WriteRaster) -> None:
    pixels = np.full((4, 90, 90), 7, np.uint8)
    pixels[1], pixels[2] = 77, 177
    found = tile_of(layer_of(write_raster("a.tif", pixels)))
    assert {tuple(color) for color in found[found[..., 3] > 0].tolist()} == {(7, 77, 177, 255)}


def test_rasters_without_a_valid_pixel_are_drawn(write_raster: WriteRaster) -> None:
    pixels = np.full((1, 90, 90), -1, np.int16)
    assert not tile_of(layer_of(write_raster("a.tif", pixels, nodata=-1)))[..., 3].any()


def test_files_without_overviews_are_not_read_whole(
    write_raster: WriteRaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_raster("a.tif", values((1, 300, 300), "uint8"))
    layer = layer_of(path)
    monkeypatch.setattr(layers, "MOST_READ", 200 * 200)
    (lon,), (lat,) = transform("EPSG:32633", "EPSG:4326", [NORTH_UP.c], [NORTH_UP.f])
    y = (1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2
    place = (int((lon + 180) / 360 * 2**10), int(y * 2**10), 10)
    assert layer.png(*place) is None
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2])
    assert layer.png(*place) is not None
