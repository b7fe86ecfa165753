from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geotranslate import GeotranslateError, Pix2Pix
from geotranslate.errors import InvalidInputError, OutputExistsError, RasterFileError
from geotranslate.interop.onnx import graph, onnxfile
from tests.full_disk import file_limit, needs_limits
from tests.wrong_values import WRONG, only_our_errors


def test_an_existing_file_stays_unless_it_may_be_replaced(
    small_model: Pix2Pix, tmp_path: Path
) -> None:
    file = tmp_path / "model.onnx"
    file.write_text("mine")
    with pytest.raises(OutputExistsError, match="overwrite=True"):
        small_model.export(file)
    assert file.read_text() == "mine"


@pytest.mark.parametrize("name", ["model", "model.pt", "model.onnx.txt"])
def test_the_ending_decides_the_format(small_model: Pix2Pix, tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInputError, match=r"a name that ends in \.onnx or \.dlpk"):
        small_model.export(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_the_folder_has_to_exist(small_model: Pix2Pix, tmp_path: Path) -> None:
    with pytest.raises(RasterFileError, match="does not exist"):
        small_model.export(tmp_path / "none" / "model.onnx")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"direction": "BtoA"}, "translates from source to target"),
        ({"norm_stats": "scene"}, "measured on a scene"),
        ({"norm_stats": "smooth"}, "measured on a scene"),
        ({"norm_stats": 0.25}, "measured on a scene"),
        ({"norm_stats": "often"}, "give one of"),
        ({"overwrite": 1}, "give True or False"),
        ({"opset": 17}, "has no argument"),
    ],
)
def test_what_cannot_be_exported_ends_in_a_sentence(
    small_model: Pix2Pix, tmp_path: Path, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(GeotranslateError, match=sentence):
        small_model.export(tmp_path / "model.onnx", **options)
    assert not list(tmp_path.iterdir())


ARGUMENTS = ("path", "direction", "norm_stats", "flavor", "tile_size", "overwrite")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(argument=st.sampled_from(ARGUMENTS), value=WRONG)
def test_any_value_gives_a_file_or_a_sentence(
    small_model: Pix2Pix,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    argument: str,
    value: Any,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(onnxfile, "write_graph", lambda _, path, options: path.touch())
    with only_our_errors():
        small_model.export(**{"path": "model.onnx", argument: value})
    (tmp_path / "model.onnx").unlink(missing_ok=True)
    assert not list(tmp_path.iterdir())


@needs_limits
def test_a_full_disk_leaves_the_former_file(
    small_model: Pix2Pix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(path: str, external_data: bool) -> None:
        Path(path).write_bytes(bytes(100_000))

    monkeypatch.setattr(graph, "_program", lambda *_: MagicMock(save=save))
    monkeypatch.setattr(graph, "_compared", lambda *_: 8)
    file = tmp_path / "model.onnx"
    file.write_text("former")
    with file_limit(50_000), pytest.raises(RasterFileError, match=r"cannot be written: .*large"):
        small_model.export(file, overwrite=True)
    assert [each.name for each in tmp_path.iterdir()] == ["model.onnx"]
    assert file.read_text() == "former"
    small_model.export(file, overwrite=True)
    assert file.stat().st_size == 100_000
