from __future__ import annotations

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.windows import Window

from geotranslate.errors import GridMismatchError
from geotranslate.raster.grid import Grid, align
from geotranslate.raster.source import Source
from tests.conftest import GRIDS, NORTH_UP, WriteRaster, values

UTM33 = CRS.from_epsg(32633)


@pytest.mark.parametrize("transform", GRIDS.values(), ids=GRIDS)
def test_crop_keeps_every_pixel_where_it_was(transform: Affine) -> None:
    grid = Grid(UTM33, transform, 50, 70)
    part = grid.crop(Window(col_off=13, row_off=7, width=20, height=10))
    assert (part.height, part.width) == (10, 20)
    assert part.transform @ (2, 3) == pytest.approx(grid.transform @ (15, 10))


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
        found, seen = Source(aligned).read()
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
    # The centre of fine pixel (r, c) lies at (r + 0.5) / 2 + 10 - 0.5 of the coarse one.
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
            data, valid = Source(aligned).read()
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


def test_rasters_of_different_places_are_refused(write_raster: WriteRaster) -> None:
    path = write_raster("a.tif", values((1, 20, 20), "uint8"))
    far = Grid(UTM33, Affine.translation(10_000, 0) @ NORTH_UP, 20, 20)
    sentence = r"a\.tif does not overlap the source on the ground: .* Give two rasters of one place"
    with rasterio.open(path) as dataset, pytest.raises(GridMismatchError, match=sentence):
        align(dataset, far)


@pytest.mark.parametrize(
    ("own", "other", "sentence"),
    [
        (None, "EPSG:32633", "It has no CRS and the source has EPSG:32633. Assign the CRS first"),
        ("EPSG:32633", None, "The source has no CRS and it has EPSG:32633. Assign the CRS first"),
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
