from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.windows import Window

from geotranslate.errors import GridMismatchError
from geotranslate.raster.grid import Grid, align
from geotranslate.raster.reader import RasterReader
from tests.conftest import GCPS, GRIDS, NORTH_UP, RPCS, WriteRaster, values

UTM33 = CRS.from_epsg(32633)


@pytest.mark.parametrize("transform", GRIDS.values(), ids=GRIDS)
def test_crop_keeps_every_pixel_where_it_was(transform: Affine) -> None:
    grid = Grid(UTM33, transform, 50, 70)
    part = grid.crop(Window(col_off=13, row_off=7, width=20, height=10))
    assert (part.height, part.width) == (10, 20)
    assert part.transform @ (2, 3) == pytest.approx(grid.transform @ (15, 10))


@pytest.mark.parametrize("transform", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("factor", [0.25, 1 / 3, 0.5, 1, 1.1, 2, 4])
def test_scaled_grid_lies_on_the_same_ground(transform: Affine, factor: float) -> None:
    grid = Grid(UTM33, transform, 60, 80)
    scaled = grid.scaled(factor)
    assert scaled.transform @ (0, 0) == transform @ (0, 0)
    assert scaled.transform @ (5 * factor, 7 * factor) == pytest.approx(transform @ (5, 7))
    assert scaled.resolution == pytest.approx([side / factor for side in grid.resolution])
    assert 0 <= scaled.height - 60 * factor + 1e-9 < 1
    assert 0 <= scaled.width - 80 * factor + 1e-9 < 1


def test_scaled_grid_has_whole_pixels() -> None:
    grid = Grid(None, NORTH_UP, 30, 31)
    shapes = {f: (grid.scaled(f).height, grid.scaled(f).width) for f in (1.1, 2, 0.5, 1 / 3)}
    assert shapes == {1.1: (33, 35), 2: (60, 62), 0.5: (15, 16), 1 / 3: (10, 11)}
    assert grid.scaled(1) == grid


def test_resolution_of_a_rotated_grid_is_the_length_of_its_pixel_sides() -> None:
    assert Grid(UTM33, GRIDS["rotated"], 10, 10).resolution == pytest.approx((2, 3))


def test_grids_match_within_rounding_only() -> None:
    grid = Grid(UTM33, NORTH_UP, 50, 70)
    assert grid.matches(Grid(UTM33, Affine.translation(1e-4, 0) @ NORTH_UP, 50, 70))
    assert not grid.matches(Grid(UTM33, Affine.translation(0.6, 0) @ NORTH_UP, 50, 70))
    assert not grid.matches(Grid(UTM33, NORTH_UP, 51, 70))
    assert not grid.matches(Grid(CRS.from_epsg(32632), NORTH_UP, 50, 70))
    assert not grid.matches(Grid(None, NORTH_UP, 50, 70))


def test_raster_on_the_grid_is_not_resampled(write_raster: WriteRaster) -> None:
    path = write_raster("a.tif", values((1, 20, 30), "uint8"))
    with rasterio.open(path) as dataset, align(dataset, Grid.of(dataset)) as aligned:
        assert aligned is dataset


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
@pytest.mark.parametrize("mark", ["nothing", "nodata", "mask"])
def test_aligned_raster_is_valid_only_on_its_own_valid_ground(
    write_raster: WriteRaster, dtype: str, mark: str
) -> None:
    data = np.full((1, 40, 40), 7, dtype)
    data[:, :10] = 0
    valid = data[0] > 0
    path = write_raster(
        "a.tif",
        data,
        nodata=0 if mark == "nodata" else None,
        valid=valid if mark == "mask" else None,
    )
    # 5 px further west and north, and 30 % larger than the raster.
    wide = Grid(UTM33, NORTH_UP @ Affine.translation(-5, -5), 52, 52)
    with rasterio.open(path) as dataset, align(dataset, wide) as aligned:
        found, seen = RasterReader(aligned).read()
    expected = np.zeros((52, 52), bool)
    expected[5:45, 5:45] = True if mark == "nothing" else valid
    np.testing.assert_array_equal(seen, expected)
    np.testing.assert_array_equal(found[0][5:45, 5:45][valid], 7)


def test_warp_puts_pixels_where_they_lie_on_the_ground(write_raster: WriteRaster) -> None:
    rows, cols = np.mgrid[:60, :60]
    path = write_raster("a.tif", (rows * 100 + cols)[None].astype("float32"))
    finer = Grid(UTM33, NORTH_UP @ Affine.translation(10, 10) @ Affine.scale(0.5), 80, 80)
    with rasterio.open(path) as dataset, align(dataset, finer) as aligned:
        seen = aligned.read(1)
    # The center of fine pixel (r, c) lies at (r + 0.5) / 2 + 10 - 0.5 of the coarse one.
    fine = (np.arange(80) + 0.5) / 2 + 9.5
    expected = fine[:, None] * 100 + fine[None]
    np.testing.assert_allclose(seen, expected, atol=1e-2)


def test_another_crs_is_brought_to_the_grid(write_raster: WriteRaster) -> None:
    path = write_raster("a.tif", np.full((1, 200, 200), 9, "uint8"))
    with rasterio.open(path) as dataset:
        outline = Grid.of(dataset).footprint_in(CRS.from_epsg(4326))
        left, bottom, right, top = outline.bounds
        middle = Affine(
            (right - left) / 100,
            0,
            left + (right - left) / 4,
            0,
            (bottom - top) / 100,
            top * 0.5 + bottom * 0.5,
        )
        with align(dataset, Grid(CRS.from_epsg(4326), middle, 30, 30)) as aligned:
            data, valid = RasterReader(aligned).read()
    assert valid.all()
    assert (data == 9).all()


def test_classes_are_never_mixed(write_raster: WriteRaster) -> None:
    data = values((1, 40, 40), "uint8") % 2 * 9
    table = {0: (0, 0, 0, 255), 9: (255, 0, 0, 255)}
    shifted = Grid(UTM33, NORTH_UP @ Affine.translation(0.3, 0.4), 38, 38)
    classes = write_raster("classes.tif", data, colormap=table)
    grey = write_raster("grey.tif", data)
    with rasterio.open(classes) as dataset, align(dataset, shifted) as aligned:
        assert set(np.unique(aligned.read(1))) == {0, 9}
    with rasterio.open(grey) as dataset, align(dataset, shifted) as aligned:
        assert len(np.unique(aligned.read(1))) > 2
    with rasterio.open(grey) as dataset, align(dataset, shifted, Resampling.nearest) as aligned:
        assert set(np.unique(aligned.read(1))) == {0, 9}


def test_nodata_of_one_band_is_not_mixed_into_measurements(write_raster: WriteRaster) -> None:
    data = np.full((2, 40, 40), 7, "float32")
    data[0, 10:20, 10:20] = -9999
    path = write_raster("a.tif", data, nodata=-9999)
    shifted = Grid(UTM33, NORTH_UP @ Affine.translation(0.3, 0.4), 38, 38)
    with rasterio.open(path) as dataset, align(dataset, shifted) as aligned:
        seen, valid = RasterReader(aligned).read()
    assert not valid.all()
    assert (seen[:, valid] == 7).all()


def across(code: int, west: float, north: float, east: float, south: float) -> Grid:
    """Return a grid of 20 x 20 px between these edges."""
    transform = Affine((east - west) / 20, 0, west, 0, (south - north) / 20, north)
    return Grid(CRS.from_epsg(code), transform, 20, 20)


FIELD = across(32633, 500_000, 5_000_000, 504_000, 4_996_000)
WORLD = across(4326, -180, 90, 180, -90)
POLE = across(3413, -1e6, 1e6, 1e6, -1e6)


@pytest.mark.parametrize(
    ("own", "grid"),
    [
        (WORLD, FIELD),
        (FIELD, WORLD),
        (across(3857, -2.0037e7, 2.0037e7, 2.0037e7, -2.0037e7), FIELD),
        (across(3857, -2.0037e7, 2.0037e7, 2.0037e7, -2.0037e7), WORLD),
        (across(4326, 0, 90, 360, -90), across(32718, 3e5, 8.6e6, 304_000, 8.596e6)),
        (POLE, across(4326, 10, 89.5, 20, 89)),
        (POLE, across(4326, -180, 90, 180, 60)),
        (across(3413, -4e6, 4e6, 4e6, -4e6), across(4326, -180, 62, 180, 60)),
        (POLE, across(32633, 5e5, 9.6e6, 504_000, 9.596e6)),
        (across(32601, 0.9e5, 1e6, 3e5, 8e5), across(4326, 179.2, 9, 179.9, 8)),
        (across(32660, 7e5, 1e6, 9e5, 8e5), across(32601, 1e5, 1e6, 2e5, 8e5)),
    ],
)
def test_overlap_is_seen_around_the_world(write_raster: WriteRaster, own: Grid, grid: Grid) -> None:
    data = np.full((1, 20, 20), 9, "uint8")
    for mine, other in ((own, grid), (grid, own)):
        path = write_raster("a.tif", data, crs=mine.crs, transform=mine.transform)
        with rasterio.open(path) as dataset, align(dataset, other) as aligned:
            assert aligned.shape == (20, 20)


def test_world_is_laid_on_a_field(write_raster: WriteRaster) -> None:
    data = values((1, 20, 20), "uint8")
    path = write_raster("a.tif", data, crs="EPSG:4326", transform=WORLD.transform)
    with rasterio.open(path) as dataset, align(dataset, FIELD, Resampling.nearest) as aligned:
        seen, valid = RasterReader(aligned).read()
    assert valid.all()
    # 15.0 to 15.1 degrees east and 45.1 to 45.2 north, in pixels of 18 x 9 degrees.
    assert (seen == data[0, 4, 10]).all()


@pytest.mark.parametrize(
    "place",
    [
        across(32718, 3e5, 8.6e6, 304_000, 8.596e6),
        across(32760, 3e5, 5e6, 304_000, 4.996e6),
        across(32632, 3e5, 5e6, 304_000, 4.996e6),
        POLE,
    ],
)
def test_far_rasters_in_different_crs_are_refused(write_raster: WriteRaster, place: Grid) -> None:
    data = values((1, 20, 20), "uint8")
    for own, grid in ((FIELD, place), (place, FIELD)):
        path = write_raster("a.tif", data, crs=own.crs, transform=own.transform)
        with (
            rasterio.open(path) as dataset,
            pytest.raises(GridMismatchError, match="does not overlap the source on the ground"),
        ):
            align(dataset, grid)


def test_crs_of_another_planet_is_named(write_raster: WriteRaster) -> None:
    mars = (
        'GEOGCS["Mars 2000",DATUM["D_Mars_2000",SPHEROID["Mars_2000",3396190,169.89]],'
        'PRIMEM["Reference_Meridian",0],UNIT["degree",0.0174532925199433]]'
    )
    path = write_raster("a.tif", values((1, 20, 20), "uint8"), crs=mars)
    sentence = r"a\.tif \(Mars 2000\) cannot be brought into EPSG:32633: no way .* really in\.$"
    with rasterio.open(path) as dataset, pytest.raises(GridMismatchError, match=sentence):
        align(dataset, FIELD)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    ("points", "crs", "sentence"),
    [
        ({"gcps": GCPS}, "EPSG:4326", "has ground control points only.*first with gdalwarp[.]$"),
        ({"rpcs": RPCS}, "EPSG:4326", "coefficients .RPCs. only.*first with gdalwarp -rpc[.]$"),
        ({"rpcs": RPCS}, None, "coefficients .RPCs. only.*first with gdalwarp -rpc[.]$"),
    ],
)
def test_raster_with_points_instead_of_a_grid_has_to_be_warped(
    write_raster: WriteRaster, points: dict[str, Any], crs: str | None, sentence: str
) -> None:
    path = write_raster("a.tif", values((1, 20, 30), "uint8"), crs=crs, transform=None, **points)
    with rasterio.open(path) as dataset, pytest.raises(GridMismatchError, match=sentence):
        align(dataset, FIELD)


def test_rasters_of_different_places_are_refused(write_raster: WriteRaster) -> None:
    path = write_raster("a.tif", values((1, 20, 20), "uint8"))
    far = Grid(UTM33, Affine.translation(10_000, 0) @ NORTH_UP, 20, 20)
    sentence = r"a\.tif does not overlap the source on the ground: .* Give two rasters of one place"
    with rasterio.open(path) as dataset, pytest.raises(GridMismatchError, match=sentence):
        align(dataset, far)


@pytest.mark.parametrize(
    ("own", "other", "sentence"),
    [
        (None, "EPSG:32633", "it has no CRS and the source has EPSG:32633. Assign the CRS first"),
        ("EPSG:32633", None, "the source has no CRS and it has EPSG:32633. Assign the CRS first"),
        (None, None, "have no CRS and different grids. Give both a CRS"),
    ],
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_missing_crs_is_said(
    write_raster: WriteRaster, own: str | None, other: str | None, sentence: str
) -> None:
    path = write_raster("a.tif", values((1, 20, 20), "uint8"), crs=own)
    grid = Grid(CRS.from_string(other) if other else None, NORTH_UP, 30, 30)
    with rasterio.open(path) as dataset, pytest.raises(GridMismatchError, match=sentence):
        align(dataset, grid)
