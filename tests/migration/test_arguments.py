"""Unknown arguments of public functions end in a sentence that names the right one."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

import geotranslate
from geotranslate import CycleGAN, Pix2Pix, Pix2PixHD, export_chips, load_model, prepare_data
from geotranslate.errors import GeotranslateError, ModelFileError, UnknownArgumentError
from geotranslate.migration import checks_arguments
from geotranslate.prediction.predictor import Predictor
from geotranslate.translators import Translator
from tests.wrong_values import assert_one_sentence

CASES: list[tuple[Any, dict[str, Any], str]] = [
    (prepare_data, {"dataset_type": "Pix2Pix"}, "of arcgis.learn: leave it out, as the layout"),
    (prepare_data, {"extract_bands": [0]}, "give source_bands, counted from 1 or by name"),
    (prepare_data, {"load_size": 286}, "pytorch-CycleGAN-and-pix2pix: give resize_to instead"),
    (prepare_data, {"one_cycle": True}, "give schedule='one_cycle' for True"),
    (prepare_data, {"epochs": 5}, "give it to fit"),
    (prepare_data, {"n_gen_filters": 5}, "of arcgis.learn: give ngf to Pix2PixHD"),
    (prepare_data, {"val_split": 0.1}, "perhaps val_split_pct is meant"),
    (prepare_data, {"qqq": 1}, "it has path, target, "),
    (Pix2Pix, {"netG": "unet_256"}, "Pix2Pix has no argument 'netG'; .* give generator='unet'"),
    (Pix2Pix, {"batch_size": 4}, "give it to .*prepare_data"),
    (Pix2PixHD, {"vgg_loss": True}, "leave it out; an L1 loss"),
    (CycleGAN, {"lambda_A": 10}, "give lambda_cycle, which weights both cycles"),
    (Translator.fit, {"one_cycle": True}, "fit has no argument 'one_cycle'; it is of arcgis.learn"),
    (Translator.fit, {"mixed_precision": True}, "give precision='auto' for True"),
    (Predictor.predict, {"convert_to": "A"}, "give direction='AtoB' for 'B'"),
    (Predictor.predict_raster, {"cell_size": 1}, "give resolution, at which"),
    (Translator.compute_metrics, {"show_progress": True}, "leave it out; the names of measures"),
    (Translator.save, {"publish": True}, "upload the saved folder"),
    (Translator.show_results, {"row": 3}, "perhaps rows is meant"),
    (export_chips, {"in_raster2": "a.tif"}, "give target instead"),
    (load_model, {"emd_path": "a"}, "give path instead"),
]


@pytest.mark.parametrize(("function", "arguments", "expected"), CASES)
def test_sentence_names_the_right_one(
    function: Any, arguments: dict[str, Any], expected: str
) -> None:
    with pytest.raises(UnknownArgumentError, match=expected) as caught:
        function(**arguments)
    assert isinstance(caught.value, TypeError) and isinstance(caught.value, GeotranslateError)
    assert_one_sentence(str(caught.value))


def test_values_in_wrong_places_are_said() -> None:
    with pytest.raises(UnknownArgumentError, match="takes path and target by position, but 5 val"):
        prepare_data("chips", None, 64, 0.1, 4)  # type: ignore[misc]
    with pytest.raises(UnknownArgumentError, match="given path by position and by name"):
        prepare_data("chips", path="chips")  # type: ignore[misc]
    with pytest.raises(UnknownArgumentError, match="called without source and target and folder"):
        export_chips()  # type: ignore[call-arg]


def test_signatures_and_docstrings_stay_visible() -> None:
    assert list(inspect.signature(prepare_data).parameters)[:3] == ["path", "target", "paired"]
    assert "recipe" in inspect.signature(Pix2Pix).parameters
    assert (prepare_data.__doc__ or "").startswith("Create")
    for function in (prepare_data, export_chips, load_model, geotranslate.measure_seams):
        assert inspect.unwrap(function) is not function


def test_errors_from_inside_pass() -> None:
    @checks_arguments
    def fail(value: int) -> None:
        raise TypeError(f"of its own {value}")

    with pytest.raises(TypeError, match="of its own 3"):
        fail(3)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.emd", json.dumps({"ModelName": "CycleGAN"}), "a CycleGAN.*CycleGAN"),
        ("a.emd", json.dumps({"ModelName": 5, "ImageHeight": "e.g. 256"}), r"\(a model\)"),
        ("a.emd", json.dumps({"MetaDataMode": "Export_Tiles"}), "give its folder to prepare_data"),
        ("a.emd", "[]", "cannot be read"),
        ("a.emd", "{", "cannot be read"),
        ("a.dlpk", "no archive", "cannot be read"),
    ],
)
def test_models_of_arcgis_are_described(
    tmp_path: Path, name: str, content: str, expected: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ModelFileError, match=expected) as caught:
        load_model(tmp_path / name)
    assert_one_sentence(str(caught.value))


def test_missing_definition_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot be read"):
        load_model(tmp_path / "missing.emd")
