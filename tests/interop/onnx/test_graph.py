from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from affine import Affine

from geotranslate import CycleGAN, Pix2Pix, Pix2PixHD, SuperResolution, load_onnx, prepare_data
from geotranslate.chips.bands import Direction
from geotranslate.errors import GeotranslateError, InvalidInputError, MissingPackageError
from geotranslate.interop.onnx import graph as graphs
from geotranslate.interop.onnx.comparison import compare, drawn
from tests.conftest import NORTH_UP, WriteRaster, values


def session_of(file: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])


def check_file(file: Path, translate: Any, side: Any) -> None:
    """Check a file against a function from arrays to arrays, at sizes that no export compares."""
    onnx.checker.check_model(str(file), full_check=True)
    session = session_of(file)
    for number, (count, rows, cols) in enumerate([(5, 64, 128), (1, 192, 64)]):
        images = drawn(side, (count, rows, cols), 50 + number)
        found = session.run(None, {"source": images})[0]
        expected = translate(images)
        apart = np.abs(found - expected).max() / max(np.ptp(expected), 1e-3)
        assert found.shape == expected.shape
        assert apart < 1e-4


def test_a_file_is_one_file_of_any_size_that_translates_like_the_model(
    small_model: Pix2Pix, onnx_file: Path
) -> None:
    assert [file.name for file in onnx_file.parent.iterdir()] == ["model.onnx"]
    inference = small_model.predictor.inference
    check_file(onnx_file, inference, inference.card.source)
    model = onnx.load(onnx_file)
    assert model.ir_version == 8
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    shapes = [
        [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    ]
    assert shapes == [["batch", 3, "8*rows", "8*cols"], ["batch", 1, "8*rows", "8*cols"]]


def test_a_file_has_the_card_and_the_facts_of_its_graph(
    small_model: Pix2Pix, onnx_file: Path
) -> None:
    entries = {entry.key: json.loads(entry.value) for entry in onnx.load(onnx_file).metadata_props}
    assert entries["geotranslate"]["card"] == json.loads(
        json.dumps(small_model.saved_card().to_json())
    )
    assert entries["geotranslate"]["digest"] == small_model.digest()
    assert entries["geotranslate"]["model"] == "Pix2Pix"
    facts = entries["geotranslate_graph"]
    assert facts["stride"] == 8
    assert facts["radius"] == small_model.predictor.inference.radius


def test_a_difference_from_torch_writes_no_file(
    small_model: Pix2Pix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Session:
        def run(self, _: None, given: dict[str, Any]) -> list[Any]:
            return [given["source"][:, :1]]

    monkeypatch.setattr(graphs, "_program", lambda *_: MagicMock())
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: Session())
    with pytest.raises(GeotranslateError, match="differs from the model by"):
        small_model.export(tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_differences_are_relative_to_the_range() -> None:
    images = np.zeros((1, 1, 2, 2), np.float32)
    compare(lambda x: [x], lambda x: [x + 0.5], images, [1e4])
    for found in (images + 2, images * np.nan):
        with pytest.raises(GeotranslateError, match="differs"):
            compare(lambda x: [x], lambda _, found=found: [found], images, [1e4])


def test_a_missing_package_is_named_with_its_extra(
    small_model: Pix2Pix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingPackageError, match=r"geotranslate\[onnx\]"):
        small_model.export(tmp_path / "model.onnx")


MODELS: dict[str, Callable[[Any], Any]] = {
    "start": lambda data: Pix2Pix(data, recipe="measurement", ngf=4, depth=2),
    "backbone": lambda data: Pix2Pix(data, recipe="picture", backbone="resnet18", weights=None),
    "hd": lambda data: Pix2PixHD(data, ngf=4, ndf=4, n_blocks_global=1),
    "cyclegan": lambda data: CycleGAN(data, ngf=4, ndf=4, gen_blocks=2),
}


@pytest.mark.slow(1)
@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_network_can_be_exported(chips64: Path, tmp_path: Path, name: str) -> None:
    model = MODELS[name](prepare_data(chips64, num_workers=0))
    back = name == "cyclegan"
    kind: Any = "tile" if back else "running"
    direction: Direction = "BtoA" if back else "AtoB"
    if back:
        with pytest.raises(InvalidInputError, match="give norm_stats='tile'"):
            model.export(tmp_path / "model.onnx")
    file = model.export(
        tmp_path / "model.onnx", direction=direction, norm_stats=kind if back else "auto"
    )
    inference = model.towards(direction).inference.at("float32", kind)
    check_file(file, inference, inference.card.source)
    predictor = load_onnx(file)
    assert predictor.card == inference.card
    image = drawn(inference.card.source, (1, 70, 50))[0]
    expected = inference.image(image, np.ones((70, 50), bool))
    found = predictor.predict(image, direction=direction)
    rounding = 1 if expected.dtype.kind == "u" else 0
    apart = np.abs(found.astype(float) - expected)
    assert apart.max() <= max(1e-4 * np.ptp(expected), rounding)


@pytest.mark.slow(1)
def test_details_of_a_finer_target_are_exported(write_raster: WriteRaster, tmp_path: Path) -> None:
    for number in range(4):
        ground = NORTH_UP @ Affine.translation(32 * number, 0)
        write_raster(f"c/images/{number}.tif", values((2, 32, 32), "uint8"), transform=ground)
        finer = ground @ Affine.scale(0.5)
        write_raster(f"c/images2/{number}.tif", values((2, 64, 64), "uint8"), transform=finer)
    model = SuperResolution(prepare_data(tmp_path / "c", num_workers=0), blocks=1, ngf=4)
    torch.nn.init.normal_(model.pair.generator.network.head[1].weight, 0, 0.2)
    predictor = load_onnx(model.export(tmp_path / "model.onnx"))
    image = values((2, 21, 30), "uint8")
    found, expected = predictor.predict(image), model.predict(image)
    assert found.shape == (2, 42, 60)
    assert np.abs(found.astype(int) - expected).max() <= 1  # rounded


@pytest.mark.slow(1)
def test_classes_and_other_form_of_the_graph_are_exported(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    for number in range(4):
        place = {"transform": NORTH_UP @ Affine.translation(64 * number, 0)}
        classes = np.array([1, 3, 7], np.uint8)[values((1, 64, 64), "uint8", number) % 3]
        write_raster(f"c/images/{number}.tif", classes, **place)
        write_raster(f"c/images2/{number}.tif", 3 * classes, **place)
    data = prepare_data(tmp_path / "c", source_classes=True, target_classes=False, num_workers=0)
    model = Pix2Pix(data, recipe="picture", ngf=4, depth=2)
    options = graphs.GraphOptions(
        opset=17, ir_version=7, rows=64, cols=32, batch=1, after=torch.nn.Tanh()
    )
    file = tmp_path / "form.onnx"
    graphs.write_graph(model.predictor.inference.at("float32"), file, options)
    proto = onnx.load(file)
    assert (proto.ir_version, proto.opset_import[0].version) == (7, 17)
    session = session_of(file)
    assert session.get_inputs()[0].shape == [1, 1, 64, 32]
    image = drawn(model.card.source, (1, 64, 32))
    with torch.no_grad():
        scaled = torch.from_numpy(model.card.source.scaling.scale(image))
        expected = torch.tanh(model.predictor.inference.scaled(scaled))
    np.testing.assert_allclose(session.run(None, {"source": image})[0], expected, atol=1e-4)
