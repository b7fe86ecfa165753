from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from geotranslate import GeotranslateError, Pix2Pix
from geotranslate.errors import InvalidInputError, OutputExistsError, RasterFileError


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
