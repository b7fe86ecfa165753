from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS
from shapely.geometry import MultiPolygon, Point, Polygon, box
from shapely.geometry.base import BaseGeometry

from geotranslate.chips.vectors.area import area_on
from geotranslate.errors import InvalidInputError, RasterFileError
from geotranslate.raster.grid import Grid
from tests.conftest import NORTH_UP, WriteRaster

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
        (
            gpd.GeoSeries([SQUARE], crs=32633),
            'LOCAL_CS["mine",UNIT["metre",1]]',
            "The aoi cannot be brought from .* into mine: no way .* Check that both name the CRS",
        ),
        (
            gpd.GeoDataFrame({"name": ["a"]}),
            "EPSG:32633",
            "No column of the aoi holds shapes, .* choose it with set_geometry",
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


def test_raster_and_table_are_no_areas(write_raster: WriteRaster, tmp_path: Path) -> None:
    raster = write_raster("a.tif", np.ones((1, 8, 8), "uint8"))
    with pytest.raises(
        RasterFileError, match=r"a\.tif is a raster where a vector layer is expected"
    ):
        area_on(raster, GRID)
    (tmp_path / "a.csv").write_text("name\na\n")
    with pytest.raises(RasterFileError, match=r"a\.csv is a table without shapes; give a layer"):
        area_on(tmp_path / "a.csv", GRID)


BOXES = [(14, 45, 16, 46), (10, 45, 20, 46), (-180, 45, 180, 46), (14.9, 44.9, 15, 45.03)]


@pytest.mark.parametrize("bounds", BOXES)
@pytest.mark.parametrize("crs", [32633, 3035, 3857])
def test_sides_of_an_area_bend_as_they_do_on_the_ground(
    bounds: tuple[float, float, float, float], crs: int
) -> None:
    middle = gpd.GeoSeries([Point(15, 45)], crs=4326).to_crs(crs).iloc[0]
    place = Affine(100, 0, middle.x - 2e4, 0, -100, middle.y + 2e4)
    grid = Grid(CRS.from_epsg(crs), place, 400, 400)
    rows, cols = np.mgrid[:400:7, :400:7] + 0.5
    points = gpd.GeoSeries(gpd.points_from_xy(*(place @ (cols.ravel(), rows.ravel()))), crs=crs)
    inside = area_on(gpd.GeoSeries([box(*bounds)], crs=4326), grid).covers(points)
    assert 0 < inside.sum() < inside.size
    np.testing.assert_array_equal(inside, points.to_crs(4326).within(box(*bounds)))


@pytest.mark.parametrize(
    ("crs", "left", "top", "size"),
    [
        (32633, 465_000, 5_004_000, 100),
        (32660, 800_000, 1_100_000, 1000),
        (3413, -1_600_000, 1_600_000, 50_000),
        (3031, -3_000_000, 2_000_000, 60_000),
        (4326, 179.9, 10, 0.01),
        (4269, 179.9, 10, 0.01),
        (4326, -180, 32, 1),
        (3857, -20_000_000, 10_000_000, 300_000),
    ],
)
def test_the_world_holds_every_scene(crs: int, left: float, top: float, size: float) -> None:
    grid = Grid(CRS.from_epsg(crs), Affine(size, 0, left, 0, -size, top), 64, 64)
    world = area_on(gpd.GeoSeries([box(-180, -90, 180, 90)], crs=4326), grid)
    assert world.covers(grid.footprint.buffer(-1e-3 * size))
    # And a box on the other side of the globe nothing of it.
    far = box(-40, -60, -30, -50) if crs != 3031 else box(-40, 50, -30, 60)
    if size not in (1, 300_000):
        assert not area_on(gpd.GeoSeries([far], crs=4326), grid).intersects(grid.footprint)


@pytest.mark.parametrize("crs", [4326, 4269, 32601, 3857])
@pytest.mark.parametrize("scene", [179.9, -180.1])
def test_areas_beyond_the_180th_meridian_are_found(crs: int, scene: float) -> None:
    grid = Grid(CRS.from_epsg(4326), Affine(0.01, 0, scene, 0, -0.01, 10), 64, 64)
    area = gpd.GeoSeries([box(-179.99, -80, -179.5, 80)], crs=4326).segmentize(0.1).to_crs(crs)
    found = area_on(area, grid).intersection(grid.footprint)
    shift = round((scene - 179.9) / 360, 3) * 360
    assert found.bounds == pytest.approx((180.01 + shift, 9.36, 180.5 + shift, 10), abs=1e-6)
