"""Any value for any option of an export gives chips, or a sentence and nothing."""

from __future__ import annotations

import inspect
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geotranslate import export_chips
from tests.conftest import WriteRaster, values
from tests.full_disk import files_in
from tests.wrong_values import WRONG, only_our_errors

ARGUMENTS = list(inspect.signature(export_chips).parameters)
CASES: dict[str, Any] = {"suppress_health_check": list(HealthCheck)}


@pytest.fixture
def folder(write_raster: WriteRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, with two rasters and a chip folder."""
    monkeypatch.chdir(tmp_path)
    write_raster("a.tif", values((2, 8, 12), "uint8"))
    write_raster("b.tif", values((1, 8, 12), "float32"))
    export_chips("a.tif", "b.tif", "chips", tile_size=4, progress=False)
    return tmp_path


@settings(max_examples=50, **CASES)
@given(argument=st.sampled_from(ARGUMENTS), value=WRONG)
def test_any_value_gives_chips_or_a_sentence(folder: Path, argument: str, value: Any) -> None:
    check(folder, argument, value)


@pytest.mark.slow
@settings(max_examples=1000, **CASES)
@given(argument=st.sampled_from(ARGUMENTS), value=WRONG)
def test_many_values_give_chips_or_a_sentence(folder: Path, argument: str, value: Any) -> None:
    check(folder, argument, value)


def check(folder: Path, argument: str, value: Any) -> None:
    if argument == "rotation_angle" and isinstance(value, int | float) and 1 <= value < 30:
        return  # right, and slow
    before = files_in(folder)
    arguments = {"source": "a.tif", "target": "b.tif", "folder": "new", "tile_size": 4}
    exported = None
    with only_our_errors():
        exported = export_chips(**{**arguments, "progress": False, argument: value})
    if exported is not None:
        assert Path(exported).name != folder.name
        shutil.rmtree(exported)
    assert files_in(folder) == before
