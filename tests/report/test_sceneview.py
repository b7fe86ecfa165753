"""Pictures of scenes: the levels that fit, memory, and sources of other pixel sizes."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from affine import Affine
from rasterio.windows import Window

from geotranslate import Pix2Pix
from geotranslate.raster.reader import RasterReader
from geotranslate.report.scenelayers import SourceLayer
from geotranslate.report.sceneview import SceneRasters, view_scene
from tests.conftest import NORTH_UP, WriteRaster
from tests.report.conftest import small_tiles, waves


def test_memory_does_not_grow_with_the_height(
    model: Pix2Pix, write_raster: WriteRaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_tiles(monkeypatch)
    peaks = []
    for height in (300, 1500):
        pixels = np.tile(waves(3, 300, 128), (1, height // 300, 1))
        names = [f"{name}{height}.tif" for name in ("scene", "made", "truth")]
        files = [
            write_raster(name, pixels[:bands], tiled=True, blockxsize=64, blockysize=64)
            for name, bands in zip(names, (3, 2, 2), strict=True)
        ]
        rasters = SceneRasters(files[0], (1, 2, 3), files[1], model.card, files[2])
        tracemalloc.start()
        view = view_scene(rasters, 16_000, None)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert view.finest and view.step > 1
    assert peaks[1] <= 1.1 * peaks[0]


@pytest.mark.parametrize("factor", [Fraction(3), Fraction(1, 2), Fraction(1)])
def test_sources_lie_on_the_grid_of_their_translation(
    write_raster: WriteRaster, factor: Fraction
) -> None:
    pixels = waves(1, 24, 30)
    valid = np.ones((24, 30), bool)
    valid[4, 6] = False
    scene = write_raster("scene.tif", pixels, valid=valid)
    height, width = int(24 * factor), int(30 * factor)
    if factor < 1:
        expected = pixels.reshape(1, 12, 2, 15, 2).mean((2, 4)).astype("uint8")
        known = valid.reshape(12, 2, 15, 2).all((1, 3))
    else:
        expected = pixels.repeat(int(factor), 1).repeat(int(factor), 2)
        known = valid.repeat(int(factor), 0).repeat(int(factor), 1)
    with RasterReader(scene) as reader:
        layer = SourceLayer(reader, factor)
        for row, col in ((0, 0), (3, 7), (height - 5, width - 6)):
            data, seen = layer.read(Window(col, row, 6, 5))
            at = np.s_[row : row + 5, col : col + 6]
            assert (seen == known[at]).all()
            assert (data[:, seen] == expected[:, at[0], at[1]][:, seen]).all()


def test_finer_translations_have_a_view(model: Pix2Pix, write_raster: WriteRaster) -> None:
    scene = write_raster("scene.tif", waves(3, 30, 40))
    fine = NORTH_UP @ Affine.scale(0.5)
    made = write_raster("made.tif", waves(2, 60, 80), transform=fine)
    card = replace(model.card, factor=Fraction(2))
    view = view_scene(SceneRasters(scene, (1, 2, 3), made, card), 10**6, None)
    assert view.data["sizes"] == [[60, 80]] and [each.key for each in view.pictures] == [
        "source",
        "translation",
    ]
