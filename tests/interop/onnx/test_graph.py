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

from geotranslate import CycleGAN, Pix2Pix, Pix2PixHD, prepare_data
from geotranslate.errors import GeotranslateError, MissingPackageError
from geotranslate.interop.onnx import graph as graphs
from geotranslate.interop.onnx.comparison import compare, drawn


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
    "default": lambda data: Pix2Pix(data, ngf=4),
    "measurement": lambda data: Pix2Pix(data, recipe="measurement", ngf=4),
    "reflect": lambda data: Pix2Pix(data, recipe="picture", ngf=4, padding="reflect"),
    "resnet": lambda data: Pix2Pix(data, generator="resnet6", norm="instance", ngf=4),
    "backbone": lambda data: Pix2Pix(data, backbone="resnet18", weights=None),
    "hd": lambda data: Pix2PixHD(data, ngf=4, ndf=4),
    "group": lambda data: Pix2Pix(data, norm="group", ngf=4),
    "channel": lambda data: Pix2Pix(data, norm="channel", ngf=4),
    "cyclegan": lambda data: CycleGAN(data, ngf=4, ndf=4),
}


@pytest.mark.slow(1)
@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_network_can_be_exported(chips64: Path, tmp_path: Path, name: str) -> None:
    model = MODELS[name](prepare_data(chips64, num_workers=0))
    alone = name in ("resnet", "group", "cyclegan")
    options: dict[str, Any] = {"norm_stats": "tile"} if alone else {}
    direction = "BtoA" if name == "cyclegan" else "AtoB"
    file = model.export(tmp_path / "model.onnx", direction=direction, **options)
    inference = model.towards(direction).inference.at("float32", "tile" if alone else "running")
    check_file(file, inference, inference.card.source)
