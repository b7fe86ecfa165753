from __future__ import annotations

import inspect
import subprocess
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib import pyplot

from geotranslate import GeotranslateError, GeotranslateWarning, Pix2Pix, load_onnx
from geotranslate.errors import InvalidInputError, ModelFileError
from geotranslate.interop.onnx.modelcheck import read_checked
from geotranslate.interop.onnx.onnxinference import OnnxInference
from geotranslate.interop.onnx.onnxpredictor import OnnxPredictor
from geotranslate.prediction.imageinference import ImageInference
from tests.conftest import WriteRaster, raster_writer, values
from tests.wrong_values import WRONG, only_our_errors

OPTIONS: dict[str, Any] = {"progress": False, "tile_size": 48, "precision": "float32"}
WITHOUT_TORCH = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "fastai", "onnxscript"):
            raise ImportError(f"{name} is not installed")

sys.meta_path.insert(0, NoTorch())
import geotranslate
predictor = geotranslate.load_onnx(sys.argv[1])
done = predictor.predict_raster(sys.argv[2], sys.argv[3], tile_size=48, progress=False, tta=True)
assert predictor.predict(sys.argv[2]).shape == (1, 150, 200)
assert not {"torch", "fastai"} & set(sys.modules)
"""


@pytest.fixture(scope="session")
def predictor(onnx_file: Path) -> OnnxPredictor:
    return load_onnx(onnx_file)


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a scene of 150 x 200 px with a gap."""
    data = values((3, 150, 200), "uint8")
    valid = np.ones((150, 200), bool)
    valid[20:60, 30:90] = False
    return raster_writer(tmp_path_factory.mktemp("scene"))("scene.tif", data, valid=valid)


def pixels(path: Any) -> Any:
    with rasterio.open(path) as dataset:
        return dataset.read(masked=True)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tta": "std"},
        {"resolution": 3.0},
        {"match": "training"},
        {"tile_size": 50, "overlap": 17, "blend": "hann"},
        {"tile_size": "auto", "bbox": (500_020, 4_999_800, 500_300, 4_999_990)},
    ],
    ids=str,
)
def test_scenes_are_translated_like_by_the_model(
    small_model: Pix2Pix,
    predictor: OnnxPredictor,
    scene: Path,
    tmp_path: Path,
    options: dict[str, Any],
) -> None:
    given = OPTIONS | options
    theirs = small_model.predict_raster(scene, tmp_path / "torch.tif", **given)
    ours = predictor.predict_raster(scene, tmp_path / "onnx.tif", **given)
    expected, found = pixels(theirs), pixels(ours)
    assert (expected.mask == found.mask).all()
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert ours.tiles == theirs.tiles
    with rasterio.open(ours) as one, rasterio.open(theirs) as other:
        assert str(one.profile) == str(other.profile)  # nodata is NaN
        assert one.descriptions == other.descriptions
        tags, known = one.tags(), other.tags()
    assert tags["GEOTRANSLATE_MODEL"] == known["GEOTRANSLATE_MODEL"] == "Pix2Pix"
    assert tags["GEOTRANSLATE_WEIGHTS_SHA256"] == predictor.digest()
    assert tags["GEOTRANSLATE_PARAMETERS"] == known["GEOTRANSLATE_PARAMETERS"]


def test_it_runs_without_torch(onnx_file: Path, scene: Path, tmp_path: Path) -> None:
    output = tmp_path / "o.tif"
    command = [sys.executable, "-c", WITHOUT_TORCH, str(onnx_file), str(scene), str(output)]
    subprocess.run(command, check=True)
    assert pixels(output).shape == (1, 150, 200)


def test_the_file_is_the_same_for_every_batch_size_executor_and_number_of_threads(
    onnx_file: Path,
    predictor: OnnxPredictor,
    write_raster: WriteRaster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = write_raster("scene.tif", values((3, 530, 90), "uint8"))
    monkeypatch.setattr("geotranslate.raster.pipeline.planning.part_height", lambda *_: 256)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    four = load_onnx(onnx_file)
    runs: list[tuple[OnnxPredictor, dict[str, Any]]] = [
        (predictor, {"batch_size": 1}),
        (predictor, {"batch_size": 7}),
        (predictor, {"executor": ThreadPoolExecutor(3)}),
        (four, {}),
    ]
    written = []
    for number, (each, options) in enumerate(runs):
        done = each.predict_raster(scene, tmp_path / f"{number}.tif", **OPTIONS, **options)
        written.append(done.path.read_bytes())
    assert len(set(written)) == 1


@pytest.mark.slow(1)
def test_other_processes_load_the_file(
    predictor: OnnxPredictor, scene: Path, tmp_path: Path
) -> None:
    whole = predictor.predict_raster(scene, tmp_path / "a.tif", **OPTIONS)
    with ProcessPoolExecutor(1) as executor:
        parts = predictor.predict_raster(scene, tmp_path / "b.tif", executor=executor, **OPTIONS)
    assert whole.path.read_bytes() == parts.path.read_bytes()


def test_a_killed_run_goes_on_to_the_same_file(
    predictor: OnnxPredictor,
    write_raster: WriteRaster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("geotranslate.raster.pipeline.planning.part_height", lambda *_: 256)
    scene = write_raster("scene.tif", values((3, 700, 60), "uint8"))
    whole = predictor.predict_raster(scene, tmp_path / "whole.tif", **OPTIONS)
    call, seen = OnnxInference.__call__, 0

    def failing(self: OnnxInference, batch: Any, places: Any = None) -> Any:
        nonlocal seen
        seen += 1
        if seen > 12:
            raise KeyboardInterrupt
        return call(self, batch, places)

    with monkeypatch.context() as patched:
        patched.setattr(OnnxInference, "__call__", failing)
        with pytest.warns(match="parts are finished"), pytest.raises(KeyboardInterrupt):
            predictor.predict_raster(scene, tmp_path / "o.tif", batch_size=4, **OPTIONS)
    done = predictor.predict_raster(scene, tmp_path / "o.tif", resume=True, **OPTIONS)
    assert done.path.read_bytes() == whole.path.read_bytes()


def test_images_of_any_size_are_translated_like_by_the_model(
    small_model: Pix2Pix, predictor: OnnxPredictor
) -> None:
    for rows, cols in [(5, 9), (8, 8), (70, 33)]:
        image = np.random.default_rng(rows).integers(0, 256, (3, rows, cols)).astype(np.uint8)
        expected, found = small_model.predict(image), predictor.predict(image)
        assert found.dtype == expected.dtype and found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"norm_stats": "scene"}, "exported with 'running'"),
        ({"norm_stats": 0.5}, "exported with 'running'"),
        ({"norm_stats": "often"}, "give one of"),
        ({"precision": "bfloat16"}, "computes in float32"),
        ({"precision": "half"}, "give one of"),
        ({"direction": "BtoA"}, "translates AtoB; export another"),
        ({"direction": "back"}, "give one of"),
        ({"batch_size": 0}, "whole number of at least 1"),
        ({"device": "cuda"}, "has no argument"),
    ],
)
def test_what_a_file_cannot_do_ends_in_a_sentence(
    predictor: OnnxPredictor, scene: Path, tmp_path: Path, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(GeotranslateError, match=sentence):
        predictor.predict_raster(scene, tmp_path / "o.tif", **{"progress": False, **options})
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_replaced_is_refused_by_workers(
    onnx_file: Path, scene: Path, tmp_path: Path
) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(onnx_file.read_bytes())
    predictor = load_onnx(file)
    digest = predictor.digest()
    assert predictor.model.saved_folder(digest) == file
    loaded: ImageInference = predictor.model.loader(file, digest, "AtoB")
    assert loaded.stride == 8
    file.unlink()
    assert predictor.model.saved_folder(digest) is None
    with pytest.raises(ModelFileError, match="replaced or removed"):
        predictor.save(tmp_path / "copy")
    with pytest.raises(ModelFileError, match="There is no file"):
        predictor.model.loader(file, digest, "AtoB")
    other = onnx_file.read_bytes().replace(b"Pix2Pix", b"Pix2Pax")
    file.write_bytes(other)
    with pytest.raises(ModelFileError, match="was replaced while"):
        predictor.model.loader(file, digest, "AtoB")


def test_it_shows_what_it_translates(predictor: OnnxPredictor, onnx_file: Path) -> None:
    assert repr(predictor) == f"OnnxPredictor({onnx_file}: Pix2Pix, 3 x uint8 to 1 x float32)"
    assert read_checked(onnx_file).digest == predictor.digest()


def test_the_path_has_to_be_one() -> None:
    with pytest.raises(InvalidInputError, match="give the path of a file"):
        load_onnx(None)  # type: ignore[arg-type]


OPTIONS_OF = [
    (method, argument)
    for method in ("predict", "predict_raster", "towards")
    for argument in inspect.signature(getattr(OnnxPredictor, method)).parameters
    # Files that such values name are those of other tests.
    if argument not in ("self", "path", "image", "output")
]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(option=st.sampled_from(OPTIONS_OF), value=WRONG)
def test_any_value_gives_an_answer_or_a_sentence(
    predictor: OnnxPredictor, scene: Path, tmp_path: Path, option: tuple[str, str], value: Any
) -> None:
    method, argument = option
    output = tmp_path / "o.tif"
    base: dict[str, dict[str, Any]] = {
        "predict": {"image": scene},
        "predict_raster": {"path": scene, "output": output, "tile_size": 48, "progress": False},
        "towards": {},
    }
    with only_our_errors(), warnings.catch_warnings():
        warnings.simplefilter("ignore", GeotranslateWarning)
        getattr(predictor, method)(**base[method] | {argument: value})
    pyplot.close("all")
    for file in tmp_path.iterdir():
        file.unlink()
