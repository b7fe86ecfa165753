"""Packages for ArcGIS give the translations of `predict_raster`, without geotranslate."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from numpy.typing import NDArray

from geotranslate import Pix2Pix, prepare_data
from geotranslate.errors import GeotranslateWarning, InvalidInputError
from geotranslate.raster.reader import RasterReader
from tests.conftest import NORTH_UP, chip_writer, raster_writer
from tests.interop.dlpk import arcgis_host

HOST = Path(arcgis_host.__file__)
RUNTIMES = {"torch": "onnxruntime", "onnxruntime": "torch"}
"""Runtimes, and the package that is blocked for the other one's sake."""
STYLES = ("full", "cut", "short", "padded")


@dataclass(frozen=True)
class Case:
    """An unzipped package, and a scene with its translation by `predict_raster`."""

    folder: Path
    scene: Path
    expected: NDArray[Any]
    valid: NDArray[np.bool_]
    model: Any


def enlivened(model: Any) -> Any:
    """Return a model whose weights and statistics are drawn, so that translations vary."""
    torch.manual_seed(3)
    for name, weight in model.pair.generator.state_dict().items():
        if weight.is_floating_point():
            around = 1.0 if name.endswith("running_var") else 0.0
            weight.normal_(around, 0.05 if around else 0.15)
    return model


def drawn_model(folder: Path, **pairs: Any) -> Any:
    """Return a Pix2Pix of a small U-Net, with drawn weights."""
    data = prepare_data(chip_writer(folder)(**pairs))
    options = {"recipe": "seamless", "depth": 4, "ngf": 4, "ndf": 4}
    return enlivened(Pix2Pix(data, **options))


def pattern(bands: int, high: float, dtype: str, rows: int = 175, cols: int = 230) -> NDArray[Any]:
    """Return waves and noise `(bands, rows, cols)` from 1 to a value."""
    y, x = np.mgrid[:rows, :cols]
    waves = [np.sin(y / (5 + b)) * np.cos(x / (7 + b)) for b in range(bands)]
    noise = np.random.default_rng(0).normal(0, 0.1, (bands, rows, cols))
    return (1 + (high - 1) * np.clip(0.5 + 0.3 * np.array(waves) + noise, 0, 1)).astype(dtype)


def holes(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return a mask `(rows, cols)` with a hole inside, one at the edge and one of a pixel."""
    valid = np.ones(shape[-2:], bool)
    valid[40:90, 60:100] = valid[:12, 150:] = valid[130, 20] = False
    return valid


def make_case(folder: Path, model: Any, scene: Path, tile_size: int = 160) -> Case:
    """Export a model, unzip its package, and translate a scene by `predict_raster`."""
    package = model.export(folder / "town.dlpk")
    with zipfile.ZipFile(package) as files:
        files.extractall(folder / "package")
    translated = model.predict_raster(
        scene, folder / "expected.tif", tile_size=tile_size, precision="float32", progress=False
    )
    with RasterReader(translated) as raster:
        pixels, valid = raster.read(dtype=None)
    return Case(folder / "package", scene, pixels, valid, model)


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Return a model of three bands of bytes, and a scene without gaps."""
    folder = tmp_path_factory.mktemp("picture")
    model = drawn_model(folder, target=(3, "uint8"))
    scene = raster_writer(folder)("scene.tif", pattern(3, 240, "uint8"))
    return make_case(folder, model, scene)


def hosted(case: Case, tmp_path: Path, runtime: str, styles: tuple[str, ...]) -> list[Any]:
    """Translate a scene in another process, which has one runtime and no geotranslate."""
    with rasterio.open(case.scene) as raster:
        np.savez(tmp_path / "scene.npz", pixels=raster.read(), mask=raster.read_masks())
    jobs = [
        {
            "package": str(case.folder),
            "scene": str(tmp_path / "scene.npz"),
            "as_text": style in ("cut", "padded"),
            "style": style,
            "scalars": {"tile_size": 50, "batch_size": 2 if style == "full" else "1"},
            "output": str(tmp_path / f"{style}.npz"),
        }
        for style in styles
    ]
    blocked = ["geotranslate", "fastai", "rasterio", "onnx", RUNTIMES[runtime]]
    file = tmp_path / "jobs.json"
    file.write_text(json.dumps({"blocked": blocked, "jobs": jobs}))
    command = [sys.executable, "-I", str(HOST), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [np.load(tmp_path / f"{style}.npz") for style in styles]


def apart(found: Any, case: Case) -> float:
    """Return the largest difference of valid pixels, relative to the size of their values."""
    valid = np.broadcast_to(case.valid, case.expected.shape)
    assert (found["mask"].astype(bool) == valid).all()
    assert found["pixels"].dtype == case.expected.dtype
    ours, theirs = (np.asarray(each[valid], float) for each in (case.expected, found["pixels"]))
    assert np.ptp(ours) > 0.05 * np.abs(ours).max()
    return float(np.abs(ours - theirs).max() / np.abs(ours).max())


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_blocks_give_the_translation_of_predict_raster(
    picture: Case, tmp_path: Path, runtime: str
) -> None:
    for found in hosted(picture, tmp_path, runtime, STYLES):
        assert apart(found, picture) <= 1.01 / picture.expected.max()


def test_package_holds_what_arcgis_reads(picture: Case) -> None:
    names = sorted(file.name for file in picture.folder.glob("*.*"))
    function = "GeotranslateTranslation.py"
    assert names == [function, "model.json", "model.npz", "model.onnx", "town.emd"]
    definition = json.loads((picture.folder / "town.emd").read_text())
    own = definition["Geotranslate"]
    assert definition["InferenceFunction"] == function
    assert (definition["ModelType"], definition["ModelFile"]) == ("Pix2Pix", "model.onnx")
    assert definition["ExtractBands"] == [0, 1, 2]
    assert own["Padding"] % own["Stride"] == own["TileSize"] % own["Stride"] == 0
    assert own["Padding"] >= picture.model.predictor.inference.radius
    assert definition["ImageHeight"] == own["TileSize"] + 2 * own["Padding"]
    least, most = definition["MinCellSize"], definition["MaxCellSize"]
    assert least["x"] < 2 < most["x"] and least["spatialReference"]["wkid"] == 32633
    assert picture.model.digest() == own["WeightsSHA256"]
    text = "".join((picture.folder / name).read_text() for name in (function, "town.emd"))
    for word in ("import geotranslate", "import torch", "pickle.load", "eval(", "exec("):
        assert word not in text


def test_models_that_arcgis_cannot_run_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = chip_writer(tmp_path)
    pairs = prepare_data(write())
    for options, sentence in (
        ({"norm": "instance"}, "normalizes by InstanceNorm2d.*rectangles.*norm='batch'"),
        ({"dtype": "int64"}, "targets are int64, for which ArcGIS has no pixels"),
        ({"factor": Fraction(2)}, "2 times as many pixels.*cannot change the pixel size"),
    ):
        model = Pix2Pix(pairs, recipe="seamless", ngf=4, ndf=4, norm=options.get("norm", "batch"))
        card = model.predictor.card
        side = replace(card.target, dtype=options.get("dtype", card.target.dtype))
        changed = replace(card, target=side, factor=options.get("factor", card.factor))
        monkeypatch.setattr(model.predictor.inference, "card", changed)
        with pytest.raises(InvalidInputError, match=sentence):
            model.export(tmp_path / "model.dlpk")
        assert not list(tmp_path.glob("*model*"))


@pytest.fixture
def measured(tmp_path: Path) -> Case:
    """Return a model of four bands of 16 bits with nodata, and a scene with gaps."""
    data = chip_writer(tmp_path)(source=(4, "uint16"), target=(2, "int16"), nodata=0)
    options = {"recipe": "measurement", "depth": 3, "ngf": 4}
    model = enlivened(Pix2Pix(prepare_data(data), **options))
    pixels = pattern(4, 130, "uint16", rows=400, cols=420)
    pixels[:, ~holes(pixels.shape)] = 0
    scene = raster_writer(tmp_path)("scene.tif", pixels, nodata=0)
    return make_case(tmp_path, model, scene, tile_size=384)


@pytest.fixture
def floats(tmp_path: Path) -> Case:
    """Return a model of floats, and a scene with a mask and NaN."""
    model = drawn_model(tmp_path, source=(2, "float32"), target=(1, "float32"))
    pixels = pattern(2, 130, "float32")
    pixels[1, 100:110, 30:50] = np.nan
    scene = raster_writer(tmp_path)("scene.tif", pixels, valid=holes(pixels.shape))
    return make_case(tmp_path, model, scene)


@pytest.fixture
def classes(tmp_path: Path) -> Case:
    """Return a model of classes with colors, some of which are missing."""
    write = raster_writer(tmp_path)
    colors = {number: (number, 0, 9, 255) for number in (1, 2, 3)}
    for chip in range(5):
        place = {"transform": NORTH_UP @ Affine.translation(64 * chip, 0)}
        target = np.random.default_rng(chip).integers(1, 4, (1, 8, 8)).repeat(8, 1).repeat(8, 2)
        source = (60 * target.repeat(3, 0)).astype(np.uint8)
        write(f"chips/images/{chip}.tif", source, **place)
        write(
            f"chips/images2/{chip}.tif", target.astype(np.uint8), nodata=0, colormap=colors, **place
        )
    options = {"recipe": "seamless", "depth": 4, "ngf": 4, "ndf": 4}
    with pytest.warns(GeotranslateWarning, match="mixes as if they were quantities"):
        data = prepare_data(tmp_path / "chips")
    model = enlivened(Pix2Pix(data, **options))
    pixels = pattern(3, 240, "uint8")
    scene = write("scene.tif", pixels, valid=holes(pixels.shape))
    return make_case(tmp_path, model, scene)


@pytest.mark.slow(minutes=0.5)
@pytest.mark.parametrize(("kind", "most"), [("measured", 1.01), ("floats", 1e-4), ("classes", 0)])
def test_dtypes_and_gaps(
    kind: str, most: float, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    case: Case = request.getfixturevalue(kind)
    size = np.abs(case.expected[np.broadcast_to(case.valid, case.expected.shape)]).max()
    for runtime in RUNTIMES:
        for found in hosted(case, tmp_path, runtime, ("full", "short")):
            assert not found["mask"].all()
            assert apart(found, case) <= (most if kind == "floats" else most / size)


@pytest.mark.slow(minutes=0.3)
def test_equal_models_give_equal_bytes(tmp_path: Path) -> None:
    model = drawn_model(tmp_path)
    first, second = tmp_path / "first" / "town.dlpk", tmp_path / "second" / "town.dlpk"
    for path in (first, second):
        path.parent.mkdir()
        model.export(path)
        model.save(tmp_path / "saved")
        model = Pix2Pix.from_model(tmp_path / "saved")
    assert first.read_bytes() == second.read_bytes()
    assert [file.name for file in first.parent.iterdir()] == ["town.dlpk"]
