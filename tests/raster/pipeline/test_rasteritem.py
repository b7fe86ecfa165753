from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.raster import RasterExtension
from shapely.geometry import box, shape

from geotranslate import translate_raster
from geotranslate.errors import InvalidInputError, OutputExistsError, RasterFileError
from geotranslate.raster.pipeline import TranslatedRaster, moment_in, refuse_item, write_item
from geotranslate.raster.pipeline.rasteritem import moment
from tests.conftest import GCPS, GRIDS, WriteRaster
from tests.stac_schemas import assert_valid


def _translated(path: Path, **options: Any) -> TranslatedRaster:
    with rasterio.open(path) as dataset:
        facts = {"bands_out": dataset.count, "band_names": dataset.descriptions}
        facts |= {"dtype": dataset.dtypes[0], "nodata": dataset.nodata, "tile_size": 16}
    output = path.with_name("out.tif")
    return translate_raster(path, output, lambda tiles: tiles, **facts, **options)


@pytest.mark.parametrize("driver", ["COG", "GTiff"])
@pytest.mark.parametrize("grid", GRIDS)
def test_items_are_valid_and_lie_on_the_ground(
    write_raster: WriteRaster, grid: str, driver: str
) -> None:
    data = np.zeros((2, 20, 30), np.int16)
    path = write_raster("a.tif", data, transform=GRIDS[grid], nodata=-1, names=("VV", "VH"))
    result = _translated(path, driver=driver)
    item = result.to_stac(model="/models/a/model.stac.json", source="a.tif", time="2020-05-06")
    assert_valid(item)
    projection = ProjectionExtension.ext(item)
    assert projection.code == "EPSG:32633"
    assert projection.shape == [20, 30]
    assert projection.transform == pytest.approx(list(result.grid.transform[:6]))
    assert shape(item.geometry).bounds == pytest.approx(tuple(item.bbox))
    assert box(14.9, 45, 15.1, 45.2).contains(shape(item.geometry))
    asset = item.assets["data"]
    assert Path(asset.get_absolute_href()) == result.path
    assert ("cloud-optimized" in asset.media_type) == (driver == "COG")
    bands = RasterExtension.ext(asset).bands
    assert [band.properties["name"] for band in bands] == ["VV", "VH"]
    assert {band.nodata for band in bands} == {-1}
    assert item.properties["processing:expression"]["expression"] == "/models/a/model.stac.json"
    assert [link.href for link in item.get_links("derived_from")] == [
        "a.tif",
        "/models/a/model.stac.json",
    ]
    assert item.datetime.isoformat() == "2020-05-06T00:00:00+00:00"


@pytest.mark.parametrize("crs", [None, "EPSG:3857", 'LOCAL_CS["room",UNIT["metre",1]]'])
def test_items_of_any_crs_are_valid(write_raster: WriteRaster, crs: str | None) -> None:
    path = write_raster("a.tif", np.zeros((1, 9, 9), np.float32), crs=crs, nodata=np.nan)
    item = _translated(path).to_stac()
    assert_valid(item)
    assert (item.geometry is None) == (crs != "EPSG:3857")
    assert item.properties["proj:code"] == (crs if crs == "EPSG:3857" else None)
    assert ("proj:wkt2" in item.properties) == (crs is not None and "LOCAL" in crs)
    assert item.assets["data"].extra_fields["raster:bands"][0]["nodata"] == "nan"


def test_ground_control_points_give_the_outline(write_raster: WriteRaster) -> None:
    data = np.zeros((1, 20, 30), np.uint8)
    path = write_raster("a.tif", data, transform=None, crs="EPSG:4326", gcps=GCPS)
    item = _translated(path).to_stac()
    assert_valid(item)
    assert item.bbox == pytest.approx([10, 30, 40, 50])
    assert "proj:transform" not in item.properties


def test_written_item_is_read_by_pystac(write_raster: WriteRaster) -> None:
    path = write_raster("a.tif", np.zeros((1, 9, 9), np.uint8))
    written = write_item(_translated(path).path)
    assert written.name == "out.stac.json"
    item = pystac.Item.from_file(written)
    assert_valid(item)
    assert Path(item.assets["data"].get_absolute_href()) == path.with_name("out.tif")
    assert [each.name for each in path.parent.iterdir() if "partial" in each.name] == []
    with pytest.raises(OutputExistsError, match=r"out\.stac\.json already exists; give another"):
        refuse_item(path.with_name("out.tif"), replaced=False)
    refuse_item(path.with_name("out.tif"), replaced=True)
    json.loads(written.read_text())


def test_raster_that_is_gone_is_named(write_raster: WriteRaster, tmp_path: Path) -> None:
    path = write_raster("a.tif", np.zeros((1, 9, 9), np.uint8))
    with pytest.raises(RasterFileError, match=r"gone\.tif cannot be described by a STAC item"):
        TranslatedRaster(tmp_path / "gone.tif", _translated(path).grid).to_stac()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2019-06-01", "2019-06-01T00:00:00Z"),
        ("2019-06-01T10:30:00Z", "2019-06-01T10:30:00Z"),
        ("2019-06-01T10:30:00+02:00", "2019-06-01T08:30:00Z"),
        ("2019:06:01 10:30:00", "2019-06-01T10:30:00Z"),
        ("yesterday", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("", None),
        (None, None),
    ],
)
def test_times(text: str | None, found: str | None) -> None:
    assert moment_in(text) == found


def test_wrong_time_is_named() -> None:
    with pytest.raises(InvalidInputError, match="time is 'x'; give a date or time such as 2019"):
        moment("time", "x")
