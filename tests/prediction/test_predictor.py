"""What `predict_raster` asks of `translate_raster`."""

from __future__ import annotations

import json
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import torch
from shapely.geometry import Point, box

import geotranslate
from geotranslate import Pix2Pix, load_model
from geotranslate.chips.bands.classes import Classes
from geotranslate.errors import (
    GeotranslateError,
    InvalidInputError,
    OutputExistsError,
    RasterFileError,
)
from geotranslate.prediction import translation
from geotranslate.prediction.inference import Inference
from geotranslate.prediction.tta import Symmetric
from geotranslate.prediction.workers import SavedModel
from geotranslate.raster.grid import Grid
from geotranslate.raster.pipeline.result import TranslatedRaster
from geotranslate.raster.pipeline.translate_options import TranslateOptions
from tests.conftest import NORTH_UP, WriteRaster, values


class Elsewhere:
    """An executor that is never asked."""

    def submit(self) -> None:
        raise AssertionError


ELSEWHERE = Elsewhere()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Return what `translate_raster` is called with; it writes the tags into an empty raster."""
    asked: list[dict[str, Any]] = []

    def translate(
        source: Any, output: Path, apply: Any, chosen: TranslateOptions
    ) -> TranslatedRaster:
        options = vars(chosen.tiling) | vars(chosen.running)
        options |= {**vars(chosen.writing), "bands_out": chosen.writing.bands}
        options |= vars(chosen.reading)
        asked.append({"source": os.fspath(source), "output": output, "apply": apply, **options})
        asked[-1]["training"] = getattr(getattr(apply, "generator", None), "training", None)
        if isinstance(apply, SavedModel):
            asked[-1]["found"] = pickle.loads(pickle.dumps(apply))(TILES)
        with rasterio.open(output, "w", "GTiff", 9, 9, 1, None, NORTH_UP, "uint8") as written:
            written.update_tags(**options["tags"])
        return TranslatedRaster(output, Grid(None, NORTH_UP, 9, 9))

    monkeypatch.setattr(translation, "translate", translate)
    return asked


TILES = values((2, 3, 64, 64), "uint8").astype(np.float32)


@pytest.fixture
def scene(write_raster: WriteRaster) -> Path:
    return write_raster("scene.tif", values((3, 90, 80), "uint8"))


def test_plain_call_asks_for_what_the_card_says(
    fresh_model: Pix2Pix, scene: Path, calls: list[dict[str, Any]]
) -> None:
    fresh_model.pair.train()
    result = fresh_model.predict_raster(scene, precision="float32")
    (call,) = calls
    assert result.path == scene.with_name("scene_translated.tif")
    assert call["source"] == str(scene)
    assert isinstance(call["apply"], Inference)
    assert call["training"] is False
    assert fresh_model.pair.training
    assert fresh_model.pair.generator.training
    expected = {
        "bands": (1, 2, 3),
        "bands_out": 1,
        "aoi": None,
        "bbox": None,
        # The whole scene, in whole strides.
        "tile_size": 128,
        "overlap": None,
        "padding": None,
        "blend": "auto",
        "batch_size": 2,
        "dtype": "uint8",
        "nodata": None,
        "categorical": False,
        "driver": "COG",
        "overwrite": False,
        "resume": False,
        "executor": None,
        "part": None,
        "max_memory": None,
        "progress": True,
    }
    assert {name: call[name] for name in expected} == expected
    assert call["fill"] == fresh_model.card.source.mean


def test_arguments_reach_the_pipeline(
    fresh_model: Pix2Pix, scene: Path, calls: list[dict[str, Any]]
) -> None:
    given = {
        "bbox": (500_000.0, 4_999_900.0, 500_100.0, 5_000_000.0),
        "tile_size": 128,
        "overlap": 16,
        "padding": 8,
        "batch_size": 3,
        "blend": "hann",
        "dtype": "int16",
        "nodata": -1.0,
        "driver": "GTiff",
        "overwrite": True,
        "resume": True,
        "part": (2, 8),
        "max_memory": 10**9,
        "progress": False,
    }
    fresh_model.predict_raster(scene, scene.with_name("o.tif"), **given)
    assert {name: calls[0][name] for name in given} == given


def test_classes_are_passed_on_as_such(
    fresh_model: Pix2Pix, scene: Path, calls: list[dict[str, Any]]
) -> None:
    card = fresh_model.card
    fresh_model.predictor.inference.card = replace(
        card, target=replace(card.target, classes=Classes((0, 1, 2), None))
    )
    fresh_model.predict_raster(scene)
    assert calls[0]["categorical"] is True
    with pytest.raises(InvalidInputError, match="targets are classes, whose numbers have no mean"):
        fresh_model.predict_raster(scene, tta=True)


def test_area_comes_in_the_crs_of_the_scene(
    fresh_model: Pix2Pix, scene: Path, calls: list[dict[str, Any]]
) -> None:
    square = box(500_010, 4_999_900, 500_090, 4_999_990)
    frame = gpd.GeoDataFrame(geometry=[square], crs="EPSG:32633").to_crs("EPSG:4326")
    frame.to_file(scene.with_name("area.geojson"))
    for aoi in (square, frame, frame.geometry, scene.with_name("area.geojson")):
        fresh_model.predict_raster(scene, aoi=aoi)
        assert calls[-1]["aoi"].symmetric_difference(square).area < 1


def test_area_elsewhere_is_said(fresh_model: Pix2Pix, scene: Path) -> None:
    with pytest.raises(
        InvalidInputError, match=r"aoi does not touch .*scene\.tif; give an area on"
    ):
        fresh_model.predict_raster(scene, aoi=box(0, 0, 1, 1))


@pytest.mark.parametrize("tta", [True, "std"])
def test_augmentation_wraps_the_inference(
    fresh_model: Pix2Pix, scene: Path, calls: list[dict[str, Any]], tta: Any
) -> None:
    fresh_model.predict_raster(scene, tta=tta)
    (call,) = calls
    assert isinstance(call["apply"], Symmetric)
    bands = 1 + (tta == "std")
    assert call["bands_out"] == bands == call["apply"](TILES).shape[1]
    assert call["band_names"] == (*fresh_model.card.target.band_names, "standard deviation")[:bands]


def test_unknown_augmentation_is_said(fresh_model: Pix2Pix, scene: Path) -> None:
    with pytest.raises(InvalidInputError, match="tta is 'mean'; give True, False or \"std\""):
        fresh_model.predict_raster(scene, tta="mean")


def test_tags_say_who_made_it_and_how(
    fresh_model: Pix2Pix, scene: Path, calls: list[dict[str, Any]]
) -> None:
    fresh_model.predict_raster(scene, precision="float32", overlap=5)
    tags = calls[0]["tags"]
    assert tags["GEOTRANSLATE_VERSION"] == geotranslate.__version__
    assert tags["GEOTRANSLATE_MODEL"] == "Pix2Pix"
    assert tags["GEOTRANSLATE_WEIGHTS_SHA256"] == fresh_model.digest()
    assert tags["GEOTRANSLATE_SOURCE"] == "scene.tif"
    parameters = json.loads(tags["GEOTRANSLATE_PARAMETERS"])
    assert (parameters["overlap"], parameters["precision"]) == (5, "float32")


def test_identity_changes_with_whatever_changes_tiles(
    fresh_model: Pix2Pix, scene: Path, calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    def identity(model: Pix2Pix = fresh_model, **options: Any) -> str:
        model.predict_raster(scene, **{"precision": "float32", **options})
        return calls[-1]["tags"]["GEOTRANSLATE_IDENTITY"]

    first = identity()
    again = load_model(fresh_model.save(tmp_path / "model"))
    assert identity(again) == identity(batch_size=1) == first
    others = [identity(precision="bfloat16"), identity(tta=True), identity(tta="std")]
    others += [identity(norm_stats=norm_stats) for norm_stats in ("tile", "scene", "smooth")]
    with torch.no_grad():
        next(fresh_model.pair.generator.parameters()).add_(1e-6)
    others.append(identity())
    again.predictor.inference.card = replace(again.card, seed=again.card.seed + 1)
    others.append(identity(again))
    assert len({first, *others}) == 9


def test_tags_do_not_depend_on_how_it_is_computed(
    fresh_model: Pix2Pix, scene: Path, calls: list[dict[str, Any]]
) -> None:
    for options in ({}, {"batch_size": 1}, {"part": "1/2"}, {"max_memory": 9}, {"overwrite": True}):
        fresh_model.predict_raster(scene, **options)
    assert all(call["tags"] == calls[0]["tags"] for call in calls)


def test_threads_get_the_inference_itself(
    fresh_model: Pix2Pix, scene: Path, calls: list[dict[str, Any]]
) -> None:
    with ThreadPoolExecutor(2) as pool:
        fresh_model.predict_raster(scene, executor=pool)
    assert isinstance(calls[0]["apply"], Inference)


def test_other_workers_get_a_folder_that_is_gone_in_the_end(
    fresh_model: Pix2Pix, scene: Path, calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    output = tmp_path / "out" / "o.tif"
    fresh_model.predict_raster(scene, output, executor=ELSEWHERE, precision="float32")
    np.testing.assert_array_equal(calls[0]["found"], fresh_model.predictor.inference(TILES))
    assert calls[0]["apply"].folder.parent == output.parent
    assert list(output.parent.iterdir()) == [output]


def test_other_workers_read_the_model_where_it_was_loaded_from_while_it_is_the_same(
    fresh_model: Pix2Pix, scene: Path, calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    folder = fresh_model.save(tmp_path / "model")
    model = load_model(folder)
    model.predict_raster(scene, executor=ELSEWHERE)
    assert calls[0]["apply"].folder == folder
    with torch.no_grad():
        next(model.pair.generator.parameters()).add_(1)
    model.predict_raster(scene, executor=ELSEWHERE)
    assert calls[1]["apply"].folder != folder
    for damage in ("not json", None):
        model = load_model(fresh_model.save(folder))
        (folder / "card.json").unlink()
        if damage:
            (folder / "card.json").write_text(damage)
        model.predict_raster(scene, executor=ELSEWHERE)
        assert calls[-1]["apply"].folder != folder
    load_model(fresh_model.save(folder)).predict_raster(scene, executor=ELSEWHERE)
    assert calls[-1]["apply"].folder == folder


def test_missing_folder_is_said_before_the_model_is_sent(fresh_model: Pix2Pix, scene: Path) -> None:
    with pytest.raises(RasterFileError, match=r"nowhere of the output o\.tif does not exist; crea"):
        fresh_model.predict_raster(scene, scene.parent / "nowhere" / "o.tif", executor=ELSEWHERE)


@pytest.mark.parametrize("kind", ["folder", "pattern", "list", "table"])
def test_several_scenes_go_into_a_folder(
    fresh_model: Pix2Pix,
    write_raster: WriteRaster,
    calls: list[dict[str, Any]],
    tmp_path: Path,
    kind: str,
) -> None:
    paths = [write_raster(f"in/{n}.tif", values((3, 70, 70), "uint8")) for n in "ab"]
    scenes = {
        "folder": paths[0].parent,
        "pattern": str(paths[0].parent / "*.tif"),
        "list": paths,
        "table": gpd.GeoDataFrame({"path": paths}, geometry=[Point(0, 0)] * 2),
    }[kind]
    found = fresh_model.predict_raster(scenes, tmp_path / "out")
    assert [r.path for r in found] == [tmp_path / "out" / f"{n}_translated.tif" for n in "ab"]
    assert [call["source"] for call in calls] == list(map(str, paths))


def test_resume_keeps_what_the_same_model_finished(
    fresh_model: Pix2Pix, write_raster: WriteRaster, tmp_path: Path
) -> None:
    paths = [write_raster(f"in/{n}.tif", values((3, 70, 70), "uint8")) for n in "ab"]
    broken = write_raster("in/c.tif", values((2, 70, 70), "uint8"))
    out, options = tmp_path / "out", {"tile_size": 64, "progress": False, "resume": True}
    with pytest.raises(GeotranslateError, match=r"Scene 3 of 3, .*c\.tif has 2 bands .* 2 before"):
        fresh_model.predict_raster([*paths, broken], out, **options)
    outputs = [out / f"{n}_translated.tif" for n in "ab"]
    before = [output.stat().st_mtime_ns for output in outputs]
    found = fresh_model.predict_raster(paths, out, **options)
    assert [result.path for result in found] == outputs
    assert [output.stat().st_mtime_ns for output in outputs] == before
    assert [result.tiles for result in found] == [4, 4]
    with pytest.raises(OutputExistsError):
        fresh_model.predict_raster(paths, out, **options, dtype="int16")
