"""Maps of results in notebooks, with the real packages."""

from __future__ import annotations

import os
import sys
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from geotranslate.errors import GeotranslateError, InvalidInputError, MissingPackageError
from geotranslate.raster.pipeline import (
    TranslatedRaster,
    exploring,
    thumbnail,
    translate_raster,
)
from tests.conftest import GRIDS, WriteRaster, values


def translated(scene: Path, **options: Any) -> TranslatedRaster:
    def apply(batch: Any) -> Any:
        return 255 - batch

    bands = options.pop("bands_out", 3)
    output = scene.with_name(f"{scene.stem}_out.tif")
    return translate_raster(scene, output, apply, bands_out=bands, progress=False, **options)


def answered(layer: Any, place: tuple[float, float], zoom: int) -> bytes:
    """Return the tile of a layer at a latitude and longitude."""
    lat, lon = place
    x = (lon + 180) / 360
    y = (1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2
    url = layer.url
    for name, value in (("z", zoom), ("x", int(x * 2**zoom)), ("y", int(y * 2**zoom))):
        url = url.replace(f"{{{name}}}", str(value))
    with urllib.request.urlopen(url) as answer:
        found: bytes = answer.read()
    return found


@pytest.mark.parametrize("truth", [False, True])
def test_a_map_compares_a_translation(write_raster: WriteRaster, truth: bool) -> None:
    from ipyleaflet import Map, SplitMapControl

    pixels = values((3, 90, 80), "uint8" if not truth else "int16")
    scene = write_raster("scene.tif", pixels, transform=GRIDS["rotated"])
    result = translated(scene)
    assert result.source == str(scene)
    shown = result.explore(*([scene] if truth else []))
    assert not {*exploring.GDAL_VARIABLES} & {*os.environ}
    assert isinstance(shown, Map)
    (control,) = (each for each in shown.controls if isinstance(each, SplitMapControl))
    names = control.left_layer.name, control.right_layer.name
    assert names == ("Truth" if truth else "Source", "Translation")
    assert "scene.tif" in control.left_layer.url
    assert "scene_out.tif" in control.right_layer.url
    for layer in (control.left_layer, control.right_layer):
        assert layer.url.startswith("http://127.0.0.1:")
        png = answered(layer, shown.center, 16)
        assert png.startswith(b"\x89PNG")
        with rasterio.MemoryFile(png) as memory, memory.open() as tile:
            assert tile.shape == (256, 256)
            assert np.ptp(tile.read(1)[tile.dataset_mask() > 0]) > 50
    # Nothing is loaded from elsewhere unless the user adds it.
    assert not shown.layers


def test_a_map_of_the_translation_alone(write_raster: WriteRaster) -> None:
    result = translated(write_raster("scene.tif", values((1, 40, 60), "uint8")), bands_out=1)
    alone = TranslatedRaster(result.path, result.grid)
    assert [layer.name for layer in alone.explore().layers] == ["Translation"]


def test_a_result_is_a_path(write_raster: WriteRaster) -> None:
    result = translated(write_raster("scene.tif", values((3, 40, 60), "uint8")))
    assert os.fspath(result) == str(result) == str(result.path)
    with rasterio.open(result) as dataset:
        assert dataset.count == 3


def test_refusals(write_raster: WriteRaster, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = values((3, 40, 60), "uint8")
    result = translated(write_raster("scene.tif", pixels))
    nowhere = write_raster("nowhere.tif", pixels, crs=None)
    with pytest.raises(InvalidInputError, match=r"nowhere.tif has no CRS, so it has no place"):
        result.explore(nowhere)
    with pytest.raises(GeotranslateError, match=r"gone.tif cannot be opened"):
        result.explore(nowhere.with_name("gone.tif"))
    with pytest.raises(GeotranslateError, match="explore has no argument 'target'"):
        result.explore(target=nowhere)

    monkeypatch.setitem(sys.modules, "localtileserver", None)
    with pytest.raises(
        MissingPackageError, match=r"needs localtileserver, .*pip install 'geotranslate\[map\]'"
    ):
        result.explore()


def test_pictures_keep_their_colors(write_raster: WriteRaster) -> None:
    pixels = np.full((3, 40, 60), 200, np.uint8)
    pixels[:, :, 30:] = 220
    with rasterio.MemoryFile(thumbnail(write_raster("a.tif", pixels))) as memory:
        with memory.open() as picture:
            assert set(np.unique(picture.read()[:3])) == {200, 220}
    with rasterio.MemoryFile(thumbnail(write_raster("b.tif", pixels[:1]))) as memory:
        with memory.open() as picture:
            assert set(np.unique(picture.read()[:1])) == {0, 255}
