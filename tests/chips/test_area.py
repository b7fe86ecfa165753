from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import pytest
from rasterio.crs import CRS
from shapely.geometry import MultiPolygon, Polygon, box
from shapely.geometry.base import BaseGeometry

from geotranslate.chips.area import area_on
from geotranslate.errors import InvalidInputError, RasterFileError
from geotranslate.raster.grid import Grid
from tests.conftest import NORTH_UP

GRID = Grid(CRS.from_epsg(32633), NORTH_UP, 100, 100)
SQUARE = box(500_010, 4_999_900, 500_090, 4_999_990)
HOLED = SQUARE.difference(box(500_030, 4_999_930, 500_050, 4_999_950))
SHAPES = {
    "square": SQUARE,
    "with a hole": HOLED,
    "of parts": MultiPolygon([SQUARE, box(500_100, 4_999_900, 500_120, 4_999_950)]),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326", "EPSG:3857", "EPSG:32634"])
@pytest.mark.parametrize("kind", ["frame", "series", "file", "geometry"])
def test_areas_of_any_kind_and_crs_are_the_same_ground(
    name: str, crs: str, kind: str, tmp_path: Path
) -> None:
    shape = SHAPES[name]
    frame = gpd.GeoDataFrame(geometry=[shape], crs="EPSG:32633").to_crs(crs)
    if kind == "file":
        frame.to_file(tmp_path / "area.gpkg")
    area = {
        "frame": frame,
        "series": frame.geometry,
        "file": tmp_path / "area.gpkg",
        "geometry": shape,
    }[kind]
    found = area_on(area, GRID)
    assert found.symmetric_difference(shape).area < 1e-3 * shape.area


def test_rows_become_one_area_and_crossed_polygons_are_mended() -> None:
    rows = gpd.GeoDataFrame(geometry=list(SHAPES["of parts"].geoms), crs="EPSG:32633")
    assert area_on(rows, GRID).area == pytest.approx(SHAPES["of parts"].area)
    assert area_on(Polygon([(0, 0), (4, 4), (4, 0), (0, 4)]), GRID).is_valid


def test_without_any_crs_coordinates_are_taken_as_they_are() -> None:
    frame = gpd.GeoDataFrame(geometry=[SQUARE])
    assert area_on(frame, Grid(None, NORTH_UP, 9, 9)).equals(SQUARE)


@pytest.mark.parametrize(
    ("area", "crs", "sentence"),
    [
        (Polygon(), "EPSG:32633", "The aoi is empty; give a polygon"),
        (gpd.GeoDataFrame(geometry=[], crs="EPSG:4326"), "EPSG:32633", "The aoi is empty; give"),
        (gpd.GeoSeries([SQUARE]), "EPSG:32633", "The aoi has no CRS but the raster has one; assi"),
        (gpd.GeoSeries([SQUARE], crs=32633), None, "The raster has no CRS but the aoi has one"),
        (gpd.GeoSeries([SQUARE], crs=4326), "EPSG:32633", "has no place in the raster's CRS"),
        (
            gpd.GeoSeries([SQUARE], crs=32633),
            'LOCAL_CS["mine",UNIT["metre",1]]',
            "cannot be brought into the raster's CRS: .* Check the CRS of both",
        ),
        (7, "EPSG:32633", "aoi is int; give a vector file, a GeoDataFrame or a shapely geometry"),
    ],
)
def test_impossible_areas_are_said(
    area: BaseGeometry | gpd.GeoSeries, crs: str | None, sentence: str
) -> None:
    grid = Grid(CRS.from_user_input(crs) if crs else None, NORTH_UP, 9, 9)
    with pytest.raises(InvalidInputError, match=sentence):
        area_on(area, grid)


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RasterFileError, match=r"no\.gpkg cannot be read as a vector layer"):
        area_on(tmp_path / "no.gpkg", GRID)
