"""Summaries of stacks: the ground of their layers as text and as GeoJSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.warp import transform

from geotranslate import stack
from geotranslate.errors import RasterFileError
from geotranslate.raster.coverage import LayerCoverage
from geotranslate.raster.grid import Grid
from tests.conftest import NORTH_UP, WriteRaster, values

UTM = CRS.from_epsg(32633)
DEGREES = Affine.translation(15, 45.1535) @ Affine.scale(2e-5, -2e-5)
"""Transform of a layer in degrees on the ground of `NORTH_UP`."""


def test_the_layers_of_a_stack_are_listed(write_raster: WriteRaster) -> None:
    made = stack(
        write_raster("s1.tif", values((2, 40, 60), "uint8")),
        write_raster("half.tif", values((1, 40, 30), "int16")),
        write_raster("dem.tif", values((1, 90, 120), "uint8"), crs="EPSG:4326", transform=DEGREES),
    )
    found = made.summary()
    assert [layer.share for layer in found.layers[:2]] == [1, pytest.approx(0.5)]
    lines = str(found).splitlines()
    assert lines[1].split() == ["s1", "2", "EPSG:32633", "2", "m", "100.0%"]
    assert lines[2].split()[-1] == "50.0%"
    assert lines[3].split()[:3] == ["dem", "1", "EPSG:4326"]
    assert found._repr_html_().count("<tr>") == 4


def test_outlines_are_geojson_in_degrees(write_raster: WriteRaster) -> None:
    made = stack(
        write_raster("s1.tif", values((2, 40, 60), "uint8")),
        write_raster("dem.tif", values((1, 90, 120), "uint8"), crs="EPSG:4326", transform=DEGREES),
    )
    collection = json.loads(json.dumps(made.summary().to_geojson()))
    assert collection["type"] == "FeatureCollection"
    first, second = collection["features"]
    assert first["properties"]["name"] == "s1"
    assert first["properties"]["pixel_size_m"] == [2, 2]
    assert second["properties"]["crs"] == "EPSG:4326"
    xs, ys = transform(UTM, "EPSG:4326", (500_000, 500_120), (5_000_000, 4_999_920))
    assert shapely.geometry.shape(first["geometry"]).bounds == pytest.approx(
        (xs[0], ys[1], xs[1], ys[0]), abs=2e-6
    )
    assert shapely.geometry.shape(second["geometry"]).bounds == pytest.approx(
        (15, 45.1535 - 90 * 2e-5, 15 + 120 * 2e-5, 45.1535)
    )


@given(
    st.floats(-80, 80), st.floats(-80, 80), st.floats(0.2, 4), st.floats(0, 360), st.integers(5, 90)
)
def test_shares_are_those_of_pixels(
    right: float, down: float, scale: float, turn: float, size: int
) -> None:
    grid = Grid(UTM, NORTH_UP, 70, 90)
    moved = NORTH_UP @ Affine.translation(right, down) @ Affine.rotation(turn) @ Affine.scale(scale)
    own = Grid(UTM, moved, size, size)
    rows, cols = np.indices((700, 900)) / 10 + 0.05
    there = (~moved @ NORTH_UP) @ (cols, rows)
    inside = np.logical_and.reduce([(axis >= 0) & (axis <= size) for axis in there])
    found = LayerCoverage.of("a", "a.tif", 1, own, grid).share
    assert found == pytest.approx(inside.mean(), abs=0.005)


def test_layers_without_a_crs_have_no_outline(write_raster: WriteRaster) -> None:
    paths = [
        write_raster(name, values((1, 9, 9), "uint8"), crs=None, transform=None)
        for name in ("a.tif", "b.tif")
    ]
    found = stack(*paths).summary()
    assert [layer.share for layer in found.layers] == [1, 1]
    assert str(found).splitlines()[2].split() == ["b", "1", "none", "unknown", "100.0%"]
    assert [feature["geometry"] for feature in found.to_geojson()["features"]] == [None, None]


def test_a_layer_across_the_180th_meridian_is_cut(write_raster: WriteRaster) -> None:
    place = Affine.translation(179.9, 10) @ Affine.scale(0.01, -0.01)
    data = values((1, 20, 20), "uint8")
    paths = [
        write_raster(name, data, crs="EPSG:4326", transform=place) for name in ("a.tif", "b.tif")
    ]
    (one, _) = stack(*paths).summary().to_geojson()["features"]
    assert one["geometry"]["type"] == "MultiPolygon"


def test_a_layer_that_is_gone_is_named(write_raster: WriteRaster, tmp_path: Path) -> None:
    paths = [write_raster(f"{n}.tif", values((1, 9, 9), "uint8")) for n in "ab"]
    made = stack(*paths)
    paths[1].unlink()
    with pytest.raises(RasterFileError, match=r"b\.tif cannot be opened"):
        made.summary()
