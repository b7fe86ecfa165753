"""What a target says of its bands goes through chips and model to the translated scene."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from geotranslate import Pix2Pix, export_chips, load_model, prepare_data
from geotranslate.errors import ModelFileError
from geotranslate.raster.bandfacts import BandFacts
from tests.conftest import WriteRaster, values

OPTIONS: dict[str, Any] = {"progress": False, "precision": "float32"}
TABLE = {0: (10, 20, 30, 255), 1: (255, 0, 0, 255), 7: (0, 90, 0, 255)}


@pytest.fixture
def scene(write_raster: WriteRaster) -> Path:
    return write_raster("scene.tif", values((1, 128, 192), "uint8"))


@pytest.fixture
def measured(write_raster: WriteRaster) -> Path:
    """Return a target of two bands of which all is known."""
    data = values((2, 128, 192), "uint16") % 1000
    path = write_raster("measured.tif", data, names=("height", "nir"), nodata=65535)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = (0.01, 0.01), (-100.0, 0.0)
        dataset.units = ("m", "m")
        dataset.colorinterp = [ColorInterp.undefined, ColorInterp.nir]
    return path


def trained_on(scene: Path, target: Path, folder: Path, *, by_chips: bool) -> Pix2Pix:
    """Return a model of drawn weights that came from exported chips, or from the rasters."""
    if by_chips:
        export_chips(scene, target, folder / "chips", tile_size=64, progress=False)
        assert not list((folder / "chips").rglob("*.aux.xml"))
        return Pix2Pix(prepare_data(folder / "chips"), recipe="seamless", ngf=4, lambda_gan=0)
    return Pix2Pix(
        prepare_data(scene, target, chip_size=64), recipe="seamless", ngf=4, lambda_gan=0
    )


@pytest.mark.parametrize("by_chips", [True, False])
@pytest.mark.parametrize("tta", [False, "std"])
def test_scale_offset_unit_and_colour_reach_the_output(
    scene: Path, measured: Path, tmp_path: Path, by_chips: bool, tta: Any
) -> None:
    model = trained_on(scene, measured, tmp_path, by_chips=by_chips)
    saved = model.save(tmp_path / "model")
    facts = json.loads((saved / "card.json").read_text())["data"]["target"]["band_facts"]
    assert facts == {
        "scales": [0.01, 0.01],
        "offsets": [-100.0, 0.0],
        "units": ["m", "m"],
        "colors": ["undefined", "nir"],
    }
    output = load_model(saved).predict_raster(scene, tmp_path / "o.tif", tta=tta, **OPTIONS)
    bands = 2 + (tta == "std")
    with rasterio.open(output) as dataset:
        assert dataset.scales == (0.01,) * bands
        assert dataset.offsets == (-100.0, 0.0, 0.0)[:bands]
        assert dataset.units == ("m",) * bands
        assert [color.name for color in dataset.colorinterp[:2]] == ["undefined", "nir"]
        assert dataset.descriptions == ("height", "nir", "standard deviation")[:bands]
        assert (dataset.nodata, dataset.dtypes[0]) == (65535, "uint16")


@pytest.mark.parametrize("photometric", ["RGB", "MINISBLACK"])
def test_pictures_stay_pictures_and_others_do_not_become_them(
    scene: Path, write_raster: WriteRaster, tmp_path: Path, photometric: str
) -> None:
    data = values((3, 128, 192), "uint8", 1)
    target = write_raster("target.tif", data, photometric=photometric)
    model = trained_on(scene, target, tmp_path, by_chips=True)
    output = model.predict_raster(scene, tmp_path / "o.tif", **OPTIONS)
    with rasterio.open(target) as before, rasterio.open(output) as after:
        assert after.colorinterp == before.colorinterp


@pytest.mark.parametrize("dtype", [None, "uint16", "int16", "float32"])
def test_colour_table_of_classes_reaches_an_output_that_can_have_one(
    scene: Path, write_raster: WriteRaster, tmp_path: Path, dtype: str | None
) -> None:
    classes = np.array([1, 7], np.uint8)[values((1, 128, 192), "uint8") % 2]
    target = write_raster("classes.tif", classes, colormap=TABLE)
    model = load_model(trained_on(scene, target, tmp_path, by_chips=True).save(tmp_path / "model"))
    output = model.predict_raster(scene, tmp_path / "o.tif", dtype=dtype, **OPTIONS)
    with rasterio.open(output) as dataset:
        colored = dtype in (None, "uint16")
        expected = ColorInterp.palette if colored else ColorInterp.gray
        assert dataset.colorinterp == (expected,)
        if colored:
            table = dataset.colormap(1)
            assert {value: table[value] for value in TABLE} == TABLE


def test_quantities_with_a_colour_table_lose_it(
    scene: Path, write_raster: WriteRaster, tmp_path: Path
) -> None:
    target = write_raster("t.tif", values((1, 128, 192), "uint8"), colormap=TABLE)
    data = prepare_data(scene, target, chip_size=64, target_classes=False)
    model = Pix2Pix(data, recipe="seamless", ngf=4, lambda_gan=0)
    output = model.predict_raster(scene, tmp_path / "o.tif", tta="std", **OPTIONS)
    with rasterio.open(output) as dataset:
        assert dataset.colorinterp[0] is ColorInterp.gray


def test_plain_targets_make_plain_outputs(
    fresh_model: Pix2Pix, write_raster: WriteRaster, tmp_path: Path
) -> None:
    assert fresh_model.card.target.band_facts == BandFacts(colors=("gray",))
    scene = write_raster("rgb.tif", values((3, 70, 70), "uint8"))
    with rasterio.open(fresh_model.predict_raster(scene, **OPTIONS)) as dataset:
        assert (dataset.scales, dataset.offsets, dataset.units) == ((1.0,), (0.0,), (None,))
        assert dataset.colorinterp == (ColorInterp.gray,)


def test_card_without_these_facts_is_said_to_be_damaged(
    fresh_model: Pix2Pix, tmp_path: Path
) -> None:
    card = fresh_model.save(tmp_path / "model") / "card.json"
    content = json.loads(card.read_text())
    del content["data"]["target"]["band_facts"]
    card.write_text(json.dumps(content))
    with pytest.raises(ModelFileError, match=r"target\.band_facts is missing; give it\)\. Save or"):
        load_model(card)
