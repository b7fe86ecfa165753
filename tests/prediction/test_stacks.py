from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from click.testing import CliRunner

from geotranslate import Pix2Pix, load_model, prepare_data, stack, stack_dates, stacks
from geotranslate.chips.bands import Quantiles, Side
from geotranslate.cli import main
from geotranslate.errors import GeotranslateWarning, RasterFileError
from geotranslate.prediction.inference import Inference
from geotranslate.prediction.scenefiles import like_training
from geotranslate.prediction.scenes.matching import map_to_training
from geotranslate.raster.reader import RasterReader
from geotranslate.raster.stack import Stack
from tests.children import Child
from tests.conftest import NORTH_UP, WriteRaster, values
from tests.raster.pipeline.test_resume import parts_of

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


def test_bytes_depend_on_neither_batches_nor_workers(place: Path, tmp_path: Path) -> None:
    model = model_of(place, "ignore")
    made = stack(place / "s1.tif", place / "dem.tif", missing="ignore")
    options = {**TRANSLATE, "tile_size": 64, "overlap": 16}
    found = {
        Path(
            model.predict_raster(made, tmp_path / "o.tif", batch_size=size, **options)
        ).read_bytes()
        for size in (1, 3)
    }
    with ThreadPoolExecutor(2) as executor:
        output = model.predict_raster(made, tmp_path / "o.tif", executor=executor, **options)
    assert found == {Path(output).read_bytes()}


def test_items_of_another_year_are_translated(place: Path, tmp_path: Path) -> None:
    def items(year: int) -> list[dict[str, Any]]:
        assets = {name: {"href": str(place / f"{name}.tif")} for name in ("s1", "map")}
        return [
            {
                "id": str(month),
                "assets": assets,
                "properties": {"datetime": f"{year}-{month:02}-01"},
            }
            for month in (6, 5)
        ]

    # The rasters of both dates are the same here, but not their paths.
    for name in ("s1", "map"):
        (place / f"{name}_5.tif").write_bytes((place / f"{name}.tif").read_bytes())
    old, new = items(2025), items(2026)
    for each in (old[1], new[1]):
        each["assets"] = {"s1": {"href": str(place / "s1_5.tif")}}
    data = prepare_data(stack_dates(old, "s1"), place / "map.tif", **DATA)
    assert data.card.source.band_names[::2] == ("s1_2025-05-01:1", "s1_2025-06-01:1")
    model = Pix2Pix(data, ngf=4, ndf=4)
    one = model.predict_raster(stack_dates(old, "s1"), tmp_path / "one.tif", **TRANSLATE)
    other = model.predict_raster(stack_dates(new, "s1"), tmp_path / "two.tif", **TRANSLATE)
    with RasterReader(one) as first, RasterReader(other) as second:
        np.testing.assert_array_equal(first.read()[0], second.read()[0])


def test_a_table_of_layers_is_translated(place: Path, tmp_path: Path) -> None:
    frame = gpd.GeoDataFrame(
        {"s1": [str(place / "s1.tif")], "dem": [str(place / "dem.tif")]},
        geometry=[shapely.Point(0, 0)],
    )
    model = model_of(place, "any")
    (output,) = model.predict_raster(stacks(frame, ["s1", "dem"]), tmp_path / "out", **TRANSLATE)
    alone = model.predict_raster(
        stack(place / "s1.tif", place / "dem.tif"), tmp_path / "o.tif", **TRANSLATE
    )
    assert Path(output).name == "s1_translated.tif"
    assert Path(output).read_bytes() == Path(alone).read_bytes()


def test_layers_that_training_never_lacked_are_no_drift(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    """Warnings are errors here."""
    chance = np.random.default_rng(0)
    radar = chance.normal(-12, 4, (1, 128, 128)).astype("float32")
    optical = chance.integers(40, 90, (1, 128, 128), "uint8")
    layers = [write_raster("s1.tif", radar), write_raster("rgb.tif", optical, nodata=0)]
    target = write_raster("map.tif", values((1, 128, 128), "uint8"))
    whole = stack(*layers, missing="ignore")
    data = prepare_data(whole, target, layer_dropout=0.3, **DATA)
    assert data.card.source.extent[3] == (1, 1)
    model = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4)
    optical[0, :90] = 0
    write_raster("rgb.tif", optical, nodata=0)
    cloudy = stack(*layers, missing="ignore")
    for match in (None, "training"):
        output = model.predict_raster(cloudy, tmp_path / "o.tif", match=match, **TRANSLATE)
        drift = output.drift
        assert drift is not None
        assert len(drift.bands) == 2
        assert max(drift.bands) < 1.5


def test_matching_leaves_the_validity_of_layers_as_it_is() -> None:
    names = ("s1:1", "s1:valid")
    sample = np.stack([np.linspace(0, 9, 50), np.ones(50)])
    side = SimpleNamespace(quantiles=Quantiles.of(sample), fixed_bands=(names.index("s1:valid"),))
    cloudy = np.stack([np.linspace(5, 30, 50), np.repeat([0, 1], 25)])
    mapped = map_to_training(Quantiles.of(cloudy), cast("Side", side))
    assert mapped is not None
    found = mapped(cloudy[:, None])
    np.testing.assert_allclose(found[1, 0], cloudy[1], atol=1e-6)
    assert found[0].max() == pytest.approx(9, abs=0.1)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_prediction_of_a_stack_goes_on_to_the_same_bytes(
    place: Path, write_raster: WriteRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geotranslate.raster.pipeline.planning.part_height", lambda *_: 256)
    model = model_of(place, "ignore")
    saved = model.save(place / "model")
    radar = np.random.default_rng(1).normal(-12, 4, (2, 600, 90)).astype("float32")
    radar[:, 200:300, 20:40] = np.nan
    heights = np.random.default_rng(2).integers(200, 900, (1, 400, 60), "int16")
    grid = NORTH_UP @ Affine.translation(-3, 2) @ Affine.scale(1.7)
    layers = [write_raster("s1_b.tif", radar), write_raster("dem_b.tif", heights, transform=grid)]
    made = stack(*layers, names=["s1", "dem"], missing="ignore")
    options = {**TRANSLATE, "tile_size": 64, "overlap": 16}
    whole = model.predict_raster(made, tmp_path / "whole.tif", **options)
    output = tmp_path / "o.tif"
    with Child(tmp_path / "printed.txt", predict_until, saved, made, output, 3) as process:
        process.wait_for(lambda: "stopped\n" in process.log.read_text())
        process.wait_for(lambda: parts_of(output))
    assert not output.exists()
    model.predict_raster(made, output, **{**options, "resume": True, "overwrite": False})
    assert output.read_bytes() == Path(whole).read_bytes()


def predict_until(saved: Path, made: Stack, output: Path, batches: int) -> None:
    """Translate a stack with a saved model, and stop for a long time at a batch."""
    translate, left = Inference.__call__, batches

    def stopping(self: Inference, *args: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            print("stopped", flush=True)  # noqa: T201
            time.sleep(3600)
        return translate(self, *args)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("geotranslate.raster.pipeline.planning.part_height", lambda *_: 256)
        patched.setattr(Inference, "__call__", stopping)
        options = {**TRANSLATE, "tile_size": 64, "overlap": 16, "batch_size": 8}
        load_model(saved).predict_raster(made, output, **options)
