"""`evaluate` translates a scene and measures the result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from geotranslate import Pix2Pix, evaluate_raster, load_model, prepare_data
from geotranslate.errors import UnknownArgumentError
from tests.conftest import WriteRaster


@pytest.fixture
def place(write_raster: WriteRaster) -> tuple[Path, Path]:
    """Return a scene of 3 bands and its reference, which follows from two of them."""
    chance = np.random.default_rng(3)
    scene = chance.integers(0, 120, (3, 100, 130)).astype("uint8")
    truth = (scene[:1] + scene[1:2] // 2).astype("uint8")
    return write_raster("scene.tif", scene), write_raster("truth.tif", truth)


def test_it_equals_both_steps(
    fresh_model: Pix2Pix, place: tuple[Path, Path], tmp_path: Path
) -> None:
    scene, truth = place
    output = tmp_path / "out.tif"
    found = fresh_model.evaluate(scene, truth, output, progress=False)
    again = evaluate_raster(output, truth, progress=False, data_range=255)
    assert {name: found[name] for name in again} == pytest.approx(dict(again), nan_ok=True)
    assert {"skill_over_linear", "skill_over_constant"} <= set(found)
    assert "training pairs" in found.baselines["linear"].words
    alone = fresh_model.evaluate(scene, truth, progress=False)
    assert dict(alone) == pytest.approx(dict(found), nan_ok=True)
    with pytest.raises(UnknownArgumentError, match="evaluate has no argument 'tile_size'"):
        fresh_model.evaluate(scene, truth, tile_size=64)


def test_the_linear_map_of_training_is_that_of_its_pairs(
    write_chips: Callable[..., Path], place: tuple[Path, Path], tmp_path: Path
) -> None:
    data = prepare_data(write_chips())
    model = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4)
    model.save(tmp_path / "model")
    linear = model.evaluate(*place, progress=False).baselines["linear"]
    # Source bands of these chips are x, x + 1 and x + 2, targets 2 x; all bands weigh the same.
    with rasterio.open(place[0]) as scene, rasterio.open(place[1]) as truth:
        expected = abs(scene.read().sum(0) * 2 / 3 - 2 - truth.read(1)).mean()
    assert linear.mae == pytest.approx(expected, rel=1e-3)
    alone = load_model(tmp_path / "model", device="cpu").evaluate(*place, progress=False)
    assert "linear_in_sample" in alone.baselines
