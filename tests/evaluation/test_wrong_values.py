"""Law: whatever is given for an argument, it works or one of our sentences says why."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geotranslate import evaluate_raster
from tests.conftest import raster_writer
from tests.wrong_values import WRONG, only_our_errors

OPTIONS = sorted({*inspect.signature(evaluate_raster).parameters} - {"progress"})
HARD: list[Any] = [
    *({0: "a", 1: "b"}, {0: (1, 2), 1: (3,)}, [[0], [9]], {"x": (1,)}, [[np.nan]], {0: [1j]}),
    *("a.tif", "b.tif", {"x": "b.tif"}, ("a.tif", "b.tif"), ("a.tif", 3), ["two.tif", "two.tif"]),
    *("two.tif", "missing.tif", "/", "no/error.tif", {"": "a.tif"}, [1], ["x"], [7], np.arange(3)),
    *(
        gpd.GeoDataFrame({"x": [1]}),
        gpd.GeoSeries([None], crs=4326),
        gpd.GeoSeries([shapely.box(0, 0, 1, 1)]),
    ),
    *(16, 48, 2**60, [16], (5, np.inf), range(300)),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write = raster_writer(tmp_path)
    data = np.random.default_rng(0).integers(0, 40, (2, 20, 30)).astype("uint8")
    write("a.tif", data[:1])
    write("b.tif", data[1:])
    write("two.tif", data)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@settings(max_examples=80, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(OPTIONS),
    value=WRONG | st.sampled_from(HARD),
    other=st.sampled_from([{}, {"source": "two.tif"}, {"classes": False}, {"palette": [[0], [9]]}]),
)
def test_wrong_values_end_in_one_of_our_sentences(
    folder: Path, name: str, value: Any, other: dict[str, Any]
) -> None:
    given: dict[str, Any] = {"prediction": "a.tif", "reference": "b.tif", "progress": False}
    with only_our_errors():
        evaluate_raster(**(given | other | {name: value}))
    assert not [file for file in os.listdir(folder) if file.startswith(".")]
