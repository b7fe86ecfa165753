from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio

from geotranslate import Pix2Pix
from geotranslate.errors import InvalidInputError, OutputExistsError
from tests.conftest import WriteRaster
from tests.stac_schemas import assert_valid


def _item(folder: Path, name: str, **assets: dict[str, Any]) -> Path:
    """Write an Item with assets and return its path."""
    values = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": name,
        "geometry": None,
        "properties": {"datetime": "2020-07-08T09:10:11Z"},
        "links": [],
        "assets": assets,
    }
    path = folder / f"{name}.json"
    path.write_text(json.dumps(values))
    return path


@pytest.fixture
def scenes(write_raster: WriteRaster, tmp_path: Path) -> list[Path]:
    """Return the files of two Items, each with a picture and a thumbnail."""
    rng = np.random.default_rng(0)
    for name in "ab":
        write_raster(f"{name}.tif", rng.integers(0, 255, (3, 64, 64)).astype(np.uint8))
    return [
        _item(
            tmp_path,
            f"item {name}",
            visual={"href": f"./{name}.tif", "roles": ["data", "visual"]},
            thumbnail={"href": "./none.png", "roles": ["thumbnail"]},
        )
        for name in "ab"
    ]


def _read(path: Any) -> Any:
    with rasterio.open(path) as dataset:
        return dataset.read()


def test_items_are_scenes(fresh_model: Pix2Pix, scenes: list[Path], tmp_path: Path) -> None:
    wanted = _read(fresh_model.predict_raster(tmp_path / "a.tif", tmp_path / "wanted.tif"))
    items = [pystac.Item.from_file(scene) for scene in scenes]
    for number, scene in enumerate((scenes[0], str(scenes[0]), items[0])):
        output = tmp_path / f"{number}.tif"
        found = fresh_model.predict_raster(scene, output, asset="visual" if number else None)
        assert np.array_equal(_read(found), wanted)
    for several in (scenes, items, pystac.ItemCollection(items)):
        results = fresh_model.predict_raster(several, tmp_path / "out", overwrite=True)
        assert [each.path.name for each in results] == ["a_translated.tif", "b_translated.tif"]
        assert np.array_equal(_read(results[0]), wanted)


def test_items_beside_outputs(fresh_model: Pix2Pix, scenes: list[Path], tmp_path: Path) -> None:
    fresh_model.save(tmp_path / "model")
    model = Pix2Pix.from_model(tmp_path / "model")
    result = model.predict_raster(scenes[0], tmp_path / "out.tif", stac=True)
    item = pystac.Item.from_file(tmp_path / "out.stac.json")
    assert_valid(item)
    assert item.datetime.isoformat() == "2020-07-08T09:10:11+00:00"
    assert [link.href for link in item.get_links("derived_from")] == [str(scenes[0])]
    assert Path(item.assets["data"].get_absolute_href()) == result.path
    assert model.digest() in item.properties["processing:lineage"]
    model.to_stac().save_object(dest_href=str(tmp_path / "model" / "model.stac.json"))
    model.predict_raster(scenes[0], tmp_path / "out.tif", stac=True, overwrite=True)
    item = pystac.Item.from_file(tmp_path / "out.stac.json")
    place = str(tmp_path / "model" / "model.stac.json")
    assert item.properties["processing:expression"] == {"format": "stac-mlm", "expression": place}
    (tmp_path / "out.tif").unlink()
    with pytest.raises(OutputExistsError, match=r"out\.stac\.json already exists"):
        model.predict_raster(tmp_path / "a.tif", tmp_path / "out.tif", stac=True)
    assert not (tmp_path / "out.tif").exists()


def test_time_of_a_raster_is_kept(
    fresh_model: Pix2Pix, write_raster: WriteRaster, tmp_path: Path
) -> None:
    path = write_raster("dated.tif", np.zeros((3, 64, 64), np.uint8))
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(TIFFTAG_DATETIME="2018:03:04 05:06:07")
    fresh_model.predict_raster(path, stac=True)
    item = pystac.Item.from_file(tmp_path / "dated_translated.stac.json")
    assert item.datetime.isoformat() == "2018-03-04T05:06:07+00:00"


def test_items_that_are_not_clear_are_refused(
    fresh_model: Pix2Pix, scenes: list[Path], tmp_path: Path
) -> None:
    two = _item(
        tmp_path,
        "two",
        red={"href": "a.tif", "roles": ["data"]},
        nir={"href": "b.tif", "roles": ["data"]},
    )
    with pytest.raises(InvalidInputError, match="has 2 assets of data: red, nir; give the name"):
        fresh_model.predict_raster(two)
    with pytest.raises(InvalidInputError, match="has no asset 'x'; give one of its assets: visual"):
        fresh_model.predict_raster(scenes, asset="x")
    with pytest.raises(InvalidInputError, match=r"asset is 'x', but \S+a.tif\S* is no STAC Item"):
        fresh_model.predict_raster(str(tmp_path / "a.tif"), asset="x")
    with pytest.raises(InvalidInputError, match=r"part is '1/2', and a part of an output has no"):
        fresh_model.predict_raster(tmp_path / "a.tif", stac=True, part="1/2")
    with pytest.raises(InvalidInputError, match="stac is 'yes'; give True or False"):
        fresh_model.predict_raster(tmp_path / "a.tif", stac="yes")
