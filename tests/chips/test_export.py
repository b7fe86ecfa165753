from __future__ import annotations

import os
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window
from shapely.geometry import box

from geotranslate import export_chips
from geotranslate.chips.folder import ChipFolder
from geotranslate.chips.statistics import Statistics
from geotranslate.errors import (
    GridMismatchError,
    InvalidInputError,
    OutputExistsError,
    RasterFileError,
)
from tests.conftest import GRIDS, NORTH_UP, WriteRaster, values


@pytest.fixture
def pair(write_raster: WriteRaster) -> tuple[Path, Path]:
    source = write_raster("source.tif", values((3, 100, 130), "uint8"), names=("r", "g", "b"))
    target = write_raster("target.tif", values((1, 100, 130), "float32"))
    return source, target


@pytest.mark.parametrize("transform", GRIDS.values(), ids=GRIDS)
def test_chips_are_windows_of_their_rasters(
    write_raster: WriteRaster, tmp_path: Path, transform: Affine
) -> None:
    data = (values((3, 100, 130), "uint16"), values((2, 100, 130), "float64"))
    rasters = [
        write_raster(f"{i}.tif", side, transform=transform, names=tuple("abc"[: len(side)]))
        for i, side in enumerate(data)
    ]
    export = export_chips(*rasters, tmp_path / "chips", tile_size=32, progress=False)
    assert export.pairs == 3 * 4
    for number in range(export.pairs):
        row, col = number // 4 * 32, number % 4 * 32
        for folder, side in zip(("images", "images2"), data, strict=True):
            with rasterio.open(tmp_path / "chips" / folder / f"{number:09d}.tif") as chip:
                np.testing.assert_array_equal(chip.read(), side[:, row : row + 32, col : col + 32])
                assert chip.crs == "EPSG:32633"
                assert chip.transform.almost_equals(transform @ Affine.translation(col, row))
                assert chip.descriptions == tuple("abc"[: len(side)])


@pytest.mark.parametrize("photometric", ["RGB", "MINISBLACK"])
@pytest.mark.parametrize("bands", [3, 4, 5])
def test_bands_mean_in_the_chips_what_they_mean_in_the_raster(
    write_raster: WriteRaster, tmp_path: Path, bands: int, photometric: str
) -> None:
    path = write_raster("a.tif", values((bands, 32, 32), "uint8"), photometric=photometric)
    export_chips(path, path, tmp_path / "chips", tile_size=32, progress=False)
    with (
        rasterio.open(path) as raster,
        rasterio.open(tmp_path / "chips" / "images" / "000000000.tif") as chip,
    ):
        assert chip.count == bands
        assert chip.colorinterp == raster.colorinterp


@pytest.mark.parametrize(("stride", "count"), [(None, 12), (16, 5 * 7), (33, 3 * 3), (50, 2 * 2)])
def test_stride_steps_from_chip_to_chip(
    pair: tuple[Path, Path], tmp_path: Path, stride: int | None, count: int
) -> None:
    export = export_chips(*pair, tmp_path / "chips", tile_size=32, stride=stride, progress=False)
    assert export.pairs == count


def test_folder_is_read_back_with_the_statistics_of_all_chips(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    export = export_chips(*pair, tmp_path / "chips", tile_size=32, progress=False)
    folder = ChipFolder.read(export)
    assert [chip.name for chip in folder.pairs] == [f"{i:09d}" for i in range(12)]
    assert not folder.left_out
    total = sum((p.source.statistics for p in folder.pairs), Statistics.empty(3))
    with rasterio.open(pair[0]) as dataset:
        pixels = dataset.read(window=Window(0, 0, 128, 96)).reshape(3, -1).astype(float)
    np.testing.assert_allclose(total.mean, pixels.mean(axis=1), rtol=1e-9)
    np.testing.assert_allclose(total.std, pixels.std(axis=1), rtol=1e-9)


def test_target_is_laid_onto_the_grid_of_the_source(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    columns = np.arange(200, dtype="float32")[None, None].repeat(200, axis=1)
    target = write_raster("target.tif", columns)
    finer = NORTH_UP @ Affine.translation(20, 30) @ Affine.scale(0.25)
    source = write_raster("source.tif", values((1, 64, 64), "uint8"), transform=finer)
    export = export_chips(source, target, tmp_path / "chips", tile_size=64, progress=False)
    assert export.target_warped
    with rasterio.open(tmp_path / "chips" / "images2" / "000000000.tif") as chip:
        assert chip.transform.almost_equals(finer)
        np.testing.assert_allclose(chip.read(1)[10], (np.arange(64) + 0.5) / 4 + 19.5, atol=1e-2)


def test_only_chips_wholly_in_the_area_of_interest_are_written(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    left, top = NORTH_UP @ (0, 0)
    # 100 px from the left and the whole height: three of the four columns fit.
    area = box(left, top - 200, left + 2 * 100, top)
    export = export_chips(*pair, tmp_path / "a", tile_size=32, aoi=area, progress=False)
    assert (export.pairs, export.outside_aoi) == (9, 3)
    frame = gpd.GeoDataFrame(geometry=[area], crs="EPSG:32633").to_crs("EPSG:4326")
    again = export_chips(*pair, tmp_path / "b", tile_size=32, aoi=frame, progress=False)
    assert again.pairs == 9


def test_chips_that_end_at_the_border_of_the_area_are_inside(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    left, top = NORTH_UP @ (0, 0)
    area = box(left, top - 2 * 64, left + 2 * 64, top)
    export = export_chips(*pair, tmp_path / "a", tile_size=32, aoi=area, progress=False)
    assert export.pairs == 4


def test_mostly_invalid_tiles_are_left_out_and_counted(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    data = values((1, 64, 96), "uint8") | 1
    data[:, :, :40] = 0
    source = write_raster("source.tif", data, nodata=0)
    target = write_raster("target.tif", values((1, 64, 96), "int16"))
    export = export_chips(source, target, tmp_path / "a", tile_size=32, progress=False)
    assert (export.pairs, export.mostly_invalid) == (4, 2)
    strict = export_chips(source, target, tmp_path / "b", tile_size=32, min_valid=1, progress=False)
    assert (strict.pairs, strict.mostly_invalid) == (2, 4)
    with rasterio.open(tmp_path / "a" / "images" / "000000000.tif") as chip:
        assert chip.nodata == 0


def test_masks_and_colour_tables_travel_with_the_chips(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    table = {1: (255, 0, 0, 255), 2: (0, 255, 0, 255)}
    classes = write_raster("classes.tif", values((1, 32, 32), "uint8") % 2 + 1, colormap=table)
    valid = values((32, 32), "uint8") > 60
    masked = write_raster("masked.tif", values((1, 32, 32), "uint8"), valid=valid)
    export_chips(classes, masked, tmp_path / "a", tile_size=32, progress=False)
    with rasterio.open(tmp_path / "a" / "images" / "000000000.tif") as chip:
        assert chip.colormap(1)[2] == (0, 255, 0, 255)
    with rasterio.open(tmp_path / "a" / "images2" / "000000000.tif") as chip:
        np.testing.assert_array_equal(chip.dataset_mask() > 0, valid)


def test_full_folder_is_kept_unless_overwriting_is_asked_for(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    chips = tmp_path / "chips"
    export_chips(*pair, chips, tile_size=32, progress=False)
    (chips / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match=r"chips is not empty; .* overwrite=True"):
        export_chips(*pair, chips, tile_size=64, progress=False)
    again = export_chips(*pair, chips, tile_size=64, overwrite=True, progress=False)
    assert len(list((chips / "images").iterdir())) == again.pairs == 2
    assert (chips / "notes.txt").read_text() == "mine"


def test_failed_export_leaves_nothing(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("geotranslate.chips.export.write_metadata", fail)
    with pytest.raises(KeyboardInterrupt):
        export_chips(*pair, tmp_path / "chips", tile_size=32, progress=False)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["source.tif", "target.tif"]


def test_export_is_a_path(pair: tuple[Path, Path], tmp_path: Path) -> None:
    export = export_chips(*pair, tmp_path / "chips", tile_size=32, progress=False)
    assert os.fspath(export) == str(tmp_path / "chips")


def test_rasters_of_different_places_are_refused(write_raster: WriteRaster, tmp_path: Path) -> None:
    source = write_raster("source.tif", values((1, 64, 64), "uint8"))
    far = write_raster(
        "far.tif", values((1, 64, 64), "uint8"), transform=Affine.translation(9e4, 0) @ NORTH_UP
    )
    with pytest.raises(GridMismatchError, match=r"far\.tif does not overlap the source"):
        export_chips(source, far, tmp_path / "chips", progress=False)
    assert not (tmp_path / "chips").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"tile_size": 256}, r"source\.tif is 130 x 100 px, smaller than a tile; .* below 256"),
        ({"tile_size": 32, "stride": 0}, "tile_size is 32 and stride 0; give at least 1 pixel"),
        ({"tile_size": 32, "resampling": "best"}, "resampling is 'best'; give one of nearest, bil"),
        ({"tile_size": 32, "aoi": box(0, 0, 1, 1)}, "No pair to write: of 12 tiles 12 reach out"),
        ({"tile_size": 32, "min_valid": 1.5}, "min_valid is 1.5; give a share between 0 and 1"),
    ],
)
def test_impossible_exports_are_said(
    pair: tuple[Path, Path], tmp_path: Path, options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        export_chips(*pair, tmp_path / "chips", progress=False, **options)
    assert not (tmp_path / "chips").exists()


def test_missing_folder_above_is_named(pair: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(RasterFileError, match=r"no, in which chips shall be written, does not"):
        export_chips(*pair, tmp_path / "no" / "chips", progress=False)
