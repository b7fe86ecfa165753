from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.enums import Resampling

from geotranslate import export_chips, prepare_data
from geotranslate.chips.bands.classes import (
    MOST_CLASSES,
    TAG,
    Classes,
    ClassFacts,
    Codes,
    classes_of,
    resampling_for,
)
from geotranslate.chips.bands.datacard import Side
from geotranslate.errors import GeotranslateWarning, InvalidInputError
from tests.conftest import NORTH_UP, WriteRaster, values

INTEGERS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
SHIFTED = NORTH_UP @ Affine.translation(0.4, 0.3)


def patches(codes: list[int], dtype: str = "uint8", side: int = 96, seed: int = 0) -> NDArray[Any]:
    """Return a map `(1, side, side)` of square patches of 6 px, each code at least once."""
    chance, count = np.random.default_rng(seed), side // 6
    known = np.array(codes, dtype)
    picked = chance.permutation(np.resize(known, count * count)).reshape(1, count, count)
    return picked.repeat(6, axis=1).repeat(6, axis=2)


def heights(low: int, high: int, dtype: str = "int16", side: int = 96) -> NDArray[Any]:
    """Return a hillside in whole metres."""
    across = np.linspace(0, 3, side)
    slope = np.sin(across)[:, None] + np.cos(across)[None] + np.add.outer(across, across)
    unit = (slope - slope.min()) / np.ptp(slope)
    return np.rint(low + unit * (high - low)).astype(dtype)[None]


def codes_of(data: NDArray[Any]) -> Codes:
    return Codes.of(data, np.ones(data.shape[1:], bool))


@given(st.data(), st.sampled_from(INTEGERS), st.integers(0, 99))
def test_patches_of_few_numbers_are_classes(data: Any, dtype: str, seed: int) -> None:
    limits = np.iinfo(dtype)
    numbers = st.integers(int(limits.min), int(limits.max))
    codes = data.draw(st.lists(numbers, min_size=1, max_size=MOST_CLASSES, unique=True))
    found = codes_of(patches(codes, dtype, seed=seed))
    assert found.values == tuple(sorted(codes))
    assert found.are_classes


@pytest.mark.parametrize("span", range(4, 90, 5))
@pytest.mark.parametrize("low", [-3, 0, 1192])
def test_heights_are_no_classes(low: int, span: int) -> None:
    assert not codes_of(heights(low, low + span)).are_classes


@pytest.mark.parametrize(
    "data",
    [
        values((1, 64, 64), "uint8"),
        values((1, 64, 64), "uint8") // 8,  # dark, without patches
        values((1, 64, 64), "uint8") // 30,
        values((3, 64, 64), "uint8") % 2,
        patches([1, 2, 3]).astype("float32"),
        patches(list(range(MOST_CLASSES + 1))),
        np.zeros((1, 0, 0), "uint8"),
    ],
)
def test_images_and_several_bands_and_floats_are_no_classes(data: NDArray[Any]) -> None:
    assert not codes_of(data).are_classes


@pytest.mark.parametrize("levels", [(0, 255), (7,), (0, 1, 2), (-9999, 3)])
def test_masks_and_up_to_four_values_are_classes(levels: tuple[int, ...]) -> None:
    # Even where they go up and down by one, or have no patches.
    data = np.random.default_rng(0).choice(levels, (1, 64, 64)).astype("int16")
    assert codes_of(data).are_classes
    assert codes_of(data).values == tuple(sorted(levels))


def test_invalid_pixels_are_not_looked_at() -> None:
    data = patches([3, 5, 9, 11, 14])
    data[0, ::2] = values((48, 96), "uint8")
    valid = np.zeros((96, 96), bool)
    valid[1::2] = True
    assert Codes.of(data, valid).values == (3, 5, 9, 11, 14)
    assert Codes.of(data, valid).are_classes
    assert Codes.of(data, valid).neighbors == 48 * 95


@given(st.integers(0, 99), st.integers(1, 95))
def test_codes_of_parts_add_up(seed: int, cut: int) -> None:
    data = patches([0, 3, 9, 200, 255], seed=seed)
    upper, lower = codes_of(data[:, :cut]), codes_of(data[:, cut:])
    assert upper + lower == lower + upper == codes_of(data)


def test_parts_with_many_values_together_have_many() -> None:
    low, high = patches(list(range(40))), patches(list(range(40, 80)))
    assert codes_of(low).are_classes
    assert not (codes_of(low) + codes_of(high)).are_classes


CLASSES, QUANTITIES = codes_of(patches([1, 5, 7])), codes_of(values((1, 64, 64), "uint8"))
TABLE = ((1, 255, 0, 0, 255),)


@pytest.mark.parametrize("wanted", [None, True, False])
@pytest.mark.parametrize("said", [None, True, False])
@pytest.mark.parametrize("colours", [None, TABLE, ()])
@pytest.mark.parametrize("codes", [CLASSES, QUANTITIES])
def test_wishes_stand_before_what_files_say_before_what_they_show(
    wanted: bool | None, said: bool | None, colours: Any, codes: Codes
) -> None:
    found = classes_of("source", wanted, [ClassFacts(codes, colours, said)] * 3, 1)
    shown = colours is not None or codes is CLASSES
    expected = wanted if wanted is not None else said if said is not None else shown
    assert (found is not None) == expected
    if found is not None:
        assert found.colors == colours
        assert found.values == (codes.values or ())


def test_files_that_say_different_things_are_looked_at() -> None:
    for codes in (CLASSES, QUANTITIES):
        for others in (None, False):
            facts = [ClassFacts(codes, None, True), ClassFacts(codes, None, others)]
            assert (classes_of("source", None, facts, 1) is not None) == (codes is CLASSES)


def test_colour_tables_are_joined_and_the_first_stands() -> None:
    tables = (TABLE, None, ((1, 9, 9, 9, 255), (4, 1, 2, 3, 255)))
    facts = [ClassFacts(CLASSES, table, None) for table in tables]
    found = classes_of("target", None, facts, 1)
    assert found is not None
    assert found.colors is not None
    assert sorted(found.colors) == [(1, 255, 0, 0, 255), (4, 1, 2, 3, 255)]


@pytest.mark.parametrize("wanted", ["yes", 1, [True]])
def test_impossible_wishes_are_said(wanted: Any) -> None:
    with pytest.raises(
        InvalidInputError, match=r"target_classes is .*; give True for classes, Fal"
    ):
        classes_of("target", wanted, [ClassFacts(CLASSES, None, None)], 1)
    with pytest.raises(
        InvalidInputError, match="source_classes is True but the source has 3 bands"
    ):
        classes_of("source", True, [ClassFacts(Codes(None), None, None)], 3)


@pytest.mark.parametrize(
    ("data", "classes"),
    [
        (patches([1, 2, 5, 9, 12], side=4200), True),
        (heights(0, 30, side=4200), False),
        (values((1, 4000, 1700), "uint8"), False),
        (values((3, 64, 64), "uint8"), False),
        (patches([1, 2, 5]), True),
    ],
)
def test_rasters_are_judged_by_windows(
    write_raster: WriteRaster, data: NDArray[Any], classes: bool
) -> None:
    raster = write_raster("a.tif", data, compress="lzw")
    assert (resampling_for("target", None, [raster]) is Resampling.nearest) == classes
    if len(data) == 1:
        assert resampling_for("target", True, [raster]) is Resampling.nearest
    assert resampling_for("target", False, [raster]) is Resampling.bilinear


def test_overviews_are_not_taken_for_pixels(write_raster: WriteRaster) -> None:
    raster = write_raster("a.tif", patches([0, 9, 90, 99, 200], side=4200))
    with rasterio.open(raster, "r+") as dataset:
        dataset.build_overviews([2, 4, 8, 16], Resampling.average)
    assert resampling_for("target", None, [raster]) is Resampling.nearest


@pytest.fixture
def sides(write_raster: WriteRaster) -> Callable[..., tuple[Path, Path]]:
    """Return a function that writes an image and a map on another grid."""

    def write(data: NDArray[Any], **options: Any) -> tuple[Path, Path]:
        image = write_raster("image.tif", values((3, 90, 90), "uint8"))
        return image, write_raster("map.tif", data, transform=SHIFTED, **options)

    return write


def read_target(path: Path) -> set[int]:
    return {
        int(value)
        for pair in prepare_data(path, target_classes=False).folder.pairs
        for value in np.unique(pair.target.read()[0])
    }


CODES = [10, 40, 90, 200, 250]


@pytest.mark.parametrize("wanted", [None, True, False])
def test_the_decision_governs_how_rasters_are_laid_and_travels_with_the_chips(
    sides: Any, tmp_path: Path, wanted: bool | None
) -> None:
    image, plan = sides(patches(CODES))
    options = {"target_classes": wanted}
    export_chips(image, plan, tmp_path / "c", tile_size=30, progress=False, **options)
    found = read_target(tmp_path / "c")
    with rasterio.open(tmp_path / "c" / "images2" / "000000000.tif") as chip:
        assert chip.tags().get(TAG) == {None: None, True: "yes", False: "no"}[wanted]
    if wanted is False:
        assert len(found) > len(CODES)
        assert prepare_data(tmp_path / "c").card.target.classes is None
        assert prepare_data(image, plan, chip_size=30, **options).card.target.classes is None
        return
    assert found == set(CODES)
    for arguments in ((tmp_path / "c",), (image, plan)):
        with pytest.warns(GeotranslateWarning, match="values are taken for 5 classes"):
            data = prepare_data(*arguments, chip_size=30, target_classes=wanted)
        assert data.card.target.classes == Classes(tuple(CODES), None)
        assert (data.card.target.scaling.low, data.card.target.scaling.high) == ((10,), (250,))


def test_what_export_was_told_is_believed_and_can_be_overridden(sides: Any, tmp_path: Path) -> None:
    # A grey image says nothing of itself.
    image, grey = sides(heights(0, 255, "uint8"))
    export_chips(image, grey, tmp_path / "c", tile_size=30, target_classes=True, progress=False)
    with pytest.warns(GeotranslateWarning, match="values are taken for classes, which"):
        card = prepare_data(tmp_path / "c").card
    assert card.target.classes == Classes((), None)
    assert prepare_data(tmp_path / "c", target_classes=False).card.target.classes is None


def test_colour_tables_reach_the_card_from_chips_and_from_rasters(
    sides: Any, tmp_path: Path
) -> None:
    table = {value: (value, 255 - value, 7, 255) for value in CODES}
    image, plan = sides(patches(CODES), colormap=table)
    export_chips(image, plan, tmp_path / "c", tile_size=30, progress=False)
    expected = tuple((value, *colour) for value, colour in table.items())
    for arguments in ((tmp_path / "c",), (image, plan)):
        with pytest.warns(GeotranslateWarning, match="values are taken for [56] classes"):
            target = prepare_data(*arguments, chip_size=30).card.target
        assert target.classes is not None
        assert target.classes.colors == expected
        assert Side.from_json(target.to_json()) == target
        assert set(target.classes.values) <= {0, *CODES}


def test_resizing_keeps_guessed_classes(write_raster: WriteRaster, tmp_path: Path) -> None:
    for number in range(3):
        place = NORTH_UP @ Affine.translation(96 * number, 0)
        for side, data in (("images", values((1, 96, 96), "uint8")), ("images2", patches(CODES))):
            write_raster(f"{side}/{number}.tif", np.roll(data, number, 2), transform=place)
    with pytest.warns(GeotranslateWarning, match="5 classes"):
        data = prepare_data(tmp_path, resize_to=70)
    units = data.card.target.scaling.unscale(data.train_ds[0][1].numpy())
    assert set(np.rint(units).ravel()) <= set(CODES)
    np.testing.assert_allclose(units, np.rint(units), atol=1e-4)
    quantities = prepare_data(tmp_path, resize_to=70, target_classes=False)
    units = quantities.card.target.scaling.unscale(quantities.train_ds[0][1].numpy())
    assert not set(np.rint(units).ravel()) <= set(CODES)


def test_brightness_of_classes_is_not_varied(sides: Any, tmp_path: Path) -> None:
    image, plan = sides(patches(CODES))
    options = {"chip_size": 30, "jitter": 0.1, "direction": "BtoA"}
    with pytest.raises(InvalidInputError, match="but the source's values are 5 classes, which"):
        prepare_data(image, plan, **options)
    prepare_data(image, plan, **options, source_classes=False)


def test_two_classes_need_no_warning(sides: Any) -> None:
    data = prepare_data(*sides(patches([0, 255])), chip_size=30)
    assert data.card.target.classes == Classes((0, 255), None)
    assert "1 band of uint8, 2 classes, 0.0% nodata, scaled from 0..255" in str(data.summary())
