"""Files for Deepness, run by an emulation of the plugin and, where it is, by its published code.

The published code runs in the Python of QGIS. `DEEPNESS_PATH` has the folder `src` of the plugin's
repository and a folder with onnxruntime and OpenCV for that Python, as a `PYTHONPATH` has them.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import rasterio
import torch
from numpy.typing import NDArray

from geotranslate import GeotranslateError, Pix2Pix, prepare_data
from geotranslate.errors import GeotranslateWarning
from geotranslate.interop.deepness.deepnessfile import centimeters, layer_names
from tests.conftest import WriteRaster, raster_writer
from tests.interop.deepness.emulation import deepness

PUBLISHED = os.environ.get("DEEPNESS_PATH", "")
PYTHON = os.environ.get("QGIS_PYTHON", "/usr/bin/python3")
RADIUS = 15


def ground(bands: int, rows: int, cols: int) -> NDArray[np.float64]:
    """Return waves of 0..1 of several lengths."""
    down, across = np.mgrid[:rows, :cols]
    waves = [np.sin(down / (5 + band) + across / (9 - band)) for band in range(bands)]
    return np.stack([(wave + np.cos(across / 23) + 2) / 4 for wave in waves])


def strong_model(folder: Path, target: NDArray[Any], **names: Any) -> Pix2Pix:
    """Return a model of a source of four bands of 16 bits with gaps, whose last layer is strong."""
    write = raster_writer(folder)
    looks = ground(4, 128, 256)
    photo = (300 + 9000 * looks).astype(np.uint16)
    photo[:, 20:30, 40:80] = 0
    write("photo.tif", photo, nodata=0)
    write("target.tif", target, **names)
    torch.manual_seed(0)
    data = prepare_data(folder / "photo.tif", folder / "target.tif", chip_size=64, num_workers=0)
    model = Pix2Pix(data, recipe="seamless", generator="unet", depth=3, ngf=4)
    kinds = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
    *_, last = (each for each in model.pair.generator.modules() if isinstance(each, kinds))
    last.weight.data *= 40
    return model


@pytest.fixture(scope="module")
def sixteen(tmp_path_factory: pytest.TempPathFactory) -> Pix2Pix:
    """Return a model whose targets are two bands of 16 bits."""
    target = (1000 + 5000 * ground(2, 128, 256)).astype(np.uint16)
    return strong_model(tmp_path_factory.mktemp("sixteen"), target, names=("nir", "swir/1"))


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> Pix2Pix:
    """Return a model whose targets are three bands of 8 bits."""
    target = (255 * ground(3, 128, 256)).astype(np.uint8)
    return strong_model(tmp_path_factory.mktemp("eight"), target)


@pytest.fixture
def scene(write_raster: WriteRaster) -> Path:
    """Return a raster of 16 bits with gaps that is larger than one tile.

    Deepness begins with the tiles at the lower end, `predict_raster` at the upper one. With rows in
    multiples of the stride, tiles of both begin at the same rows of the network.
    """
    values = (300 + 9000 * ground(4, 304, 520)).astype(np.uint16)
    values[:, 100:140, 200:280] = 0
    return write_raster("scene.tif", values, nodata=0)


def expected(model: Pix2Pix, scene: Path, ranges: list[tuple[float, float]]) -> NDArray[Any]:
    """Return the translation of `predict_raster` in counts, NaN where it is not comparable.

    Beyond the ends of the raster, `predict_raster` mirrors the scene, and Deepness has nothing.
    """
    output = scene.with_name("out.tif")
    model.predict_raster(scene, output, overwrite=True, progress=False, norm_stats="running")
    with rasterio.open(output) as dataset:
        values = dataset.read().astype(np.float64)
        valid = dataset.dataset_mask() > 0
    low, high = np.array(ranges).T[:, :, None, None]
    counts = np.clip((values - low) / (high - low), 0, 1) * 255
    inner = np.zeros(valid.shape, bool)
    inner[RADIUS:-RADIUS, RADIUS:-RADIUS] = True
    return np.where(valid & inner, counts, np.nan)


def published(model: Path, scene: Path) -> NDArray[np.uint8]:
    """Return the result of the plugin's own code."""
    output = scene.with_name("published.npy")
    script = Path(__file__).with_name("published.py")
    subprocess.run(
        [PYTHON, str(script), str(model), str(scene), str(output)],
        check=True,
        capture_output=True,
        # Deepness leaves a file in the working directory.
        cwd=scene.parent,
        env={
            "PATH": os.defpath,
            "PYTHONPATH": PUBLISHED,
            "HOME": str(scene.parent),
            "XDG_RUNTIME_DIR": str(scene.parent),
            "QT_QPA_PLATFORM": "offscreen",
        },
    )
    found: NDArray[np.uint8] = np.load(output)
    return found


def metadata(file: Path) -> dict[str, Any]:
    return {each.key: json.loads(each.value) for each in onnx.load(file).metadata_props}


def test_deepness_finds_the_scene_of_predict_raster(
    sixteen: Pix2Pix, scene: Path, tmp_path: Path
) -> None:
    with pytest.warns(GeotranslateWarning, match=r"keeps 8 bits: 0 to 255 in its layers stand for"):
        file = sixteen.export(tmp_path / "model.onnx", flavor="deepness")
    model = onnx.load(file)
    assert (model.ir_version, model.opset_import[0].version) == (8, 17)
    facts = metadata(file)
    assert facts["model_type"] == "Regressor"
    assert (facts["tile_size"], facts["tiles_overlap"]) == (256, 16)
    assert facts["resolution"] == 200
    assert facts["standardization_std"] == [1 / 255] * 4
    low, high = sixteen.data.card.target.limits
    names = [each["0"] for each in facts["class_names"]]
    assert names[1] == f"swir_1 (0-255 = {low[1]:.6g} to {high[1]:.6g})"
    found = deepness(file, scene)
    truth = expected(sixteen, scene, list(zip(low, high, strict=True)))
    apart = np.abs(found - truth)
    assert np.nanmax(apart) <= 1
    assert np.isfinite(apart).mean() > 0.8
    assert found.std() > 10
    if PUBLISHED:
        assert np.abs(published(file, scene) - found.astype(float)).max() <= 1


@pytest.mark.slow(minutes=0.5)
def test_one_layer_of_all_bands(eight: Pix2Pix, scene: Path, tmp_path: Path) -> None:
    with pytest.warns(GeotranslateWarning, match=r"edges may show every 512 px"):
        file = eight.export(tmp_path / "a.onnx", flavor="deepness-superresolution", tile_size=512)
    facts = metadata(file)
    assert (facts["model_type"], facts["tiles_overlap"]) == ("Superresolution", 0)
    found = deepness(file, scene)
    # Deepness has no scale factor of 1, so each pixel is there four times, and it leaves out the
    # last row and column.
    assert found.shape == (3, 2 * 303, 2 * 519)
    assert np.array_equal(found[:, ::2, ::2], found[:, 1::2, 1::2])
    truth = expected(eight, scene, [(0, 255)] * 3)[:, :303, :519]
    edges = np.abs(np.arange(519) - 511.5) < RADIUS
    assert np.nanmax(np.abs(found[:, ::2, ::2] - truth)[:, :, ~edges]) <= 1
    if PUBLISHED:
        assert np.abs(published(file, scene) - found.astype(float)).max() <= 1


def test_files_that_deepness_cannot_use_are_refused(eight: Pix2Pix, tmp_path: Path) -> None:
    for options, sentence in (
        ({"tile_size": 100}, "multiple of 8, the stride"),
        ({"tile_size": 0}, "tile_size is 0"),
        ({"tile_size": "large"}, "tile_size is 'large'"),
        ({"flavor": "geodeep"}, "give one of"),
        ({"norm_stats": "scene"}, "measured on a scene"),
    ):
        with pytest.raises(GeotranslateError, match=sentence):
            eight.export(tmp_path / "a.onnx", **{"flavor": "deepness", **options})
    with pytest.raises(GeotranslateError, match="tile_size is not an option"):
        eight.export(tmp_path / "a.onnx", tile_size=256)
    with pytest.raises(GeotranslateError, match=r"give a name that ends in \.onnx"):
        eight.export(tmp_path / "a.dlpk", flavor="deepness")
    assert not list(tmp_path.iterdir())


def test_names_of_layers_can_be_names_of_files(sixteen: Pix2Pix) -> None:
    side = replace(sixteen.data.card.target, dtype="uint8", band_names=("a:b/c*", ""))
    assert layer_names(side) == ["a_b_c_", "band 2"]


def test_pixel_size_is_the_one_that_qgis_counts(sixteen: Pix2Pix) -> None:
    card = sixteen.data.card
    assert centimeters(card) == 200
    assert centimeters(replace(card, resize_ratio=(0.5, 0.5))) == 400
    degrees = replace(card, crs="EPSG:4326", resolution=(0.001, 0.001))
    assert centimeters(degrees) == pytest.approx(11131.949)
    feet = replace(card, crs="EPSG:2263", resolution=(1.0, 1.0))
    assert centimeters(feet) == pytest.approx(30.48006)
    assert centimeters(replace(card, crs=None)) is None
    assert centimeters(replace(card, crs="EPSG:999999")) is None
