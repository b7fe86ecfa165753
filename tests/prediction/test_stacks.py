from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner

from geotranslate import Pix2Pix, prepare_data, stack
from geotranslate.cli import main
from geotranslate.errors import GeotranslateWarning, RasterFileError
from geotranslate.prediction.scenefiles import like_training
from geotranslate.raster.reader import RasterReader
from tests.conftest import NORTH_UP, WriteRaster, values

DATA: dict[str, Any] = {"num_workers": 0, "device": "cpu", "chip_size": 64}
TRANSLATE: dict[str, Any] = {"progress": False, "precision": "float32", "overwrite": True}


@pytest.fixture
def place(write_raster: WriteRaster, tmp_path: Path) -> Path:
    chance = np.random.default_rng(0)
    radar = chance.normal(-12, 4, (2, 128, 128)).astype("float32")
    radar[:, :20, :20] = np.nan
    write_raster("s1.tif", radar)
    heights = chance.integers(200, 900, (1, 64, 64), "int16")
    write_raster("dem.tif", heights, transform=NORTH_UP @ Affine.scale(2))
    write_raster("map.tif", values((3, 128, 128), "uint8"))
    return tmp_path


def model_of(place: Path, missing: Any) -> Pix2Pix:
    made = stack(place / "s1.tif", place / "dem.tif", missing=missing)
    return Pix2Pix(prepare_data(made, place / "map.tif", **DATA), recipe="seamless", ngf=4, ndf=4)


def test_a_translation_is_valid_where_the_stack_is(place: Path, tmp_path: Path) -> None:
    lost = []
    for missing in ("any", "ignore"):
        made = stack(place / "s1.tif", place / "dem.tif", missing=missing)
        output = model_of(place, missing).predict_raster(made, tmp_path / "o.tif", **TRANSLATE)
        with RasterReader(output) as written, RasterReader(made) as source:
            valid = written.read()[1]
            np.testing.assert_array_equal(valid, source.read()[1])
            lost.append(int((~valid).sum()))
            assert written.dataset.tags()["GEOTRANSLATE_SOURCE"] == "s1.tif+dem.tif"
    assert lost == [400, 0]


def test_texts_lists_and_pictures_are_translated_alike(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    model = model_of(place, "any")
    alone = model.predict_raster("s1.tif+dem.tif", **TRANSLATE)
    assert Path(alone).name == "s1_translated.tif"
    (listed,) = model.predict_raster(["s1.tif+dem.tif"], tmp_path / "out", **TRANSLATE)
    assert Path(alone).read_bytes() == Path(listed).read_bytes()
    with rasterio.open(alone) as dataset:
        written = dataset.read()
        valid = dataset.dataset_mask() > 0
    picture = model.predict("s1.tif+dem.tif")
    assert np.abs(picture[:, valid].astype(int) - written[:, valid].astype(int)).max() <= 1


def test_missing_layers_hold_the_means_of_the_training(place: Path) -> None:
    card = model_of(place, "all").predictor.card
    made = like_training(stack(place / "s1.tif", place / "dem.tif", missing="all"), card.source)
    with RasterReader(made) as source:
        data, _ = source.read()
    np.testing.assert_allclose(data[:2, 5, 5], card.source.mean[:2], rtol=1e-6)
    assert like_training("a.tif", card.source) == "a.tif"


def test_bands_are_matched_by_layer(place: Path, tmp_path: Path) -> None:
    model = model_of(place, "any")
    files = []
    for name, paths in (("a", ("s1.tif", "dem.tif")), ("b", ("dem.tif", "s1.tif"))):
        made = stack(*(place / path for path in paths), like=place / "s1.tif")
        output = model.predict_raster(made, tmp_path / f"{name}.tif", **TRANSLATE)
        with RasterReader(output) as written:
            files.append(written.read()[0])
    np.testing.assert_array_equal(*files)


def test_a_saved_model_translates_a_stack_on_the_command_line(place: Path) -> None:
    saved = model_of(place, "any").save(place / "model")
    scene = f"{place / 's1.tif'}+{place / 'dem.tif'}"
    done = CliRunner().invoke(main, ["predict", str(saved), scene, "--no-progress"])
    assert done.exit_code == 0, done.output
    assert (place / "s1_translated.tif").is_file()


def test_a_layer_that_is_gone_ends_in_a_sentence(place: Path, tmp_path: Path) -> None:
    model = model_of(place, "any")
    made = stack(place / "s1.tif", place / "dem.tif")
    (place / "dem.tif").unlink()
    with pytest.raises(RasterFileError, match=r"dem\.tif cannot be opened as a raster"):
        model.predict_raster(made, tmp_path / "o.tif", **TRANSLATE)


def test_a_stack_of_another_light_is_told_by_its_bands(place: Path, tmp_path: Path) -> None:
    model = model_of(place, "any")
    with rasterio.open(place / "dem.tif", "r+") as dataset:
        dataset.write(dataset.read() + 9000)
    with pytest.warns(GeotranslateWarning, match=r"s1\.tif\+dem\.tif .*band 3 .dem:1. ranges"):
        model.predict_raster(
            stack(place / "s1.tif", place / "dem.tif"), tmp_path / "o.tif", **TRANSLATE
        )
