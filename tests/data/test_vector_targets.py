"""A raster and a vector layer as the sides of a training."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
from shapely.geometry import box

from geotranslate import export_chips, prepare_data
from geotranslate.chips.finding import ChipOptions, find_chips
from geotranslate.errors import GeotranslateWarning, GridMismatchError, InvalidInputError
from geotranslate.raster.reader import RasterReader
from tests.conftest import NORTH_UP, WriteRaster, read_pairs, values

SIZE = {"chip_size": 32, "stride": 32}


@pytest.fixture
def raster(write_raster: WriteRaster) -> Path:
    return write_raster("a.tif", values((3, 96, 128), "uint8"))


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    """Return shapes with class codes in another CRS."""
    corners = [(3, 4, 40, 30), (50, 20, 120, 70), (20, 60, 60, 90), (100, 5, 126, 60)]
    shapes = [
        box(*(NORTH_UP @ (left, bottom)), *(NORTH_UP @ (right, top)))
        for left, top, right, bottom in corners
    ]
    frame = gpd.GeoDataFrame({"code": [1, 2, 3, 1]}, geometry=shapes, crs="EPSG:32633")
    path = tmp_path / "b.gpkg"
    frame.to_crs("EPSG:4326").to_file(path)
    return path


@pytest.mark.parametrize(("burn", "kind"), [("code", "file"), (None, "frame")])
def test_windows_are_the_chips_of_an_export(
    raster: Path, layer: Path, tmp_path: Path, burn: str | None, kind: str
) -> None:
    target = layer if kind == "file" else gpd.read_file(layer)
    exported = read_pairs(
        export_chips(raster, layer, tmp_path / "chips", tile_size=32, burn=burn, progress=False)
    )
    found = find_chips(raster, target, ChipOptions(burn=burn, **SIZE))
    for pair, chip in zip(found.pairs, exported.pairs, strict=True):
        for one, other in zip(pair.chips, chip.chips, strict=True):
            assert one.grid == other.grid
            assert (one.dtype, one.band_names, one.nodata) == (
                other.dtype,
                other.band_names,
                other.nodata,
            )
            for pixels, written in zip(one.read(), other.read(), strict=True):
                np.testing.assert_array_equal(pixels, written)


def test_shapes_are_classes_to_train_on_in_both_directions(raster: Path, layer: Path) -> None:
    options: dict[str, Any] = {"burn": "code", "batch_size": 2, "num_workers": 0, **SIZE}
    with pytest.warns(GeotranslateWarning, match="target's values are taken for 4 classes"):
        data = prepare_data(raster, layer, **options)
    assert data.card.target.classes.values == (0, 1, 2, 3)
    assert data.card.target.band_names == ("code",)
    assert "a raster, and a vector layer burned into its grid" in str(data.summary())
    assert data.one_batch()[1].shape == (2, 1, 32, 32)
    back = prepare_data(raster, layer, direction="BtoA", **options)
    assert back.card.source.classes.values == (0, 1, 2, 3)
    swapped = prepare_data(layer, raster, **options)
    assert swapped.card.source.classes == back.card.source.classes
    assert swapped.card.target.bands == 3


def test_other_processes_burn_the_same(raster: Path, layer: Path) -> None:
    found = find_chips(raster, layer, ChipOptions(burn="code", **SIZE))
    place = found.pairs[0].target.place.path
    with RasterReader(place) as one, RasterReader(pickle.loads(pickle.dumps(place))) as other:
        np.testing.assert_array_equal(one.read()[0], other.read()[0])
        assert one.name == str(layer)


def test_layers_that_cannot_be_burned_are_refused(
    raster: Path, layer: Path, tmp_path: Path
) -> None:
    chips = tmp_path / "chips"
    chips.mkdir()
    (chips / "1.tif").write_bytes(raster.read_bytes())
    far = gpd.GeoDataFrame(geometry=[box(0, 0, 1, 1)], crs="EPSG:4326")
    for sides, options, error, sentence in (
        ((raster, layer), {"burn": "height"}, InvalidInputError, "b.gpkg has the columns code"),
        ((raster, raster), {"burn": "code"}, InvalidInputError, "no side is a vector layer; leave"),
        ((layer, layer), {}, InvalidInputError, "Both sides are vector layers; give a raster on"),
        ((layer, None), {}, InvalidInputError, "a vector layer, but the other side is None; give"),
        ((chips, layer), {}, InvalidInputError, "give the path of a raster, into whose grid"),
        ((raster, far), {}, GridMismatchError, "No shape of the vector layer lies on the raster"),
    ):
        with pytest.raises(error, match=sentence):
            find_chips(*sides, ChipOptions(**SIZE, **options))
