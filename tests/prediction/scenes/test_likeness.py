"""The distance of a scene from the training data comes with its translation, in words too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine

from geotranslate import Pix2Pix, export_chips, load_model, prepare_data
from geotranslate.chips.bands import Quantiles
from geotranslate.errors import GeotranslateWarning
from geotranslate.prediction.scenes.likeness import drift_of
from tests.conftest import NORTH_UP, WriteRaster
from tests.prediction.test_inference import make_card
from tests.prediction.test_normstats import OPTIONS

NORMAL = np.random.default_rng(0).normal(100, 20, (1, 5000))
SCENES = {
    "near.tif": {"distance": 0.1, "mae": 10.0},
    "far.tif": {"distance": 0.9, "mae": 31.25},
    "old": {"mae": 3.0},
}


def drift(
    shift: float,
    scenes: Any = SCENES,
    *,
    normalizes: bool = True,
    features: float | None = None,
) -> Any:
    side = replace(make_card().source, quantiles=Quantiles.of(NORMAL))
    found = Quantiles.of(NORMAL + 20 * shift)
    return drift_of("s.tif", found, side, scenes, normalizes=normalizes, features=features)


@pytest.mark.parametrize("shift", [0, 0.1, 0.5, 2])
def test_distance_is_in_deviations_and_said(shift: float) -> None:
    found = drift(shift)
    assert found.distance == pytest.approx(shift, rel=0.05, abs=0.01)
    assert str(found).startswith(f"s.tif is {found.distance:.2f} standard deviations from the tr")
    assert ("match='training' or norm_stats=0.25" in str(found)) == (shift > 0.2)
    assert ("farther than any of the validation scenes" in str(found)) == (shift > 0.9)


def test_errors_of_scenes_give_the_distance_a_meaning() -> None:
    said = "validation: 10 on near.tif, 0.10 away and 31.25 on far.tif, 0.90 away."
    assert said in str(drift(0.7))
    assert "validation: 10 on near.tif, 0.10 away." in str(drift(0.2))
    assert "validation" not in str(drift(0.7, {}))
    assert "norm_stats" not in str(drift(0.7, normalizes=False))


def test_features_are_compared_with_those_of_validation() -> None:
    scenes = {name: row | {"features": 0.1 * len(name)} for name, row in SCENES.items()}
    assert "features" not in str(drift(0))
    assert str(drift(0, features=2)).endswith("The features of the first levels are 2.00 away.")
    for shift, features, said in ((0, 2, True), (0, 0.4, False), (1, 2, False)):
        found = drift(shift, scenes, features=features)
        assert found.features == features
        assert f"first levels are {features:.2f} away, in validation 0.30 to 0.80." in str(found)
        assert ("compare its sharpness" in str(found)) == said


def test_nothing_is_said_where_nothing_is_known() -> None:
    side = make_card().source
    assert drift_of("s.tif", Quantiles.of(NORMAL), side, {}, normalizes=True) is None
    known = replace(side, quantiles=Quantiles.of(NORMAL))
    assert drift_of("s.tif", None, known, {}, normalizes=True) is None


@pytest.fixture
def places(write_raster: WriteRaster, tmp_path: Path) -> Path:
    """Return chips of three places, of which the last one is brighter."""
    chance = np.random.default_rng(0)
    sources, targets = [], []
    for number, offset in enumerate((0, 10, 90)):
        data = (chance.uniform(20, 100, (3, 64, 256)) + offset).astype("uint8")
        there = NORTH_UP @ Affine.translation(0, 100 * number)
        sources.append(write_raster(f"{number}.tif", data, transform=there))
        targets.append(write_raster(f"t{number}.tif", data[:1], transform=there))
    export_chips(sources, targets, tmp_path / "out", tile_size=64)
    return tmp_path / "out"


@pytest.mark.filterwarnings("ignore::geotranslate.errors.GeotranslateWarning")
def test_validation_by_place_is_measured_kept_and_said(places: Path, tmp_path: Path) -> None:
    data = prepare_data(places, batch_size=2, split="random", val_split_pct=0.5, seed=1)
    model = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4, depth=5)
    scenes = model.compute_metrics().per_scene
    assert {*scenes} <= {"0.tif", "1.tif", "2.tif"}
    assert len(scenes) > 1
    distances = {name: scores["distance"] for name, scores in scenes.items()}
    assert max(distances, key=distances.__getitem__) == "2.tif"
    assert all(scores["mae"] > 0 for scores in scenes.values())
    assert "distance" in str(model.metrics)
    features = {name: scores["features"] for name, scores in scenes.items()}
    assert min(features.values()) >= 0
    again = load_model(model.save(tmp_path / "model"))
    result = again.predict_raster(tmp_path / "2.tif", tmp_path / "o.tif", **OPTIONS)
    assert result.drift is not None
    assert len(result.drift.bands) == 3
    assert result.drift.features is not None
    assert "first levels are" in str(result.drift)
    assert "Mean absolute errors in validation: " in str(result.drift)
    assert "distance from training" in result._repr_html_()


def test_footprints_that_cannot_be_read_leave_the_other_measures(places: Path) -> None:
    data = prepare_data(places, batch_size=2, split="random", val_split_pct=0.3)
    model = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4, depth=5)
    (places / "chips.gpkg").write_bytes(b"no database")
    with pytest.warns(GeotranslateWarning, match=r"single scenes are not measured: .*chips\.gpkg"):
        found = model.compute_metrics(["mae"])
    assert found["mae"] > 0
    assert not found.per_scene
