"""Stacks of GeoDataFrames and STAC Items, and of several dates."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from geotranslate import export_chips, stack, stack_dates, stacks
from geotranslate.errors import InvalidInputError, RasterFileError
from geotranslate.raster.reader import RasterReader
from tests.conftest import NORTH_UP, raster_writer, values

LAYERS = {"s1": 2, "dem": 1, "s2": 3}
"""Layers of a place, with their numbers of bands."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the layers of three places."""
    path = tmp_path_factory.mktemp("places")
    write = raster_writer(path)
    for i in range(3):
        place = NORTH_UP @ Affine.translation(40 * i, 0)
        for name, bands in LAYERS.items():
            data = values((bands, 32, 32), "uint8", seed=i)
            write(f"{name}_{i}.tif", data, transform=place)
    return path


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the layers of one place at three dates."""
    path = tmp_path_factory.mktemp("year")
    write = raster_writer(path)
    for i in range(3):
        for name, bands in LAYERS.items():
            write(f"{name}_{i}.tif", values((bands, 16, 16), "uint8", seed=i))
    return path


def frame_of(folder: Path, **columns: Any) -> gpd.GeoDataFrame:
    paths = {name: [str(folder / f"{name}_{i}.tif") for i in range(3)] for name in LAYERS}
    return gpd.GeoDataFrame({**paths, **columns}, geometry=[shapely.Point(0, 0)] * 3)


def item_of(folder: Path, place: int, time: str | None = None) -> dict[str, Any]:
    assets = {name: {"href": str(folder / f"{name}_{place}.tif")} for name in LAYERS}
    return {"id": f"i{place}", "assets": assets, "properties": {"datetime": time}}


def given_in_every_form(folder: Path, tmp_path: Path) -> list[Any]:
    items = [item_of(folder, i) for i in range(3)]
    files = []
    for item in items:
        relative = {name: {"href": f"{name}_{item['id'][1:]}.tif"} for name in LAYERS}
        files.append(folder / f"{item['id']}.json")
        files[-1].write_text(json.dumps({**item, "assets": relative}))
    forms = [frame_of(folder), items, files, [str(file) for file in files], iter(items)]
    return [*forms, {"type": "FeatureCollection", "features": items}]


def test_tables_and_items_are_stacks(folder: Path, tmp_path: Path) -> None:
    expected = [
        stack(folder / f"s1_{i}.tif", folder / f"dem_{i}.tif", names=["s1", "dem"])
        for i in range(3)
    ]
    for scenes in given_in_every_form(folder, tmp_path):
        assert stacks(scenes, ["s1", "dem"]) == expected
    for scenes in given_in_every_form(folder, tmp_path):
        assert stacks(scenes, "s2") == [str(folder / f"s2_{i}.tif") for i in range(3)]
    options: dict[str, Any] = {"missing": "ignore", "resampling": "cubic", "resolution": 20}
    renamed = stacks(frame_of(folder), {"radar": "s1", "heights": "dem"}, **options)
    names = ["radar", "heights"]
    first = stack(folder / "s1_0.tif", folder / "dem_0.tif", names=names, **options)
    assert renamed[0] == first
    with RasterReader(first) as source:
        assert source.band_names == (
            *("radar:1", "radar:2", "radar:valid"),
            *("heights:1", "heights:valid"),
        )


def test_items_of_pystac_are_stacks(folder: Path) -> None:
    pystac = pytest.importorskip("pystac")
    items = []
    for i in range(2):
        time = datetime(2025, 6, 1 + i, tzinfo=timezone.utc)
        items.append(pystac.Item(f"i{i}", None, None, time, {}))
        for name in LAYERS:
            items[-1].add_asset(name, pystac.Asset(f"./{name}_{i}.tif"))
        items[-1].set_self_href(str(folder / f"i{i}.json"))
    expected = stacks([item_of(folder, i) for i in range(2)], ["s1", "dem"])
    assert stacks(items, ["s1", "dem"]) == expected
    assert stacks(pystac.ItemCollection(items), ["s1", "dem"]) == expected
    assert stacks(items[0], ["s1", "dem"]) == expected[:1]


def test_items_of_pystac_have_dates(year: Path) -> None:
    pystac = pytest.importorskip("pystac")
    items = []
    for i in (1, 0):
        time = datetime(2025, 6, 1 + i, tzinfo=timezone.utc)
        items.append(pystac.Item(f"i{i}", None, None, time, {}))
        items[-1].add_asset("dem", pystac.Asset(str(year / f"dem_{i}.tif")))
    made = stack_dates(items, "dem")
    assert [layer.name for layer in made.layers] == ["dem_2025-06-01", "dem_2025-06-02"]


def test_a_table_of_places_is_exported(folder: Path, tmp_path: Path) -> None:
    frame = frame_of(folder)
    sides = stacks(frame, ["s1", "dem"]), stacks(frame, "s2")
    done = export_chips(*sides, tmp_path / "chips", tile_size=32, progress=False)
    assert done.pairs == 3
    for file in (tmp_path / "chips/images").glob("*.tif"):
        with rasterio.open(file) as chip:
            assert chip.descriptions == ("s1:1", "s1:2", "dem:1")


@given(
    days=st.lists(st.integers(0, 900), min_size=2, max_size=3),
    hours=st.lists(st.integers(0, 23), min_size=3, max_size=3, unique=True),
    layers=st.sampled_from([["s1"], ["s2", "dem"]]),
    form=st.sampled_from(["items", "zones", "column"]),
)
def test_names_of_dates_are_unique_and_ordered(
    year: Path, days: list[int], hours: list[int], layers: list[str], form: str
) -> None:
    times = [
        datetime(2024, 1, 1, hour) + timedelta(day) for day, hour in zip(days, hours, strict=False)
    ]
    if form == "column":
        scenes: Any = frame_of(year).iloc[: len(times)].assign(date=times)
    else:
        zone = timezone(timedelta(hours=5)) if form == "zones" else timezone.utc
        texts = [
            time.replace(tzinfo=timezone.utc).astimezone(zone).isoformat(timespec="milliseconds")
            for time in times
        ]
        scenes = [item_of(year, i, text) for i, text in enumerate(texts)]
    made = stack_dates(scenes, layers)
    order = sorted(range(len(times)), key=lambda i: times[i])
    assert [layer.path for layer in made.layers] == [
        str(year / f"{name}_{i}.tif") for i in order for name in layers
    ]
    names = [layer.name for layer in made.layers]
    assert len(set(names)) == len(names)
    dates = [name.split("_")[1] for name in names[:: len(layers)]]
    assert dates == sorted(dates)
    unique = len(set(days)) == len(days)
    written = "%Y-%m-%d" if unique else "%Y-%m-%dT%H%M%S"
    assert dates == [times[i].strftime(written) for i in order]
    assert [name.split("_")[0] for name in names] == layers * len(times)


def test_dates_may_have_names_of_their_own(year: Path) -> None:
    frame = frame_of(year, date=["2026-03-01", "2026-01-01", "2026-02-01"])
    made = stack_dates(frame, "s1", names=["c", "a", "b"])
    assert [layer.name for layer in made.layers] == ["s1_a", "s1_b", "s1_c"]
    plain = stack_dates(frame.drop(columns="date"), {"x": "s1"}, names=["c", "a", "b"])
    assert [layer.name for layer in plain.layers] == ["x_c", "x_a", "x_b"]


def test_a_layer_without_change_is_there_once(year: Path) -> None:
    frame = frame_of(year, datetime=["2026-03-01", "2026-01-01", "2026-02-01"])
    frame["dem"] = frame["dem"].iloc[0]
    made = stack_dates(frame, ["dem", "s1"])
    assert [layer.name for layer in made.layers] == [
        *("dem", "s1_2026-01-01", "s1_2026-02-01", "s1_2026-03-01")
    ]


@pytest.mark.parametrize(
    ("columns", "layers", "options", "sentence"),
    [
        ({}, ["s1", "b8"], {}, "has no column 'b8'; give .* among s1, dem, s2, geometry"),
        ({"s3": ["a", None, "c"]}, ["s1", "s3"], {}, "Row 1 of the GeoDataFrame has None|nan"),
        ({}, ["s1"], {}, r"layers is \['s1'\]; give two names or more"),
        ({}, [], {}, r"layers is \[\]; give names of columns"),
        ({}, 3, {}, "layers is 3; give names of columns"),
        ({}, ["s1", 3], {}, r"layers is \['s1', 3\]; give names"),
        ({}, ["s1", "s1"], {}, "each once"),
        ({}, {"a": "s1", "b": 2}, {}, "layers is .*give names"),
        ({}, {"a:b": "s1", "b": "dem"}, {}, "The name of a layer is 'a:b'"),
        ({}, ["s1", "dem"], {"missing": "no"}, "missing is 'no'"),
    ],
)
def test_wrong_tables_end_in_a_sentence(
    folder: Path, columns: dict[str, Any], layers: Any, options: Any, sentence: str
) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        stacks(frame_of(folder, **columns), layers, **options)


@pytest.mark.parametrize(
    ("scenes", "sentence"),
    [
        ([], "There are no scenes"),
        (3, "scenes is 3; give a GeoDataFrame"),
        ("places.gpkg", "scenes is 'places.gpkg'; give a GeoDataFrame"),
        ({"id": 3}, "scenes is .*; give a GeoDataFrame"),
        ([3], "3 is no STAC Item"),
        ({"features": [{"id": "a"}]}, "is no STAC Item"),
        ([{"id": "a", "assets": {"x": {"href": "/x.tif"}}}], "Item a has no asset 's1'.*: x"),
    ],
)
def test_wrong_items_end_in_a_sentence(scenes: Any, sentence: str) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        stacks(scenes, ["s1", "dem"])


@pytest.mark.parametrize(
    ("columns", "options", "sentence"),
    [
        ({}, {}, "Row 0 of the GeoDataFrame has no date; give dates in a column date"),
        ({"date": ["2026-01-01", None, "2026-02-01"]}, {}, "Row 1 of the GeoDataFrame has no date"),
        ({"date": ["2026-01-01", "May", "x"]}, {}, "Row 1 .* has the date 'May'; give dates such"),
        ({"date": ["2026-01-01"] * 3}, {}, "3 layers have the name 's1_2026-01-01T000000'"),
        ({}, {"names": ["a", "b"]}, r"names is \['a', 'b'\]; give a list of 3 names"),
        ({}, {"names": "abc"}, "names is 'abc'; give a list of 3 names"),
        ({}, {"names": ["a", "b", "b"]}, "2 layers have the name 's1_b'"),
        ({}, {"names": ["a", "b", "c:d"]}, "The name of a layer is 's1_c:d'"),
    ],
)
def test_wrong_dates_end_in_a_sentence(
    year: Path, columns: dict[str, Any], options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        stack_dates(frame_of(year, **columns), "s1", **options)


def test_a_raster_that_is_gone_is_named(folder: Path) -> None:
    frame = frame_of(folder, s3=["none.tif"] * 3)
    with pytest.raises(RasterFileError, match=r"none\.tif cannot be opened"):
        stacks(frame, ["s1", "s3"])
