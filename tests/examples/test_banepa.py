from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import rasterio

EXAMPLE = Path(__file__).parents[2] / "examples" / "banepa.py"


@pytest.mark.slow(minutes=4)
def test_buildings_of_an_unseen_quarter_are_found(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "banepa"
    rasters = [folder / "banepa_rgb.tif", folder / "banepa_map.tif"]
    short = ["--output", tmp_path, "--tile-size", "128", "--filters", "16", "--epochs", "1"]
    # With one thread, as other tests have: more would take twice the time where those run too.
    subprocess.run([sys.executable, EXAMPLE, *rasters, *short], check=True, timeout=1500)
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    assert numbers["translated"]["f1"] > max(0.6, numbers["untrained"]["f1"] + 0.1)
    assert numbers["translated"]["l1"] < numbers["mean map"]["l1"]
    with rasterio.open(rasters[0]) as scene, rasterio.open(tmp_path / "translated.tif") as result:
        assert (result.crs, result.transform, result.shape) == (
            scene.crs,
            scene.transform,
            scene.shape,
        )
