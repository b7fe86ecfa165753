"""Translators that are trained on stacks, on one side or on both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine

from geotranslate import CycleGAN, load_model, prepare_data, stack
from geotranslate.raster.reader import RasterReader
from tests.conftest import NORTH_UP, WriteRaster, values

# So few steps leave a network that gives one color.
pytestmark = pytest.mark.filterwarnings("ignore:Epoch .* has collapsed")
DATA: dict[str, Any] = {"num_workers": 0, "device": "cpu", "chip_size": 32, "batch_size": 2}
SMALL: dict[str, Any] = {"gen_blocks": 1, "ngf": 2, "ndf": 2, "n_layers": 1}
FIT: dict[str, Any] = {"progress": False, "checkpoint": False, "precision": "float32"}
TRANSLATE: dict[str, Any] = {"progress": False, "precision": "float32"}


@pytest.fixture
def sides(write_raster: WriteRaster) -> dict[str, Any]:
    """Return stacks of radar and heights and of an image and its infrared, and a single raster."""
    chance = np.random.default_rng(0)
    radar = chance.normal(-12, 4, (2, 64, 96)).astype("float32")
    radar[:, :9, :9] = np.nan
    heights = chance.integers(200, 900, (1, 32, 48), "int16")
    twice = NORTH_UP @ Affine.scale(2)
    radar_and_heights = (
        write_raster("s1.tif", radar),
        write_raster("dem.tif", heights, transform=twice),
    )
    image = (
        write_raster("rgb.tif", values((3, 64, 96), "uint8")),
        write_raster("nir.tif", values((1, 32, 48), "uint8"), transform=twice),
    )
    return {
        "radar": stack(*radar_and_heights, missing="ignore"),
        "image": stack(*image),
        "alone": image[0],
    }


@pytest.mark.parametrize(
    ("source", "target", "paired"),
    [
        ("radar", "image", False),
        pytest.param("radar", "alone", False, marks=pytest.mark.slow),
        pytest.param("alone", "radar", True, marks=pytest.mark.slow),
    ],
)
def test_a_cyclegan_takes_stacks_on_each_side(
    sides: dict[str, Any], tmp_path: Path, source: str, target: str, paired: bool
) -> None:
    dropout = 0.3 if source == "radar" else 0
    data = prepare_data(sides[source], sides[target], paired=paired, layer_dropout=dropout, **DATA)
    model = CycleGAN(data, **SMALL)
    model.fit(1, **FIT)
    again = load_model(model.save(tmp_path / "model"))
    for direction, here, there in (("AtoB", source, target), ("BtoA", target, source)):
        name = tmp_path / f"{direction}.tif"
        written = model.predict_raster(sides[here], name, direction=direction, **TRANSLATE)
        with RasterReader(written) as output, RasterReader(sides[here]) as scene:
            with RasterReader(sides[there]) as other:
                assert output.band_names == other.band_names
            assert output.grid.matches(scene.grid)
            np.testing.assert_array_equal(output.read()[1], scene.read()[1])
        loaded = again.predict_raster(
            sides[here], tmp_path / f"{direction}_2.tif", direction=direction, **TRANSLATE
        )
        assert Path(loaded).read_bytes() == Path(written).read_bytes()
