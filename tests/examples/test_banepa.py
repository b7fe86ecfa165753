from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import rasterio
from rasterio.windows import Window

EXAMPLE = Path(__file__).parents[2] / "examples" / "banepa.py"


def western_half(raster: Path, folder: Path) -> Path:
    """Write half of a raster, which is enough to learn from, into a folder."""
    with rasterio.open(raster) as dataset:
        window = Window(0, 0, dataset.width // 2, dataset.height)
        data = dataset.read(window=window)
        place = {"crs": dataset.crs, "transform": dataset.transform, "dtype": data.dtype}
    count, height, width = data.shape
    size = {"count": count, "height": height, "width": width}
    with rasterio.open(folder / raster.name, "w", **size, **place) as half:
        half.write(data)
    return folder / raster.name


@pytest.mark.slow(minutes=2)
def test_buildings_of_an_unseen_quarter_are_found(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "banepa"
    names = ("banepa_rgb.tif", "banepa_map.tif")
    rasters = [western_half(folder / name, tmp_path) for name in names]
    short = ["--output", tmp_path, "--tile-size", "128", "--filters", "16", "--epochs", "2"]
    # Threads of the network would compete with the other tests.
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
