"""Any value at all, as an argument of `stacks` and `stack_dates` and as a STAC Item."""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import pytest
import shapely
from hypothesis import given

from geotranslate import stack, stack_dates, stacks
from geotranslate.chips.bands import check_scaling
from geotranslate.raster.stacitems import asset_path
from tests.conftest import raster_writer, values
from tests.wrong_values import WRONG, only_our_errors

ARGUMENTS = ("scenes", "layers", "resolution", "resampling", "missing")


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Write two rasters of one place."""
    write = raster_writer(tmp_path_factory.mktemp("place"))
    return [str(write(name, values((1, 9, 9), "uint8"))) for name in ("a.tif", "b.tif")]


def frame_of(paths: list[str], **columns: Any) -> gpd.GeoDataFrame:
    frame = gpd.GeoDataFrame({"a": paths[:1], "b": paths[1:]}, geometry=[shapely.Point(0, 0)])
    return frame.assign(**columns)


@pytest.mark.parametrize("argument", ARGUMENTS)
@given(value=WRONG)
def test_arguments_of_stacks(paths: list[str], argument: str, value: Any) -> None:
    given: dict[str, Any] = {"scenes": frame_of(paths), "layers": ["a", "b"], argument: value}
    with only_our_errors():
        stacks(**given)


@pytest.mark.parametrize("argument", [*ARGUMENTS, "names"])
@given(value=WRONG)
def test_arguments_of_stack_dates(paths: list[str], argument: str, value: Any) -> None:
    frame = frame_of(paths, date=["2026-05-01"])
    given: dict[str, Any] = {"scenes": frame, "layers": ["a", "b"], argument: value}
    with only_our_errors():
        stack_dates(**given)


@given(value=WRONG)
def test_cells_of_a_table(paths: list[str], value: Any) -> None:
    for column in ("a", "date"):
        frame = frame_of(paths, date=["2026-05-01"])
        frame[column] = [value]
        with only_our_errors():
            stack_dates(frame, ["a", "b"])


@given(value=WRONG)
def test_parts_of_items(value: Any) -> None:
    link = {"rel": "self", "href": "/data/item.json"}
    whole = {"id": "a", "assets": {"x": {"href": "x.tif"}}, "links": [link], "properties": {}}
    for item in (
        value,
        *({**whole, name: value} for name in whole),
        {**whole, "assets": {"x": value}},
        {**whole, "assets": {"x": {"href": value}}},
        {**whole, "links": [value]},
        {**whole, "links": [{**link, "href": value}]},
    ):
        with only_our_errors():
            asset_path(item, "x")
    with only_our_errors():
        asset_path(whole, value)


@given(value=WRONG)
def test_scalings_and_layers(paths: list[str], value: Any) -> None:
    with only_our_errors():
        check_scaling("source_scaling", value)
    with only_our_errors():
        check_scaling("source_scaling", {"a": value})
    with only_our_errors():
        stack(paths[0], value)
