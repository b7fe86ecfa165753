"""The plugin in a real QGIS, run by its command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine

from geotranslate import Pix2Pix, evaluate_raster, load_model, prepare_data
from geotranslate.interop.qgis import write_plugin
from tests.conftest import WriteRaster

# Debian's qgis_process is a script that gives QGIS options which qgis_process does not know.
QGIS = next(filter(None, map(shutil.which, ("qgis_process.bin", "qgis_process"))), None)
PLUGIN = "geotranslate_processing"
ROOT = Path(__file__).parents[3]


@dataclass
class Qgis:
    """qgis_process with a profile of its own, in which the plugin is installed."""

    folder: Path

    def run(self, *arguments: str, fails: bool = False) -> str:
        assert QGIS is not None
        environment = {
            # QGIS takes the first Python for its own.
            "PATH": f"{Path(QGIS).parent}{os.pathsep}{os.defpath}",
            "HOME": str(self.folder),
            "XDG_RUNTIME_DIR": str(self.folder),
            "QGIS_CUSTOM_CONFIG_PATH": str(self.folder / "config"),
            "QT_QPA_PLATFORM": "offscreen",
            "GEOTRANSLATE_PROGRAM": str(self.program),
            "OMP_NUM_THREADS": "1",
        }
        done = subprocess.run([QGIS, *arguments], capture_output=True, text=True, env=environment)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def program(self) -> Path:
        return self.folder / "geotranslate"

    def install(self) -> None:
        plugins = self.folder / "config/profiles/default/python/plugins"
        with zipfile.ZipFile(write_plugin(self.folder / "plugin.zip")) as archive:
            archive.extractall(plugins)
        # The plugin keeps QGIS's PYTHONPATH from the program, so the script sets it.
        self.program.write_text(
            f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m geotranslate "$@"\n'
        )
        self.program.chmod(0o755)
        self.run("plugins", "enable", PLUGIN)


@pytest.fixture
def qgis(tmp_path: Path) -> Qgis:
    if QGIS is None:
        pytest.skip("QGIS is not installed")
    installed = Qgis(tmp_path / "qgis")
    installed.folder.mkdir(mode=0o700)
    installed.install()
    return installed


@pytest.fixture
def scene(write_raster: WriteRaster) -> Path:
    """Return a raster of 16 bits beside a reference and a saved model that was not trained."""
    rows, cols = np.mgrid[:128, :256]
    ground = np.stack([rows * 300 + cols * 20, rows * cols, 20_000 + 90 * cols - 50 * rows])
    photo = write_raster("photo.tif", ground.astype(np.uint16), nodata=0, names=("r", "g", "b"))
    truth = write_raster("truth.tif", (40_000 - ground[:1]).astype(np.uint16), nodata=0)
    data = prepare_data(photo, truth, chip_size=64, batch_size=2)
    Pix2Pix(data, recipe="seamless", ngf=4, ndf=4).save(photo.parent / "model")
    return photo


@pytest.mark.slow(minutes=1)
def test_qgis_translates_and_evaluates_as_the_library(scene: Path, qgis: Qgis) -> None:
    folder = scene.parent
    model, output, expected = folder / "model", folder / "out.tif", folder / "expected.tif"
    load_model(model).predict_raster(
        scene, expected, tile_size=64, bbox=(500e3, 4999744.0, 500400.0, 5e6)
    )
    zones = gpd.GeoDataFrame(
        {"name": ["left", "right"]},
        geometry=[
            shapely.box(500_000, 4_999_744, 500_100, 5e6),
            shapely.box(500_100, 4_999_744, 500_400, 5e6),
        ],
        crs="EPSG:32633",
    )
    zones.to_file(folder / "zones.gpkg")
    said = qgis.run(
        *("run", "geotranslate:translateraster", f"--MODEL={model / 'card.json'}"),
        *(f"--INPUT={scene}", "--TILE_SIZE=64", "--EXTENT=500000,500400,4999744,5000000"),
        f"--OUTPUT={output}",
    )
    assert "tiles; mean difference" in said and "100 - done" in said
    assert output.read_bytes() == expected.read_bytes()
    with rasterio.open(output) as dataset:
        assert dataset.dtypes == ("uint16",)
        assert dataset.transform == Affine(2, 0, 500_000, 0, -2, 5_000_000)
        assert dataset.read(1).max() > 255
    qgis.run(
        *("run", "geotranslate:evaluateraster", f"--PREDICTION={output}"),
        *(f"--REFERENCE={folder / 'truth.tif'}", f"--ZONES={folder / 'zones.gpkg'}"),
        *(f"--JSON={folder / 'e.json'}", f"--HTML={folder / 'e.html'}"),
        *(f"--ERROR={folder / 'error.tif'}", f"--ZONES_OUTPUT={folder / 'measured.gpkg'}"),
    )
    result = evaluate_raster(expected, folder / "truth.tif", zones=zones, progress=False)
    assert json.loads((folder / "e.json").read_text())["mae"] == result["mae"]
    assert "<td>left</td>" in (folder / "e.html").read_text()
    measured = gpd.read_file(folder / "measured.gpkg")
    assert list(measured["name"]) == ["left", "right"]
    assert result.zones is not None
    np.testing.assert_allclose(measured["mae"], result.zones["mae"])
    with rasterio.open(folder / "error.tif") as dataset:
        assert np.nanmean(np.abs(dataset.read(1))) == pytest.approx(result["mae"])
    said = qgis.run(
        *("run", "geotranslate:evaluateraster", f"--PREDICTION={scene}"),
        *(f"--REFERENCE={folder / 'truth.tif'}", f"--CSV={folder / 'no.csv'}"),
        fails=True,
    )
    assert "ERROR:" in said and "3 bands" in said
    assert "Traceback" not in said
    assert not (folder / "no.csv").exists()
