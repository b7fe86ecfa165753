"""Any value for any option of a translation gives a raster, or a sentence and nothing."""

from __future__ import annotations

import inspect
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geotranslate import GeotranslateWarning, measure_seams
from geotranslate.raster.pipeline import TranslatedRaster, assemble_parts, translate_raster
from tests.conftest import WriteRaster, values
from tests.full_disk import files_in
from tests.wrong_values import WRONG, only_our_errors

CASES: dict[str, Any] = {"suppress_health_check": list(HealthCheck)}


def same(batch: Any) -> Any:
    return batch


CALLS: list[tuple[Callable[..., Any], dict[str, Any]]] = [
    (
        translate_raster,
        {
            "source": "a.tif",
            "output": "new.tif",
            "apply": same,
            "bands_out": 2,
            "tile_size": 16,
            "progress": False,
        },
    ),
    (measure_seams, {"output": "made.tif"}),
    (assemble_parts, {"target": "new.tif"}),
]
OPTIONS = [
    (call, arguments, name)
    for call, arguments in CALLS
    for name in inspect.signature(call).parameters
]


@pytest.fixture
def folder(write_raster: WriteRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, with a raster and a translation of it."""
    monkeypatch.chdir(tmp_path)
    write_raster("a.tif", values((2, 20, 30), "uint8"))
    translate_raster(
        "a.tif", "made.tif", same, bands_out=2, tile_size=16, overlap=4, progress=False
    )
    return tmp_path


@settings(max_examples=50, **CASES)
@given(option=st.sampled_from(OPTIONS), value=WRONG)
def test_any_value_gives_a_raster_or_a_sentence(folder: Path, option: Any, value: Any) -> None:
    check(folder, *option, value)


@pytest.mark.slow
@settings(max_examples=1000, **CASES)
@given(option=st.sampled_from(OPTIONS), value=WRONG)
def test_many_values_give_a_raster_or_a_sentence(folder: Path, option: Any, value: Any) -> None:
    check(folder, *option, value)


def check(
    folder: Path, call: Callable[..., Any], arguments: dict[str, Any], name: str, value: Any
) -> None:
    before = files_in(folder)
    made = None
    with only_our_errors(), warnings.catch_warnings():
        # A share of the parts is a value as well, with a warning that others are missing.
        warnings.simplefilter("ignore", GeotranslateWarning)
        made = call(**{**arguments, name: value})
    if isinstance(made, TranslatedRaster):
        made.path.unlink(missing_ok=True)
        shutil.rmtree(f"{made.path}.parts", ignore_errors=True)
    assert files_in(folder) == before
