"""Mosaics in export, training and prediction, which are as their whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from geotranslate import Pix2Pix, export_chips, mosaic, prepare_data
from tests.conftest import NORTH_UP, WriteRaster, read_pairs, values

DATA: dict[str, Any] = {"num_workers": 0, "device": "cpu", "chip_size": 64}
TRANSLATE: dict[str, Any] = {"progress": False, "precision": "float32", "overwrite": True}


@pytest.fixture
def place(write_raster: WriteRaster, tmp_path: Path) -> Path:
    """Return a folder with a source, its halves, and a target on other pixels."""
    data = values((3, 128, 192), "uint8") | 1
    data[:, :30, :30] = 0
    options = {"nodata": 0, "names": ("r", "g", "b")}
    write_raster("whole.tif", data, **options)
    write_raster("west.tif", data[:, :, :100], **options)
    east = NORTH_UP @ Affine.translation(90, 0)
    write_raster("east.tif", data[:, :, 90:], transform=east, **options)
    write_raster("map.tif", values((1, 64, 96), "uint16"), transform=NORTH_UP @ Affine.scale(2))
    return tmp_path


def test_chips_of_a_mosaic_are_those_of_the_whole(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    made = mosaic("west.tif", "east.tif")
    sides = {"whole": "whole.tif", "made": made, "text": "west.tif,east.tif"}
    exports = {
        name: export_chips(
            side, "map.tif", tmp_path / name, tile_size=64, rotation_angle=180, progress=False
        )
        for name, side in sides.items()
    }
    wanted = read_pairs(exports["whole"]).pairs
    for name in ("made", "text"):
        for pair, whole in zip(read_pairs(exports[name]).pairs, wanted, strict=True):
            assert pair.source.grid == whole.source.grid
            assert pair.source.band_names == ("r", "g", "b")
            assert pair.source.nodata == 0
            for one, other in zip(pair.source.read(), whole.source.read(), strict=True):
                np.testing.assert_array_equal(one, other)


def test_a_mosaic_is_a_target_on_another_grid(place: Path, tmp_path: Path) -> None:
    made = mosaic(place / "west.tif", place / "east.tif")
    pairs = [
        read_pairs(
            export_chips(place / "map.tif", target, tmp_path / name, tile_size=32, progress=False)
        ).pairs
        for name, target in (("a", place / "whole.tif"), ("b", made))
    ]
    for whole, both in zip(*pairs, strict=True):
        (wanted, shown), (found, seen) = whole.target.read(), both.target.read()
        assert (shown == seen).mean() > 0.98
        here = shown & seen
        assert np.quantile(np.abs(wanted.astype(int) - found)[:, here], 0.95) <= 2


def test_a_model_is_trained_on_a_mosaic_and_translates_it(place: Path, tmp_path: Path) -> None:
    made = mosaic(place / "west.tif", place / "east.tif")
    data = prepare_data(made, place / "map.tif", **DATA)
    whole = prepare_data(place / "whole.tif", place / "map.tif", **DATA)
    assert data.card.source.mean == whole.card.source.mean
    assert data.card.source.band_names == ("r", "g", "b")
    model = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4)
    outputs = [
        model.predict_raster(scene, tmp_path / f"translated_{name}", **TRANSLATE)
        for scene, name in ((made, "made.tif"), (place / "whole.tif", "whole.tif"))
    ]
    with rasterio.open(outputs[0]) as one, rasterio.open(outputs[1]) as other:
        np.testing.assert_array_equal(one.read(), other.read())
        np.testing.assert_array_equal(one.dataset_mask(), other.dataset_mask())
        assert (one.crs, one.transform) == (other.crs, other.transform)
        assert one.tags()["GEOTRANSLATE_SOURCE"] == "west.tif,east.tif"
    assert Path(model.predict_raster(made, **TRANSLATE)).name == "west_translated.tif"
