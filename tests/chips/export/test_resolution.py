"""Export at a pixel size that neither side has, and of chips that are no squares."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner
from shapely.geometry import box

from geotranslate import export_chips, prepare_data
from geotranslate.chips.export.scene_sides import at_resolution
from geotranslate.cli import main
from geotranslate.errors import GeotranslateWarning, InvalidInputError
from geotranslate.raster.grid import Grid
from tests.conftest import WriteRaster, values


def ramp(height: int, width: int, pixel: float) -> np.ndarray:
    """Return a plane `(1, rows, cols)` over the ground, in meters from the upper left corner."""
    rows, cols = ((np.arange(n) + 0.5) * pixel for n in (height, width))
    return (rows[:, None] + 2 * cols)[None].astype("float32")


@pytest.mark.parametrize("resolution", [10, 20, 30])
def test_both_sides_are_brought_to_the_resolution(
    write_raster: WriteRaster, tmp_path: Path, resolution: int
) -> None:
    landsat = write_raster(
        "landsat.tif", ramp(64, 80, 30), transform=Affine(30, 0, 500_000, 0, -30, 5_000_000)
    )
    sentinel = write_raster(
        "sentinel.tif", ramp(192, 240, 10), transform=Affine(10, 0, 500_000, 0, -10, 5_000_000)
    )
    export = export_chips(
        landsat, sentinel, tmp_path / "c", tile_size=32, resolution=resolution, progress=False
    )
    assert export.target_warped
    assert export.pairs == (64 * 30 // resolution // 32) * (80 * 30 // resolution // 32)
    for side in ("images", "images2"):
        for path in sorted((tmp_path / "c" / side).glob("*.tif")):
            with rasterio.open(path) as chip:
                assert chip.transform.a == -chip.transform.e == resolution
                x, y = chip.transform.c - 500_000, 5_000_000 - chip.transform.f
                expected = ramp(32, 32, resolution) + y + 2 * x
                # At the edge of the raster there is nothing to interpolate with.
                difference = np.abs(chip.read() - expected)[0, 4:-4, 4:-4]
                assert difference.max() < 0.1
    assert prepare_data(export).card.ground_size == pytest.approx((resolution, resolution))


def test_layers_are_burned_at_the_resolution(write_raster: WriteRaster, tmp_path: Path) -> None:
    raster = write_raster("r.tif", values((1, 64, 64), "uint8"))  # pixels of 2 m
    layer = gpd.GeoDataFrame(
        geometry=[box(500_000, 4_999_936, 500_064, 5_000_000)], crs="EPSG:32633"
    )
    export = export_chips(raster, layer, tmp_path / "c", tile_size=64, resolution=1, progress=False)
    assert export.pairs == 4
    with rasterio.open(tmp_path / "c/images2/000000000.tif") as chip:
        assert chip.read().all()


def test_grids_keep_their_corner_and_their_turn() -> None:
    turned = Affine.translation(5e5, 5e6) @ Affine.rotation(30) @ Affine.scale(2, -3)
    found = at_resolution(Grid(rasterio.CRS.from_epsg(32633), turned, 100, 101), 1.5, "r")
    assert (found.height, found.width) == (200, 134)
    assert found.resolution == pytest.approx((1.5, 1.5))
    assert found.transform @ (0, 0) == pytest.approx((5e5, 5e6))


@pytest.mark.parametrize(
    ("resolution", "crs", "said"),
    [
        (0, "EPSG:32633", "resolution is 0; give a number above 0"),
        ("10", "EPSG:32633", "resolution is '10'; give a number above 0"),
        (1, None, "resolution is 1 meters, but .*r.tif has no CRS that tells the size"),
        (1e4, "EPSG:32633", "at which .*r.tif would have 0 x 0 pixels; its own are 2 x 2 m. Give"),
        (1e-9, "EPSG:32633", "at which .*r.tif would have [0-9]* x [0-9]* pixels; its own are"),
    ],
)
def test_impossible_resolutions_are_said(
    write_raster: WriteRaster, tmp_path: Path, resolution: float, crs: str | None, said: str
) -> None:
    raster = write_raster("r.tif", values((1, 64, 64), "uint8"), crs=crs)
    with pytest.raises(InvalidInputError, match=said):
        export_chips(
            raster, raster, tmp_path / "c", tile_size=32, resolution=resolution, progress=False
        )


def test_chips_may_have_other_rows_than_columns(write_raster: WriteRaster, tmp_path: Path) -> None:
    data = values((1, 100, 130), "uint8")
    raster = write_raster("r.tif", data)
    export = export_chips(
        raster, raster, tmp_path / "c", tile_size=(40, 64), stride=(30, 64), progress=False
    )
    assert export.pairs == 3 * 2
    with rasterio.open(tmp_path / "c/images2/000000003.tif") as chip:
        np.testing.assert_array_equal(chip.read(), data[:, 30:70, 64:128])
    model = json.loads((tmp_path / "c/esri_model_definition.emd").read_text())
    assert (model["ImageHeight"], model["ImageWidth"]) == (40, 64)
    assert (
        export_chips(
            raster, raster, tmp_path / "c", tile_size=(40, 64), append=True, progress=False
        ).pairs
        == 2 * 2
    )
    with pytest.raises(InvalidInputError, match=r"has 64 x 40 px and .*, the new ones 40 x 40 px"):
        export_chips(raster, raster, export, tile_size=40, append=True, progress=False)
    with pytest.raises(InvalidInputError, match="give a tile_size below 20 rows and 200 columns"):
        export_chips(raster, raster, tmp_path / "d", tile_size=(20, 200), progress=False)
    with pytest.warns(GeotranslateWarning):
        data = prepare_data(export, resize_to=32)
    assert data.train_ds[0][0].shape == (1, 32, 32)


def test_sizes_are_two_numbers_on_the_command_line(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    raster = str(write_raster("r.tif", values((1, 64, 64), "uint8")))
    folder = str(tmp_path / "c")
    arguments = ["export-chips", raster, raster, folder, "--tile-size", "32,64", "--stride", "16"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "c/images").glob("*.tif"))) == 3
