"""Chips that are black outside of shapes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
from affine import Affine
from rasterio.features import geometry_mask
from shapely.geometry import Point, Polygon, box

from geotranslate import export_chips
from geotranslate.errors import InvalidInputError
from tests.conftest import GRIDS, NORTH_UP, WriteRaster, read_pairs, values

OPTIONS: dict[str, Any] = {"tile_size": 32, "progress": False, "blacken": True}


def ground(*corners: tuple[float, float], transform: Affine = NORTH_UP) -> Polygon:
    """Return the polygon of columns and rows on the ground."""
    return Polygon([transform @ corner for corner in corners])


@pytest.mark.parametrize("transform", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("nodata", [None, 255])
def test_both_rasters_are_black_outside_of_the_area(
    write_raster: WriteRaster, tmp_path: Path, transform: Affine, nodata: float | None
) -> None:
    data = values((3, 64, 64), "uint8") % 250 + 1
    path = write_raster("a.tif", data, transform=transform, nodata=nodata)
    area = ground((3.2, 5.1), (61, 8), (40, 60.5), transform=transform)
    export = export_chips(path, path, tmp_path / "c", aoi=area, min_cover=0.01, **OPTIONS)
    inside = geometry_mask([area], (64, 64), transform, invert=True)
    pairs = read_pairs(export).pairs
    assert len(pairs) == 4
    for pair, (row, col) in zip(pairs, ((0, 0), (0, 32), (32, 0), (32, 32)), strict=True):
        here = np.s_[..., row : row + 32, col : col + 32]
        for chip in pair.chips:
            pixels, valid = chip.read()
            np.testing.assert_array_equal(valid, inside[here])
            expected = np.where(inside, data, 0 if nodata is None else nodata)
            np.testing.assert_array_equal(pixels, expected[here])
    model = json.loads((tmp_path / "c" / "esri_model_definition.emd").read_text())
    assert model["BlackenAroundFeature"] is True


@pytest.mark.parametrize("swapped", [False, True])
def test_the_raster_is_black_outside_of_the_shapes_whatever_their_value(
    write_raster: WriteRaster, tmp_path: Path, swapped: bool
) -> None:
    data = values((1, 64, 64), "uint16") | 1
    path = write_raster("a.tif", data)
    shapes = [ground((2, 2), (20, 2), (20, 20), (2, 20)), ground((40, 5), (60, 5), (50, 30))]
    layer = gpd.GeoDataFrame({"code": [0, 7]}, geometry=shapes, crs="EPSG:32633")
    sides = (layer, path) if swapped else (path, layer)
    export = export_chips(*sides, tmp_path / "c", burn="code", **OPTIONS)
    assert (export.pairs, export.mostly_invalid) == (2, 2)
    inside = geometry_mask(shapes, (64, 64), NORTH_UP, invert=True)
    for pair, col in zip(read_pairs(export).pairs, (0, 32), strict=True):
        raster, burned = (chip.read() for chip in (pair.chips[::-1] if swapped else pair.chips))
        np.testing.assert_array_equal(raster[1], inside[:32, col : col + 32])
        np.testing.assert_array_equal(raster[0], np.where(inside, data, 0)[:, :32, col : col + 32])
        assert burned[1].all()
        assert set(np.unique(burned[0])) == ({0} if col == 0 else {0, 7})


def test_turned_chips_are_black_where_the_ground_is(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    path = write_raster("a.tif", values((1, 32, 32), "uint8") | 1)
    area = ground((0, 0), (16, 0), (16, 32), (0, 32))
    export = export_chips(
        path, path, tmp_path / "c", aoi=area, min_cover=0, rotation_angle=90, **OPTIONS
    )
    shown = [pair.source.read()[1] for pair in read_pairs(export).pairs]
    halves = [np.s_[:, :16], np.s_[16:, :], np.s_[:, 16:], np.s_[:16, :]]
    assert len(shown) == 4
    for valid in shown:
        assert any(valid[half].all() and valid.mean() == 0.5 for half in halves)
    assert len({valid.tobytes() for valid in shown}) == 4


def test_without_shapes_there_is_nothing_to_blacken(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    path = write_raster("a.tif", values((1, 64, 64), "uint8"))
    with pytest.raises(InvalidInputError, match="blacken is True, but there are no shapes outside"):
        export_chips(path, path, tmp_path / "c", **OPTIONS)
    small = gpd.GeoDataFrame(geometry=[Point(NORTH_UP @ (60, 60)).buffer(0.1)], crs="EPSG:32633")
    with pytest.raises(InvalidInputError, match="or none inside of the shapes that blacken leaves"):
        export_chips(path, small, tmp_path / "c", **OPTIONS)
    with pytest.raises(InvalidInputError, match="blacken is 'yes'; give True or False"):
        export_chips(path, path, tmp_path / "c", tile_size=32, aoi=box(0, 0, 1, 1), blacken="yes")
