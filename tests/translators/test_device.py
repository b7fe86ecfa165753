from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch

from geotranslate import Pix2Pix, load_model, prepare_data
from geotranslate.errors import InvalidInputError
from tests.conftest import WriteRaster, values

WriteChips = Callable[..., Path]


@pytest.mark.parametrize("device", ["gpu", "cuda:99", 1.5, "", "cuda:x", ["cpu"]])
def test_device_that_is_none_is_said(write_chips: WriteChips, device: Any) -> None:
    with pytest.raises(InvalidInputError, match="which torch does not find on this machine; give"):
        prepare_data(write_chips(), device=device)


def test_device_of_data_and_model_is_the_given_one(write_chips: WriteChips, tmp_path: Path) -> None:
    data = prepare_data(write_chips(), device="cpu")
    assert data.device == torch.device("cpu")
    folder = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4).save(tmp_path / "model")
    for device in ("cpu", torch.device("cpu"), None):
        model = load_model(folder, device=device)
        assert model.predictor.inference.device.type == "cpu" or device is None
    with pytest.raises(InvalidInputError, match="the data says where the model is; give device to"):
        load_model(folder, data, device="cpu")


def test_bands_of_a_scene_are_chosen(
    write_chips: WriteChips, write_raster: WriteRaster, tmp_path: Path
) -> None:
    data = prepare_data(write_chips(source=(3, "uint8")))
    model = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4)
    four = values((4, 64, 64), "uint8")
    write_raster("three.tif", four[[2, 0, 3]])
    write_raster("four.tif", four, names=("red", "green", "blue", "infrared"))
    usual = model.predict_raster("three.tif", progress=False)
    for number, bands in enumerate([(3, 1, 4), ["blue", "red", "infrared"], np.array([3, 1, 4])]):
        found = model.predict_raster("four.tif", f"{number}.tif", bands=bands, progress=False)
        with rasterio.open(found) as one, rasterio.open(usual) as other:
            np.testing.assert_array_equal(one.read(), other.read())
    for bands, said in (
        ((1, 2), "The choice of bands of .*four.tif has 2 bands but the model translates 3"),
        ("red", "The bands to use are 'red'; give a list"),
        ((1, 2, 5), "four.tif has no band 5"),
        (["red", "green", "nir"], "four.tif has no band 'nir'"),
    ):
        with pytest.raises(InvalidInputError, match=said):
            model.predict_raster("four.tif", "x.tif", bands=bands, progress=False)
