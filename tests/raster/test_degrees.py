from __future__ import annotations

import pytest
from affine import Affine
from rasterio.crs import CRS
from shapely.geometry import shape

from geotranslate.raster.degrees import box_of, geojson_of, in_degrees, outline_of
from geotranslate.raster.grid import Grid

UTM = Affine(10.0, 0, 500_000, 0, -10.0, 5_000_000)
WIDE = Affine(100.0, 0, 700_000, 0, -100.0, 5_000_000)
WORLD = (-180, -90, 180, 90)


def _grid(crs: str | None, transform: Affine, height: int = 100, width: int = 200) -> Grid:
    return Grid(None if crs is None else CRS.from_string(crs), transform, height, width)


@pytest.mark.parametrize(
    ("grid", "edges"),
    [
        (_grid("EPSG:32633", UTM), (15, 45.1437, 15.0254, 45.1527)),
        (_grid("EPSG:32633", UTM @ Affine.rotation(180)), (14.9746, 45.1527, 15, 45.1617)),
        (_grid("EPSG:4326", Affine(1, 0, -180, 0, -1, 90), 180, 360), WORLD),
        (_grid("EPSG:4326", Affine(1, 0, 0, 0, -1, 90), 180, 360), WORLD),
        (_grid("EPSG:4326", Affine(1, 0, 350, 0, -1, 10), 10, 5), (-10, 0, -5, 10)),
        (_grid("EPSG:4326", Affine(1, 0, 178, 0, -1, 10), 10, 5), (178, 0, -177, 10)),
        (_grid("EPSG:32660", WIDE, 10, 400), (179.54, 45.12, -179.95, 45.13)),
        (_grid("EPSG:3413", Affine(1e4, 0, -1e6, 0, -1e4, 1e6), 200, 200), (-180, 77, 180, 90)),
    ],
)
def test_boxes_and_outlines(grid: Grid, edges: tuple[float, ...]) -> None:
    found = box_of([grid])
    outline = in_degrees(grid.footprint, grid.crs)
    assert found is not None
    assert outline is not None
    assert found == pytest.approx(edges, abs=0.2)
    geometry, own = geojson_of(outline)
    assert own == pytest.approx(found, abs=1e-3)
    assert shape(geometry).is_valid
    assert shape(geometry).within(shape({"type": "Polygon", "coordinates": [_ring()]}).buffer(1e-9))


def _ring() -> list[tuple[int, int]]:
    west, south, east, north = WORLD
    return [(west, south), (east, south), (east, north), (west, north), (west, south)]


def test_box_of_several_grids_holds_all() -> None:
    grids = [_grid("EPSG:32633", UTM), _grid("EPSG:4326", Affine(0.1, 0, 10, 0, -0.1, 50), 10, 10)]
    assert box_of(grids) == pytest.approx((10, 45.1437, 15.0254, 50), abs=1e-3)


@pytest.mark.parametrize("crs", [None, 'LOCAL_CS["room",UNIT["metre",1]]'])
def test_ground_that_is_not_known_has_no_box(crs: str | None) -> None:
    assert box_of([_grid("EPSG:32633", UTM), _grid(crs, UTM)]) is None


def test_box_across_the_180th_meridian_is_two_polygons() -> None:
    geometry, edges = geojson_of(outline_of((179.0, -1.0, -179.0, 1.0)))
    assert edges == (179, -1, -179, 1)
    assert sorted(part.bounds for part in shape(geometry).geoms) == [
        (-180, -1, -179, 1),
        (179, -1, 180, 1),
    ]
