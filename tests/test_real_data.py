"""Real rasters from one end to the other: chips, loaders and an epoch of a tiny Pix2Pix."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from rasterio.enums import Resampling
from rasterio.windows import Window, bounds
from shapely.geometry import box

from geotranslate import (
    GeotranslateError,
    GeotranslateWarning,
    Pix2Pix,
    export_chips,
    prepare_data,
    stack,
)
from geotranslate.chips.bands.classes import Classes, resampling_for

PATCHES = ("282D_485L_3_3", "38D_378R_2_3", "433D_629L_3_1", "609U_541L_3_0", "637U_59R_1_3")


def train(data: Any, *, all_learn: bool = True) -> Pix2Pix:
    """Train for an epoch, and make sure that it did something.

    Chips of one colour are one colour at every level, of which a normalisation leaves nothing.
    """
    torch.manual_seed(0)
    model = Pix2Pix(data, recipe="seamless", ngf=4, ndf=4)
    before = [weight.detach().clone() for weight in model.pair.generator.parameters()]
    model.fit(1, checkpoint=False, progress=False)
    # The spread of a constant target is no number.
    row = {name: value for name, value in model.history[0].items() if name != "std_ratio"}
    assert np.isfinite(list(row.values())).all()
    after = model.pair.generator.parameters()
    changed = [not torch.equal(old, new) for old, new in zip(before, after, strict=True)]
    assert all(changed) if all_learn else any(changed)
    return model


def patches(folder: Path, kind: str, names: tuple[str, ...] = PATCHES) -> list[Path]:
    return [folder / "terramind" / kind / f"{name}.tif" for name in names]


def test_drone_image_to_map(shared_data: Path, tmp_path: Path) -> None:
    image, plan = (shared_data / "banepa" / f"banepa_{name}.tif" for name in ("rgb", "map"))
    with rasterio.open(image) as scene:
        # 3 x 2 chips, and a bit of the next ones.
        aoi = box(*bounds(Window(1024, 2048, 800, 520), scene.transform))
    export = export_chips(image, plan, tmp_path / "chips", aoi=aoi, progress=False)
    assert (export.pairs, export.outside_aoi, export.mostly_invalid) == (6, 186, 0)
    assert not export.target_warped
    data = prepare_data(export, batch_size=4, val_split_pct=0.3)
    card = data.card
    assert (len(card.train_pairs), len(card.validation_pairs)) == (4, 2)
    assert (card.source.bands, card.source.dtype) == (card.target.bands, card.target.dtype)
    assert (card.source.bands, card.source.dtype, card.chip_size) == (3, "uint8", 256)
    assert card.crs == "EPSG:3857"
    assert card.resolution == pytest.approx((0.1493, 0.1493), abs=1e-4)
    # What is read back is what the scene holds there, to the last grey value.
    with rasterio.open(image) as scene:
        expected = scene.read(window=Window(1024, 2048, 256, 256))
    np.testing.assert_array_equal(data.folder.pairs[0].source.read()[0], expected)
    text = str(data.summary())
    assert "images + images2" in text
    assert "4 training, 2 validation" in text
    assert "256 x 256 px, used as 256 x 256" in text
    assert "3 bands of uint8, 0.0% nodata, scaled from 0..255, 0..255, 0..255" in text
    assert train(data).compute_metrics()["count"] == 2 * 3 * 256**2


@pytest.mark.slow
def test_colours_to_near_infrared_of_another_year(shared_data: Path, tmp_path: Path) -> None:
    years = ("20090818", "20190904")
    old, new = (shared_data / "naip" / f"m_4709963_se_14_1_{year}.tif" for year in years)
    export = export_chips(old, new, tmp_path / "chips", tile_size=128, progress=False)
    assert export.target_warped
    assert export.pairs == 7 * 5
    bands = {"source_bands": [1, 2, 3], "target_bands": [4]}
    from_chips = prepare_data(export, **bands, batch_size=16)
    from_rasters = prepare_data(old, new, chip_size=128, **bands, batch_size=16)
    for data, layout in ((from_chips, "images + images2"), (from_rasters, "two rasters")):
        card = data.card
        assert (card.source.indexes, card.source.file_bands) == ((1, 2, 3), 4)
        assert (card.target.indexes, card.target.file_bands) == ((4,), 4)
        assert (card.source.nodata, card.target.nodata) == (0, 0)
        assert card.crs == "EPSG:26914"
        assert card.resolution == (5, 5)
        text = str(data.summary())
        assert layout in text
        assert "1 band of uint8" in text
        train(data)
    # Warped while reading or when exporting: the same pixels.
    pixels = [
        {(pair.source.digest, pair.target.digest) for pair in data.folder.pairs}
        for data in (from_chips, from_rasters)
    ]
    assert len(pixels[0]) == 35
    assert pixels[0] == pixels[1]


@pytest.mark.slow
def test_radar_to_twelve_bands_of_five_places(shared_data: Path, tmp_path: Path) -> None:
    export = export_chips(
        patches(shared_data, "S1RTC"),
        patches(shared_data, "S2L2A"),
        tmp_path / "chips",
        tile_size=112,
        progress=False,
    )
    assert export.pairs == 5 * 4
    assert not export.target_warped
    data = prepare_data(export, batch_size=6)
    card = data.card
    assert (card.source.bands, card.source.dtype) == (2, "float64")
    assert (card.target.bands, card.target.dtype) == (12, "int16")
    # Decibels lie below 0 for the most part and are not taken for linear power.
    assert max(card.source.mean) < 0
    assert card.source.scaling.floor is None
    source, target = data.one_batch()
    assert source.shape == (6, 2, 112, 112)
    assert target.shape == (6, 12, 112, 112)
    assert source.isfinite().all()
    assert target.isfinite().all()
    assert 0.5 < target.abs().max() < 10  # a few deviations about the median
    text = str(data.summary())
    for zone in (32722, 32736, 32718, 32616, 32632):
        assert f"EPSG:{zone} (4)" in text
    # The names are those in the files.
    assert "2 bands (bands, bands) of float64" in text
    assert "12 bands of int16" in text
    model = train(data)
    assert model.compute_metrics()["count"] == len(card.validation_pairs) * 12 * 112**2


def test_optical_to_land_cover_with_a_place_of_one_class(shared_data: Path, tmp_path: Path) -> None:
    sides = patches(shared_data, "S2RGB"), patches(shared_data, "LULC")
    export = export_chips(*sides, tmp_path / "chips", tile_size=112, progress=False)
    with pytest.warns(GeotranslateWarning, match="The target's values are taken for 8 classes"):
        data = prepare_data(export, batch_size=6)
    # One place is of class 7 alone: its four pairs differ in the source, so all are kept.
    assert export.pairs == len(data.folder.pairs) == 20
    constant = [p for p in data.folder.pairs if p.target.statistics.std[0] == 0]
    assert [p.target.statistics.mean[0] for p in constant] == [7, 7, 7, 7]
    assert not data.folder.left_out
    # The files have no colour table: only their pixels say that the numbers are classes.
    assert data.card.target.classes == Classes((1, 2, 3, 4, 5, 6, 7, 9), None)
    assert data.card.target.scaling.low == (1,)
    assert data.card.target.scaling.high == (9,)
    assert data.card.source.classes is None
    assert "1 band (bands) of uint8, 8 classes, 0.0% nodata, scaled from 1..9" in str(
        data.summary()
    )
    train(data)


@pytest.mark.slow
def test_land_cover_and_buildings_to_images(shared_data: Path, tmp_path: Path) -> None:
    cover = patches(shared_data, "LULC"), patches(shared_data, "S2RGB")
    export = export_chips(*cover, tmp_path / "cover", tile_size=112, progress=False)
    data = prepare_data(export, batch_size=6)
    assert data.card.source.class_numbers == (1, 2, 3, 4, 5, 6, 7, 9)
    model = train(data)
    assert model.pair.generator.network.encoder[0][1].in_channels == 8
    result = model.predict_raster(cover[0][0], tmp_path / "image.tif", progress=False)
    with rasterio.open(result) as image:
        assert (image.count, image.shape) == (3, (224, 224))
    assert not result.warnings

    houses, ortho = (shared_data / "banepa" / f"banepa_{name}.tif" for name in ("buildings", "rgb"))
    with rasterio.open(ortho) as scene:
        aoi = box(*bounds(Window(1024, 2048, 800, 520), scene.transform))
    export = export_chips(houses, ortho, tmp_path / "houses", aoi=aoi, progress=False)
    data = prepare_data(export, batch_size=4, val_split_pct=0.3)
    assert data.card.source.class_numbers == (0, 1)
    model = train(data)
    assert model.pair.discriminator.network.layers[0].in_channels == 2 + 3


@pytest.mark.parametrize("name", PATCHES)
def test_heights_of_each_place_are_no_classes_and_land_cover_is(
    shared_data: Path, name: str
) -> None:
    for kind, classes in (("DEM", False), ("LULC", True)):
        method = resampling_for("target", None, patches(shared_data, kind, (name,)))
        assert (method is Resampling.nearest) == classes


def test_buildings_are_classes_without_a_warning(shared_data: Path, tmp_path: Path) -> None:
    image, plan = (shared_data / "banepa" / f"banepa_{name}.tif" for name in ("rgb", "buildings"))
    card = prepare_data(image, plan, chip_size=1024).card
    assert card.source.classes is None
    assert card.target.classes == Classes((0, 1), None)


def test_radar_and_land_cover_to_optical(shared_data: Path, tmp_path: Path) -> None:
    pairs = zip(patches(shared_data, "S1RTC"), patches(shared_data, "LULC"), strict=True)
    sources = [stack(radar, cover, names=["s1", "lulc"]) for radar, cover in pairs]
    export = export_chips(
        sources, patches(shared_data, "S2RGB"), tmp_path / "chips", tile_size=112, progress=False
    )
    numbers = tuple(range(10))
    data = prepare_data(export, batch_size=10, source_classes={"lulc": numbers})
    assert data.card.source.class_bands == ((), (), numbers)
    model = train(data)
    source, _ = data.one_batch()
    found = model.pair.generator.bands(source.as_subclass(torch.Tensor), torch.float32)
    assert found.shape[1] == 12
    assert (found[:, 2:].sum(1) == 1).all()


def test_training_on_one_class_alone(shared_data: Path, tmp_path: Path) -> None:
    names = ("609U_541L_3_0",)
    sides = patches(shared_data, "S2RGB", names), patches(shared_data, "LULC", names)
    export = export_chips(*sides, tmp_path / "chips", tile_size=112, progress=False)
    data = prepare_data(export, batch_size=3, target_scaling="minmax")
    scaling = data.card.target.scaling
    _, target = data.one_batch()
    assert (target == 0).all()
    assert (scaling.unscale(target.numpy()) == 7).all()
    train(data)


def test_heights_to_optical_with_flat_ground(shared_data: Path, tmp_path: Path) -> None:
    sides = patches(shared_data, "DEM"), patches(shared_data, "S2RGB")
    export = export_chips(*sides, tmp_path / "chips", tile_size=112, progress=False)
    data = prepare_data(export, batch_size=6)
    assert export.pairs == len(data.folder.pairs) == 20
    flat = [pair for pair in data.folder.pairs if pair.source.statistics.std[0] == 0]
    assert [float(pair.source.statistics.mean[0]) for pair in flat] == [0]
    assert (data.card.source.bands, data.card.source.dtype) == (1, "int16")
    assert data.card.source.classes is None
    assert "1 band (bands) of int16, 0.0% nodata, scaled from 0..1218" in str(data.summary())
    train(data)


@pytest.mark.slow
def test_pictures_side_by_side(shared_data: Path, tmp_path: Path) -> None:
    # Linked and not read in place, where the facts of the chips would be written beside them.
    for part, count in (("train", 6), ("val", 2)):
        (tmp_path / part).mkdir()
        for number in range(1, count + 1):
            name = f"{part}/{number}.jpg"
            os.symlink(shared_data / "maps" / name, tmp_path / name)
    data = prepare_data(tmp_path, resize_to=128, batch_size=3)
    assert data.folder.layout == "side-by-side pictures in train and val"
    assert (len(data.card.train_pairs), len(data.card.validation_pairs)) == (6, 2)
    assert {name.split("/")[0] for name in data.card.train_pairs} == {"train"}
    assert {name.split("/")[0] for name in data.card.validation_pairs} == {"val"}
    assert (data.card.chip_size, data.card.resize_to) == (128, 128)
    assert data.card.crs is None
    # Left is the photograph and right the map, which has lighter colours.
    assert all(
        (pair.source.statistics.mean < pair.target.statistics.mean).all()
        for pair in data.folder.pairs
    )
    text = str(data.summary())
    assert "600 x 600 px, used as 128 x 128" in text
    assert "6 training, 2 validation" in text
    assert re.search(r"CRS\s+none", text)
    train(data)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_crops_of_pictures_side_by_side(shared_data: Path, tmp_path: Path) -> None:
    for number in range(1, 9):
        os.symlink(shared_data / "maps" / "train" / f"{number}.jpg", tmp_path / f"{number}.jpg")
    data = prepare_data(tmp_path, chip_size=128, batch_size=4, val_split_pct=0.25)
    assert data.folder.layout == "side-by-side pictures"
    assert (data.card.chip_size, data.card.resize_to) == (128, None)
    # Validation pairs are the whole halves, source from the left and target from the right.
    index = int(data.card.validation_pairs[0])
    with rasterio.open(tmp_path / f"{index}.jpg") as picture:
        halves = [picture.read(window=Window(left, 0, 600, 600)) for left in (0, 600)]
    sides = (data.card.source, data.card.target)
    for tensor, side, expected in zip(data.valid_ds[0], sides, halves, strict=True):
        found = side.scaling.unscale(tensor.numpy())
        np.testing.assert_allclose(found, expected, atol=1e-3)
    train(data)


def test_part_of_an_esri_export(shared_data: Path) -> None:
    with pytest.raises(GeotranslateError) as caught:
        prepare_data(shared_data / "esri_export_tiles")
    sentence = str(caught.value)
    assert "esri_export_tiles holds no pairs: images missing" in sentence
    assert "map.txt names 12 pairs, so only a part of the export is here" in sentence
    assert "copy images too" in sentence


@pytest.mark.slow
def test_esri_export_with_missing_chips(shared_data: Path, tmp_path: Path) -> None:
    export = shared_data / "esri_export_tiles"
    for side in ("images", "images2"):
        os.symlink(export / "images2", tmp_path / side)
    os.symlink(export / "map.txt", tmp_path / "map.txt")
    with pytest.warns(GeotranslateWarning) as caught:
        data = prepare_data(tmp_path, chip_size=128, batch_size=3, val_split_pct=0.25)
    (warning,) = (str(w.message) for w in caught if w.category is GeotranslateWarning)
    assert f"4 pairs of {tmp_path} can be used; left out: " in warning
    names = [f"images/{n:012d}.tif and images2/{n:012d}.tif" for n in (0, 1, 11, 12, 18)]
    assert all(f"{name}: named in map.txt but missing" in warning for name in names)
    assert [pair.name for pair in data.folder.pairs] == [f"{n:012d}" for n in (2, 3, 9, 10)]
    assert (data.card.source.dtype, data.card.source.bands) == ("uint16", 1)
    assert data.card.crs == "EPSG:3857"
    assert data.card.resolution == pytest.approx((0.5, 0.5))
    text = str(data.summary())
    assert "4000 x 4000 px, used as 128 x 128" in text
    assert text.count("named in map.txt but missing") == 8
    train(data, all_learn=False)
