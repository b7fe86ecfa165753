from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.windows import Window
from shapely.geometry import Polygon, box

from geotranslate import export_chips, prepare_data
from geotranslate.chips.bands.statistics import Statistics
from geotranslate.chips.export.scene_sides import turned
from geotranslate.errors import (
    GeotranslateWarning,
    GridMismatchError,
    InvalidInputError,
    OutputExistsError,
    RasterFileError,
)
from geotranslate.raster.grid import Grid
from geotranslate.raster.reader import RasterReader
from tests.conftest import GRIDS, NORTH_UP, WriteRaster, read_pairs, values
from tests.full_disk import files_in


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
    folder = read_pairs(export)
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


def test_masks_and_color_tables_travel_with_the_chips(
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
    with pytest.raises(
        OutputExistsError, match=r"chips is not empty; .* overwrite=True.* append=True"
    ):
        export_chips(*pair, chips, tile_size=64, progress=False)
    again = export_chips(*pair, chips, tile_size=64, overwrite=True, progress=False)
    assert len(list((chips / "images").iterdir())) == again.pairs == 2
    assert (chips / "notes.txt").read_text() == "mine"


def test_failed_export_leaves_nothing(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("geotranslate.chips.export.writer.write_metadata", fail)
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
        ({"tile_size": 32, "stride": 0}, "stride is 0; give a whole number of at least 1"),
        ({"tile_size": 32, "resampling": "best"}, "resampling is 'best'; give one of nearest, bil"),
        ({"tile_size": 32, "resampling": "gauss"}, "resampling is 'gauss'; give one of nearest"),
        ({"tile_size": 32, "aoi": (1, 2, 3, 4)}, "aoi is tuple; give a vector file"),
        (
            {"tile_size": 32, "aoi": box(0, 0, 1, 1)},
            "No pair to write: the aoi covers 0 to 1 east, 0 to 1 north in EPSG:32633, which does "
            r"not touch the raster \(500000 to 500260 east, .* Check the CRS of both, and",
        ),
        (
            {"tile_size": 32, "aoi": box(500_000, 4_999_950, 500_050, 5_000_000)},
            "No pair to write: none of 12 tiles lies in the aoi wholly; give a larger aoi, a small",
        ),
        (
            {"tile_size": 32, "aoi": gpd.GeoDataFrame(geometry=[box(1, 2, 3, 4)], crs=4326)},
            "the aoi covers 1 to 3 east, 2 to 4 north in EPSG:4326, which does not touch",
        ),
        ({"tile_size": 32, "min_valid": 1.5}, "min_valid is 1.5; give a number of at least 0"),
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


def test_footprints_say_where_every_pair_is_from(pair: tuple[Path, Path], tmp_path: Path) -> None:
    export_chips(*pair, tmp_path / "chips", tile_size=32, progress=False)
    frame = gpd.read_file(tmp_path / "chips" / "chips.gpkg")
    assert list(frame["name"]) == [f"{number:09d}" for number in range(12)]
    assert set(frame["source"]) == {str(pair[0])}
    assert set(frame["split"]) == {"train", "val"}
    assert (frame[["valid_source", "valid_target"]] == 1).all(axis=None)
    assert frame.crs == "EPSG:32633"
    for row in frame.itertuples():
        with rasterio.open(tmp_path / "chips" / "images" / f"{row.name}.tif") as chip:
            assert row.geometry.equals(Grid.of(chip).footprint)
            assert chip.transform.almost_equals(NORTH_UP @ Affine.translation(row.col, row.row))


def test_split_of_the_footprints_is_the_default_of_prepare_data(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    export_chips(*pair, tmp_path / "chips", tile_size=20, stride=10, progress=False)
    frame = gpd.read_file(tmp_path / "chips" / "chips.gpkg").set_index("name")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeotranslateWarning)
        card = prepare_data(tmp_path / "chips").card
    assert tuple(frame.index[frame["split"] == "train"]) == card.train_pairs
    assert tuple(frame.index[frame["split"] == "val"]) == card.validation_pairs


@pytest.mark.slow
def test_split_of_the_footprints_knows_the_valid_pixels_as_prepare_data_does(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    # Valid pixels are a wedge, so that some pairs keep few of them beside validation.
    data = values((1, 128, 128), "uint8") | 1
    data[:, np.add.outer(np.arange(128), 2 * np.arange(128)) > 220] = 0
    rasters = [write_raster(f"{n}.tif", data, nodata=0) for n in (1, 2)]
    export_chips(
        *rasters, tmp_path / "chips", tile_size=32, stride=8, min_valid=0.05, progress=False
    )
    frame = gpd.read_file(tmp_path / "chips" / "chips.gpkg").set_index("name")
    data = prepare_data(tmp_path / "chips")
    assert tuple(frame.index[frame["split"] == "train"]) == data.card.train_pairs
    assert tuple(frame.index[frame["split"] == "val"]) == data.card.validation_pairs
    assert data.split.left_out
    assert data.split.masks


def test_several_scenes_go_into_one_folder(write_raster: WriteRaster, tmp_path: Path) -> None:
    moved = Affine.translation(9000, 0) @ NORTH_UP
    scenes = [
        [
            write_raster(f"{side}{n}.tif", values((1, 64, 64), "uint8", n), transform=place)
            for n, place in enumerate((NORTH_UP, moved))
        ]
        for side in ("source", "target")
    ]
    export = export_chips(*scenes, tmp_path / "chips", tile_size=32, progress=False)
    assert export.pairs == 8
    frame = gpd.read_file(tmp_path / "chips" / "chips.gpkg")
    assert list(frame["source"]) == [str(scenes[0][0])] * 4 + [str(scenes[0][1])] * 4


def test_scenes_that_differ_are_refused(write_raster: WriteRaster, tmp_path: Path) -> None:
    a, b = (write_raster(f"{n}.tif", values((n, 64, 64), "uint8")) for n in (1, 2))
    with pytest.raises(
        InvalidInputError, match=r"2\.tif has 2 bands of uint8 but .* has 1 band of uint8"
    ):
        export_chips([a, b], [a, a], tmp_path / "chips", tile_size=32, progress=False)
    with pytest.raises(InvalidInputError, match="There are 2 sources and 1 targets"):
        export_chips([a, b], a, tmp_path / "chips", tile_size=32, progress=False)


def test_bands_of_other_names_are_refused(write_raster: WriteRaster, tmp_path: Path) -> None:
    a, b, c = (
        write_raster(f"{i}.tif", values((2, 64, 64), "uint8", i), names=names)
        for i, names in enumerate([("red", "nir"), ("nir", "red"), ()])
    )
    chips = tmp_path / "chips"
    with pytest.raises(
        InvalidInputError, match=r"bands of \S*1\.tif are nir, red but those of .*0\.t"
    ):
        export_chips([a, b], [a, a], chips, tile_size=32, progress=False)
    export_chips([a, c], [a, a], chips, tile_size=32, progress=False)
    with pytest.raises(
        InvalidInputError, match=r"are red, nir, those of \S*1\.tif are nir, red\. E"
    ):
        export_chips(b, a, chips, tile_size=32, append=True, progress=False)
    assert len(read_pairs(chips).pairs) == 8


def test_appended_chips_count_for_the_cell_sizes(write_raster: WriteRaster, tmp_path: Path) -> None:
    for number, size in enumerate((2, 10, 5)):
        place = Affine(size, 0, 500_000 + 9000 * number, 0, -size, 5_000_000)
        raster = write_raster("a.tif", values((1, 32, 32), "uint8", number), transform=place)
        export_chips(raster, raster, tmp_path / "c", tile_size=32, append=True, progress=False)
    found = json.loads((tmp_path / "c" / "esri_model_definition.emd").read_text())
    assert (found["MinCellSize"]["x"], found["MaxCellSize"]["x"]) == (2, 10)


@pytest.mark.parametrize("name", ["Images", "IMAGES2"])
@pytest.mark.parametrize("option", ["overwrite", "append"])
def test_folders_that_differ_in_case_are_neither_joined_nor_replaced(
    pair: tuple[Path, Path], tmp_path: Path, name: str, option: str
) -> None:
    (tmp_path / "chips" / name / "train_a").mkdir(parents=True)
    sentence = rf"chips has {name}/, and {name.lower()}/, into which chips go, differs from it in"
    with pytest.raises(InvalidInputError, match=sentence):
        export_chips(*pair, tmp_path / "chips", tile_size=32, progress=False, **{option: True})
    assert [path.name for path in (tmp_path / "chips").iterdir()] == [name]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32"])
def test_classes_of_a_color_table_are_the_same_on_both_ways_whatever_the_dtype(
    write_raster: WriteRaster, tmp_path: Path, dtype: str
) -> None:
    table = {1: (255, 0, 0, 255), 2: (0, 255, 0, 255), 200: (0, 0, 255, 255)}
    numbers = np.array([1, 2, 200], dtype)[values((1, 128, 128), "uint8") % 3]
    source = write_raster("a.tif", values((3, 128, 128), "uint8"))
    target = write_raster("b.img", numbers, colormap=table, driver="HFA")
    export = export_chips(source, target, tmp_path / "c", tile_size=32, progress=False)
    with pytest.warns(GeotranslateWarning, match="taken for 3 classes"):
        cards = [
            prepare_data(export).card,
            prepare_data(source, target, chip_size=32).card,
        ]
    known = [{row[0]: row[1:] for row in card.target.classes.colors} for card in cards]
    for value, color in table.items():
        assert known[0][value] == known[1][value] == color
    assert cards[0].target.dtype == cards[1].target.dtype == dtype


def test_appended_pairs_follow_the_old_ones(pair: tuple[Path, Path], tmp_path: Path) -> None:
    left, top = NORTH_UP @ (0, 0)
    halves = [box(left, top - 200, left + 128, top), box(left + 128, top - 200, left + 260, top)]
    whole = export_chips(*pair, tmp_path / "whole", tile_size=32, progress=False)
    for half in halves:
        export = export_chips(
            *pair, tmp_path / "chips", tile_size=32, aoi=half, append=True, progress=False
        )
    assert export.pairs == 6
    names = sorted(path.name for path in (tmp_path / "chips" / "images2").iterdir())
    assert names == [f"{number:09d}.tif" for number in range(12)]
    assert len(gpd.read_file(tmp_path / "chips" / "chips.gpkg")) == whole.pairs == 12
    stats = [
        json.loads((folder / "esri_accumulated_stats.json").read_text())["BandStatsState"]
        for folder in (tmp_path / "chips", tmp_path / "whole")
    ]
    for ours, theirs in zip(*stats, strict=True):
        assert ours == pytest.approx(theirs)


def test_appending_other_chips_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    export_chips(*pair, tmp_path / "chips", tile_size=32, progress=False)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InvalidInputError, match=r"in the folder are not like the new ones: .*32 x"):
        export_chips(*pair, tmp_path / "chips", tile_size=64, append=True, progress=False)
    with pytest.raises(InvalidInputError, match="overwrite and append exclude each other"):
        export_chips(*pair, tmp_path / "chips", overwrite=True, append=True, progress=False)
    assert sorted(tmp_path.rglob("*")) == before


def test_vector_layer_is_burned_into_the_grid_of_the_raster(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    source = write_raster("source.tif", values((3, 64, 64), "uint8"))
    corners = [NORTH_UP @ (10, 20), NORTH_UP @ (30, 50)]
    shape = box(corners[0][0], corners[1][1], corners[1][0], corners[0][1])
    layer = gpd.GeoDataFrame({"kind": [7]}, geometry=[shape], crs="EPSG:32633")
    layer.to_crs("EPSG:4326").to_file(tmp_path / "layer.gpkg")
    expected = np.zeros((64, 64), "uint8")
    expected[20:50, 10:30] = 1
    for number, (target, burn, value) in enumerate(
        [(layer, "kind", 7), (layer, None, 1), (tmp_path / "layer.gpkg", "kind", 7)]
    ):
        chips = tmp_path / str(number)
        export_chips(source, target, chips, tile_size=64, burn=burn, progress=False)
        with rasterio.open(chips / "images2" / "000000000.tif") as chip:
            np.testing.assert_array_equal(chip.read(1), expected * value)
    export_chips(layer, source, tmp_path / "turned", tile_size=64, progress=False)
    with rasterio.open(tmp_path / "turned" / "images" / "000000000.tif") as chip:
        np.testing.assert_array_equal(chip.read(1), expected)


@pytest.mark.parametrize("turn", [1, -1])
def test_later_shapes_are_burned_over_earlier_ones(
    write_raster: WriteRaster, tmp_path: Path, turn: int
) -> None:
    source = write_raster("source.tif", values((1, 64, 64), "uint8"))
    left, top = NORTH_UP @ (0, 0)
    shapes = [box(left, top - 80, left + 80, top), box(left + 40, top - 120, left + 120, top - 40)]
    layer = gpd.GeoDataFrame({"kind": [5, 7][::turn]}, geometry=shapes[::turn], crs="EPSG:32633")
    expected = np.zeros((64, 64), "uint8")
    marked = [(slice(0, 40), 5), (slice(20, 60), 7)]
    for place, value in marked[::turn]:
        expected[place, place] = value
    export_chips(source, layer, tmp_path / "c", tile_size=64, burn="kind", progress=False)
    with rasterio.open(tmp_path / "c" / "images2" / "000000000.tif") as chip:
        np.testing.assert_array_equal(chip.read(1), expected)


def test_column_to_burn_without_a_layer_is_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="burn is 'kind', but both sides are rasters"):
        export_chips(*pair, tmp_path / "c", tile_size=32, burn="kind", progress=False)
    assert not (tmp_path / "c").exists()


def test_scenes_smaller_than_a_tile_are_named(
    pair: tuple[Path, Path], write_raster: WriteRaster, tmp_path: Path
) -> None:
    a, b = (write_raster(f"{n}.tif", values((3, 40, n), "uint8")) for n in (20, 50))
    with pytest.warns(GeotranslateWarning, match=r"20\.tif is 20 x 40 px, smaller than a tile; no"):
        export = export_chips([pair[0], a], [pair[0], a], tmp_path / "c", tile_size=32)
    assert export.pairs == 12
    with pytest.warns(
        GeotranslateWarning, match=r"20\.tif is .* tile, and so is another scene; no"
    ):
        export_chips([a, pair[0], b], [a, pair[0], b], tmp_path / "d", tile_size=64)
    sentence = r"20\.tif is .*, and so is another scene; give a tile_size below 64"
    with pytest.raises(InvalidInputError, match=sentence):
        export_chips([a, b], [a, b], tmp_path / "e", tile_size=64)


def test_layers_in_a_crs_without_a_way_to_the_raster_are_said(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    left, top = NORTH_UP @ (0, 0)
    shape = box(left, top - 100, left + 100, top)
    local = 'LOCAL_CS["site",UNIT["metre",1]]'
    layer = gpd.GeoDataFrame(geometry=[shape], crs=local)
    with pytest.raises(GridMismatchError, match="the vector layer cannot be brought from site"):
        export_chips(pair[0], layer, tmp_path / "c", tile_size=32, progress=False)
    with pytest.raises(GridMismatchError, match=r"The aoi cannot be brought .* into WGS 84 / UTM"):
        export_chips(*pair, tmp_path / "c", tile_size=32, aoi=layer, progress=False)


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        ([1, 200], "uint8"),
        ([-1, 200], "int16"),
        ([0, 60_000], "uint16"),
        ([0.5, 2], "float32"),
        ([False, True], "uint8"),
    ],
)
def test_burned_numbers_take_the_smallest_dtype(
    write_raster: WriteRaster, tmp_path: Path, column: list[float], dtype: str
) -> None:
    source = write_raster("source.tif", values((1, 64, 64), "uint8"))
    left, top = NORTH_UP @ (0, 0)
    shapes = [box(left, top - 20, left + 20, top), box(left + 40, top - 60, left + 60, top - 40)]
    layer = gpd.GeoDataFrame({"value": column}, geometry=shapes, crs="EPSG:32633")
    export_chips(source, layer, tmp_path / "c", tile_size=64, burn="value", progress=False)
    with rasterio.open(tmp_path / "c" / "images2" / "000000000.tif") as chip:
        assert chip.dtypes == (dtype,)
        assert set(np.unique(chip.read())) == {0, *column}


def test_layers_that_cannot_be_burned_are_refused(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    source = write_raster("source.tif", values((1, 64, 64), "uint8"))
    left, top = NORTH_UP @ (0, 0)
    here, far = box(left, top - 20, left + 20, top), box(0, 0, 1, 1)
    good = gpd.GeoDataFrame({"name": ["a"]}, geometry=[here], crs="EPSG:32633")
    cases = [
        (good, {"burn": "kind"}, "burn is 'kind' but the vector layer has the columns name"),
        (good, {"burn": "name"}, "does not hold a number for every shape"),
        (good.set_geometry([far], crs="EPSG:32633"), {}, "No shape of the vector layer lies on"),
        (good.iloc[:0], {"burn": "name"}, "the vector layer is empty; give a layer with shapes"),
        (good.assign(name=[1j]), {"burn": "name"}, "does not hold a number for every shape; give"),
        (gpd.GeoDataFrame({"a": [1]}), {}, "No column of the vector layer holds shapes"),
        (good.set_crs(None, allow_override=True), {}, "it has no CRS and the other side has one"),
    ]
    for layer, options, sentence in cases:
        with pytest.raises(InvalidInputError, match=sentence):
            export_chips(source, layer, tmp_path / "c", tile_size=64, progress=False, **options)
    with pytest.raises(InvalidInputError, match="Both sides are vector layers"):
        export_chips(good, good, tmp_path / "c", progress=False)
    (tmp_path / "bad.geojson").write_text("nothing")
    with pytest.raises(RasterFileError, match=r"bad\.geojson cannot be read as a vector layer"):
        export_chips(source, tmp_path / "bad.geojson", tmp_path / "c", progress=False)


def test_turned_chips_show_the_ground_that_they_say(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    rows, cols = np.mgrid[:96, :96]
    path = write_raster("a.tif", (rows * 200 + cols)[None].astype("float32"))
    export = export_chips(
        path, path, tmp_path / "c", tile_size=32, stride=32, rotation_angle=90, progress=False
    )
    assert export.pairs == 9 * 4
    with rasterio.open(path) as scene:
        for chip_path in sorted((tmp_path / "c" / "images").iterdir()):
            with rasterio.open(chip_path) as chip:
                at = [chip.transform @ (col + 0.5, row + 0.5) for row in (3, 20) for col in (5, 28)]
                seen = [chip.read(1)[row, col] for row in (3, 20) for col in (5, 28)]
            truth = [float(value[0]) for value in scene.sample(at)]
            np.testing.assert_allclose(seen, truth, atol=0.5)
    angles = gpd.read_file(tmp_path / "c" / "chips.gpkg")["angle"]
    assert sorted(set(angles)) == [0, 90, 180, 270]


def test_turned_grids_turn_clockwise_and_what_they_show_the_other_way(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    data = values((1, 32, 32), "uint8")
    path = write_raster("a.tif", data)
    export_chips(path, path, tmp_path / "c", tile_size=32, rotation_angle=90, progress=False)
    for quarter in range(4):
        with rasterio.open(tmp_path / "c" / "images" / f"{quarter:09d}.tif") as chip:
            np.testing.assert_array_equal(chip.read(1), np.rot90(data[0], quarter))
    (left, top), (right, _) = NORTH_UP @ (0, 0), NORTH_UP @ (32, 0)
    grid = turned(Grid(None, NORTH_UP, 32, 32), 90)
    # The upper left corner comes to lie where the upper right one was.
    assert grid.transform @ (0, 0) == pytest.approx((right, top))
    assert grid.transform @ (0, 32) == pytest.approx((left, top))


def test_turned_chips_are_invalid_where_they_reach_out(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    path = write_raster("a.tif", values((1, 64, 64), "uint8"))
    export_chips(path, path, tmp_path / "c", tile_size=64, rotation_angle=45, progress=False)
    frame = gpd.read_file(tmp_path / "c" / "chips.gpkg").set_index("angle")
    assert frame["valid_source"][0] == 1
    # The octagon that a square and its half-turned copy share.
    assert frame["valid_source"][45] == pytest.approx(2 * (2**0.5 - 1), abs=0.03)


def test_least_cover_of_the_area_can_be_chosen(pair: tuple[Path, Path], tmp_path: Path) -> None:
    left, top = NORTH_UP @ (0, 0)
    # 80 px from the left: two columns wholly, half of the third.
    area = gpd.GeoDataFrame(geometry=[box(left, top - 200, left + 160, top)], crs="EPSG:32633")
    area.to_file(tmp_path / "area.geojson")
    for cover, columns in ((1, 2), (0.51, 2), (0.49, 3), (0, 3)):
        export = export_chips(
            *pair,
            tmp_path / f"{cover}",
            tile_size=32,
            aoi=tmp_path / "area.geojson",
            min_cover=cover,
            progress=False,
        )
        assert export.pairs == 3 * columns


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"rotation_angle": 360}, "rotation_angle is 360; give a number of .* below 360"),
        (
            {"aoi": box(0, 0, 1, 1), "min_cover": 2},
            "min_cover is 2; give a number of at least 0 and of at most 1",
        ),
        ({"aoi": Polygon()}, "The aoi is empty"),
        ({"aoi": "no.shp"}, r"no\.shp cannot be read as a vector layer"),
    ],
)
def test_impossible_areas_and_angles_are_said(
    pair: tuple[Path, Path], tmp_path: Path, options: dict[str, object], sentence: str
) -> None:
    with pytest.raises((InvalidInputError, RasterFileError), match=sentence):
        export_chips(*pair, tmp_path / "chips", tile_size=32, progress=False, **options)


def test_inputs_among_the_chips_are_never_replaced(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    source = write_raster("proj/images/s.tif", values((1, 64, 64), "uint8"))
    target = write_raster("t.tif", values((1, 64, 64), "uint8"))
    with pytest.raises(InvalidInputError, match=r"s\.tif lies among the chips of .*proj that"):
        export_chips(
            source, target, tmp_path / "proj", tile_size=32, overwrite=True, progress=False
        )
    assert source.is_file()


def test_interrupted_overwriting_leaves_all_old_or_all_new_chips(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves = 0
    replace = os.replace

    def stop_at(limit: int) -> None:
        def move(*paths: object) -> None:
            nonlocal moves
            moves += 1
            if moves == limit:
                raise KeyboardInterrupt
            replace(*paths)

        monkeypatch.setattr("geotranslate.chips.export.transaction.os.replace", move)

    for limit in range(1, 16):
        chips = tmp_path / str(limit)
        monkeypatch.setattr("geotranslate.chips.export.transaction.os.replace", replace)
        export_chips(*pair, chips, tile_size=32, progress=False)
        moves = 0
        stop_at(limit)
        with contextlib.suppress(KeyboardInterrupt):
            export_chips(*pair, chips, tile_size=64, overwrite=True, progress=False)
        sizes = []
        for side in ("images", "images2"):
            for path in sorted((chips / side).iterdir()):
                with rasterio.open(path) as chip:
                    sizes.append((side, chip.width))
        # All twelve old pairs or both new ones, never a part or a mixture.
        kinds = {width: sum(w == width for _, w in sizes) for _, width in sizes}
        assert kinds in ({32: 24}, {64: 4}), limit


def test_what_alpha_hides_is_hidden_in_chips_with_nodata(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    data = values((4, 32, 32), "uint8") | 1
    data[3] = np.where(np.arange(32) < 20, 255, 0)
    path = write_raster("a.tif", data, nodata=0, alpha="YES")
    export_chips(path, path, tmp_path / "c", tile_size=32, progress=False)
    with RasterReader(tmp_path / "c" / "images" / "000000000.tif") as chip:
        np.testing.assert_array_equal(chip.read()[1], data[3] > 0)


def test_color_table_survives_warping(write_raster: WriteRaster, tmp_path: Path) -> None:
    table = {1: (255, 0, 0, 255), 2: (0, 255, 0, 255)}
    source = write_raster("source.tif", values((3, 64, 64), "uint8"))
    shifted = NORTH_UP @ Affine.translation(0.4, 0.4)
    classes = values((1, 70, 70), "uint8") % 2 + 1
    target = write_raster("target.tif", classes, colormap=table, transform=shifted)
    export = export_chips(source, target, tmp_path / "c", tile_size=32, progress=False)
    assert export.target_warped
    with rasterio.open(tmp_path / "c" / "images2" / "000000000.tif") as chip:
        assert chip.count == 1
        assert chip.colormap(1)[2] == (0, 255, 0, 255)
        assert set(np.unique(chip.read(1))) <= {0, 1, 2}


def test_resampling_may_be_rasterios_own(pair: tuple[Path, Path], tmp_path: Path) -> None:
    method = Resampling.cubic
    assert export_chips(*pair, tmp_path / "c", tile_size=32, resampling=method, progress=False)


@pytest.mark.parametrize("missing", ["map", "layout"])
def test_folder_whose_map_is_not_its_chips_cannot_be_appended_to(
    pair: tuple[Path, Path], tmp_path: Path, missing: str
) -> None:
    chips = tmp_path / "chips"
    export_chips(*pair, chips, tile_size=32, progress=False)
    if missing == "map":
        (chips / "map.txt").unlink()
    else:
        (chips / "images2").rename(chips / "labels")
        text = (chips / "map.txt").read_text()
        (chips / "map.txt").write_text(text.replace("images2", "labels"))
    before = {path: path.read_bytes() for path in chips.rglob("*.tif")}
    with pytest.raises(InvalidInputError, match=r"cannot be appended to: its map\.txt does not"):
        export_chips(*pair, chips, tile_size=32, append=True, progress=False)
    assert {path: path.read_bytes() for path in chips.rglob("*.tif")} == before


def test_turned_tiles_beyond_a_small_target_are_left_out(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    source = write_raster("source.tif", values((1, 128, 128), "uint8"))
    target = write_raster("target.tif", values((1, 128, 48), "uint8"))
    plain = export_chips(source, target, tmp_path / "a", tile_size=32, progress=False)
    turned = export_chips(
        source, target, tmp_path / "b", tile_size=32, rotation_angle=90, progress=False
    )
    assert turned.pairs == 4 * plain.pairs
    no_crs = [write_raster(f"{n}.tif", values((1, 64, 64), "uint8"), crs=None) for n in (1, 2)]
    with pytest.raises(InvalidInputError, match="rotation_angle needs rasters with a CRS"):
        export_chips(*no_crs, tmp_path / "c", tile_size=32, rotation_angle=90, progress=False)


def test_valid_pixels_with_the_nodata_value_stay_valid(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    data = values((1, 32, 32), "int16") % 3
    valid = values((32, 32), "uint8") > 60
    path = write_raster("a.tif", data, nodata=0, valid=valid)
    export_chips(path, path, tmp_path / "c", tile_size=32, progress=False)
    with (
        RasterReader(path) as scene,
        RasterReader(tmp_path / "c" / "images" / "000000000.tif") as chip,
    ):
        np.testing.assert_array_equal(chip.read()[1], scene.read()[1])
        np.testing.assert_array_equal(chip.read()[0][:, valid], data[:, valid])


@pytest.mark.parametrize("value", ["x", None, [1], float("nan")])
@pytest.mark.parametrize("name", ["min_valid", "min_cover", "rotation_angle", "tile_size"])
def test_what_is_no_number_is_said(
    pair: tuple[Path, Path], tmp_path: Path, name: str, value: object
) -> None:
    with pytest.raises(InvalidInputError, match=rf"^{name} is .*; give (a|one) (whole )?number"):
        export_chips(*pair, tmp_path / "chips", progress=False, **{name: value})


def test_folders_and_classes_that_are_none_are_said(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError, match=r"^folder is None; give the path of a folder\.$"):
        export_chips(*pair, None, progress=False)
    for options, sentence in (
        ({"target_classes": "no"}, "target_classes is 'no'; give True for classes"),
        ({"source_classes": True}, "source_classes is True but the source has 3 bands; give one"),
    ):
        with pytest.raises(InvalidInputError, match=sentence):
            export_chips(*pair, tmp_path / "chips", tile_size=32, progress=False, **options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"overwrite": "no"}, "overwrite is 'no'; give True or False."),
        ({"append": "x"}, "append is 'x'; give True or False."),
        ({"progress": 0}, "progress is 0; give True or False."),
        ({"folder": ""}, "folder is ''; give the path of a folder."),
        ({"folder": []}, "folder is []; give the path of a folder."),
        (
            {"rotation_angle": 1e-9},
            "rotation_angle is 1e-09, by which every tile would be written 3.6e+11 times; give 1 "
            "degree or more, or 0 for none.",
        ),
    ],
)
def test_harmful_options_are_refused_and_the_chips_stay(
    pair: tuple[Path, Path], tmp_path: Path, options: dict[str, Any], sentence: str
) -> None:
    folder = tmp_path / "chips"
    export_chips(*pair, folder, tile_size=32, progress=False)
    before = files_in(tmp_path)
    with pytest.raises(InvalidInputError, match=f"^{re.escape(sentence)}$"):
        export_chips(*pair, **{"folder": folder, "tile_size": 64, "progress": False, **options})
    assert files_in(tmp_path) == before


def test_tiles_without_a_valid_pixel_are_said_as_such(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    path = write_raster("a.tif", np.zeros((1, 64, 64), "uint8"), nodata=0)
    options = {"tile_size": 32, "target_classes": False, "source_classes": False}
    for least, why in ((0, "4 have no valid pixel"), (0.004, "4 have less than 0.4% valid pixels")):
        with pytest.raises(InvalidInputError, match=f"of 4 tiles {why} on one side"):
            export_chips(path, path, tmp_path / "c", min_valid=least, progress=False, **options)


@pytest.mark.skipif(sys.platform == "win32", reason="needs links")
def test_links_that_lead_nowhere_are_no_folders(pair: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "c").symlink_to("missing")
    for name in "abc":
        with pytest.raises(RasterFileError, match=f"{name} is a link that leads nowhere; make the"):
            export_chips(*pair, tmp_path / name, tile_size=32, progress=False)


@pytest.mark.slow
def test_area_in_degrees_is_the_same_whatever_the_length_of_its_sides(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    place = Affine(100, 0, 465_000, 0, -100, 5_004_000)
    raster = write_raster("a.tif", values((1, 400, 400), "uint8"), transform=place)
    counts = []
    for number, bounds in enumerate([(14, 45, 16, 46), (10, 45, 20, 46), (-180, -90, 180, 90)]):
        area = gpd.GeoDataFrame(geometry=[box(*bounds)], crs="EPSG:4326")
        export = export_chips(
            raster, raster, tmp_path / str(number), tile_size=20, aoi=area, progress=False
        )
        counts.append(export.pairs)
    assert counts[0] == counts[1]
    assert counts[0] == pytest.approx(0.52 * 400, rel=0.08)
    assert counts[2] == 400


@pytest.mark.parametrize("left", [-180.1, 179.9, 0])
def test_rasters_in_degrees_that_differ_by_a_turn_of_the_globe_are_of_one_place(
    write_raster: WriteRaster, tmp_path: Path, left: float
) -> None:
    data = values((2, 1, 64, 64), "uint8")
    turn = 360 if left <= 0 else -360
    rasters = [
        write_raster(f"{n}.tif", side, crs="EPSG:4326", transform=Affine(0.01, 0, x, 0, -0.01, 10))
        for n, (side, x) in enumerate(zip(data, (left, left + turn), strict=True))
    ]
    export_chips(*rasters, tmp_path / "c", tile_size=64, progress=False)
    for folder, side in zip(("images", "images2"), data, strict=True):
        with rasterio.open(tmp_path / "c" / folder / "000000000.tif") as chip:
            np.testing.assert_array_equal(chip.read(), side)
            assert chip.bounds.left == pytest.approx(left)
