from __future__ import annotations

import subprocess
import sys

import pytest

import geotranslate


@pytest.mark.parametrize("name", geotranslate.__all__)
def test_public_names_can_be_imported(name: str) -> None:
    assert getattr(geotranslate, name).__name__ == name
    assert name in dir(geotranslate)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_of_this_name"):
        _ = geotranslate.nothing_of_this_name


@pytest.mark.parametrize(
    "name", ["export_chips", "translate_raster", "measure_seams", "evaluate_raster"]
)
def test_rasters_and_chips_need_no_torch(name: str) -> None:
    code = f"import sys, geotranslate; geotranslate.{name}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "module", ["prediction.predictor", "prediction.blocks", "interop.onnx.onnxpredictor"]
)
def test_predictors_need_torch_only_for_networks_in_torch(module: str) -> None:
    code = f"import sys, geotranslate.{module}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
