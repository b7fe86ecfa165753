"""Killed predictions of another pixel size: resumed, they give the bytes of a whole run."""

from __future__ import annotations

import concurrent.futures as cf
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from geotranslate import Pix2Pix, prepare_data
from tests.children import CONTEXT, Child
from tests.conftest import NORTH_UP, WriteRaster, values
from tests.prediction.test_predict_raster import run_command
from tests.raster.pipeline.test_resume import parts_of

OPTIONS: dict[str, Any] = {"precision": "float32", "tile_size": 64, "progress": False}
ROWS = {Fraction(2): 500, Fraction(1, 2): 1700}
"""Rows of a source whose output has four parts of 256 rows."""


@pytest.fixture
def model_of(write_raster: WriteRaster, tmp_path: Path) -> Callable[[Fraction], Pix2Pix]:
    """Return a function that makes a model with weights that matter."""

    def make(factor: Fraction) -> Pix2Pix:
        for side, size in (("images", 64), ("images2", int(64 * factor))):
            place = NORTH_UP @ NORTH_UP.scale(64 / size)
            for number in range(2):
                chip = values((1, size, size), "uint8", seed=number)
                ground = NORTH_UP.translation(number * 128, 0) @ place
                write_raster(f"pairs/{side}/{number}.tif", chip, transform=ground)
        model = Pix2Pix(prepare_data(tmp_path / "pairs"), recipe="measurement", ngf=4, depth=1)
        torch.manual_seed(0)
        for weight in model.pair.generator.parameters():
            torch.nn.init.normal_(weight, 0, 0.2)
        model._renew()
        return model

    return make


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize("factor", list(ROWS), ids=str)
def test_killed_prediction_goes_on_to_the_same_bytes(
    model_of: Callable[[Fraction], Pix2Pix],
    write_raster: WriteRaster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    factor: Fraction,
) -> None:
    monkeypatch.setattr("geotranslate.raster.pipeline.planning.part_height", lambda *_: 256)
    model = model_of(factor)
    saved = model.save(tmp_path / "model")
    image = values((1, ROWS[factor], 131), "uint8")
    image[:, 40:90, 30:100] = 0
    scene = write_raster("scene.tif", image, nodata=0)
    whole = model.predict_raster(scene, tmp_path / "whole.tif", batch_size=1, **OPTIONS)
    expected = whole.path.read_bytes()
    outputs = [tmp_path / f"{batch}.tif" for batch in (2, 5)]
    for batch, output in zip((2, 5), outputs, strict=True):
        command = ["predict", str(saved), str(scene), "-o", str(output), "--no-progress"]
        command += ["--precision", "float32", "--tile-size", "64", "--batch-size", str(batch)]
        stop = int(0.6 * whole.tiles / batch)
        with Child(tmp_path / f"{batch}.txt", run_command, stop, command) as process:
            process.wait_for(lambda log=process.log: "stopped\n" in log.read_text())
            process.wait_for(lambda output=output: parts_of(output))
        assert not output.exists()
    again = model.predict_raster(scene, outputs[0], batch_size=3, resume=True, **OPTIONS)
    assert again.path.read_bytes() == expected
    with cf.ProcessPoolExecutor(2, mp_context=CONTEXT) as executor:
        model.predict_raster(scene, outputs[1], resume=True, executor=executor, **OPTIONS)
        fresh = model.predict_raster(scene, tmp_path / "c.tif", executor=executor, **OPTIONS)
    assert outputs[1].read_bytes() == expected
    assert fresh.path.read_bytes() == expected
    assert (again.tiles, again.mismatch) == (whole.tiles, pytest.approx(whole.mismatch))
    assert not list(tmp_path.glob("*.parts"))
