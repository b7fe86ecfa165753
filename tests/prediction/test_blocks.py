"""Blocks of a scene that a model translates on demand are the pixels of `predict_raster`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch

from geotranslate import Pix2Pix, prepare_data
from geotranslate.errors import InvalidInputError
from geotranslate.prediction.blocks import open_blocks
from tests.conftest import GRIDS, WriteRaster, values
from tests.raster.pipeline.test_sceneblocks import assembled
from tests.translators.conftest import WriteMaps

pytestmark = pytest.mark.filterwarnings("ignore::geotranslate.errors.GeotranslateWarning")


def check(model: Pix2Pix, scene: Path, output: Path, **options: Any) -> None:
    """Fail if the blocks of a scene are not what `predict_raster` writes."""
    options = {"precision": "float32", "progress": False, **options}
    with rasterio.open(model.predict_raster(scene, output, **options)) as written:
        expected, known = written.read(), written.dataset_mask() > 0
        with open_blocks(model.predictor, scene, **options) as blocks:
            data, valid = assembled(blocks)
            assert blocks.grid.transform == written.transform
    assert data.tobytes() == expected.tobytes()
    np.testing.assert_array_equal(valid, known)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tile_size": "chip"},
        {"tile_size": 64, "blend": "hann"},
        {"tile_size": 64, "norm_stats": "scene"},
        {"tile_size": 64, "norm_stats": "smooth"},
        {"tile_size": 64, "match": "training"},
    ],
    ids=str,
)
def test_blocks_are_the_translation(
    fresh_model: Pix2Pix, write_raster: WriteRaster, tmp_path: Path, options: dict[str, Any]
) -> None:
    pixels = values((3, 90, 110), "uint8")
    pixels[:, 30:60, 60:] = 0
    scene = write_raster("scene.tif", pixels, transform=GRIDS["rotated"], nodata=0)
    check(fresh_model, scene, tmp_path / "out.tif", **options)


def test_blocks_of_classes_are_the_translation(write_maps: WriteMaps, tmp_path: Path) -> None:
    torch.manual_seed(0)
    data = prepare_data(write_maps(gaps=False), direction="BtoA", target_classes=True)
    model = Pix2Pix(data, ngf=4, ndf=4)
    check(model, tmp_path / "maps" / "images2" / "0.tif", tmp_path / "out.tif", tile_size=64)


def test_arguments_are_checked(fresh_model: Pix2Pix, write_raster: WriteRaster) -> None:
    scene = write_raster("scene.tif", values((2, 90, 80), "uint8"))
    with (
        pytest.raises(InvalidInputError, match="2 bands but the model translates 3"),
        open_blocks(fresh_model.predictor, scene),
    ):
        raise AssertionError
    with (
        pytest.raises(InvalidInputError, match="tile_size is 1 but"),
        open_blocks(fresh_model.predictor, scene, tile_size=1),
    ):
        raise AssertionError
