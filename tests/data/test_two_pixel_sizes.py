"""Pairs whose target chips have more or fewer pixels than their source chips."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from geotranslate import CycleGAN, export_chips, prepare_data
from geotranslate.chips.bands import DataCard
from geotranslate.chips.finding import ChipOptions, find_chips
from geotranslate.data.dataoptions import turn
from geotranslate.errors import GridMismatchError, InvalidInputError
from geotranslate.raster.factor import FACTORS, factor_between, valid_at
from tests.conftest import NORTH_UP, WriteRaster, read_pairs, values

WritePairs = Callable[..., Path]
OTHERS = [factor for factor in FACTORS if factor != 1]


@pytest.fixture
def write_pairs(write_raster: WriteRaster, tmp_path: Path) -> WritePairs:
    """Return a function that writes pairs in which each value is the number of a coarse pixel."""

    def write(
        factor: Fraction, coarse: int = 12, count: int = 4, step: float = 1, **options: Any
    ) -> Path:
        for number in range(count):
            ground = NORTH_UP @ Affine.translation(number * 24 * step, 0)
            numbers = np.random.default_rng(number).permutation(coarse**2) % 251
            cells = numbers.reshape(1, coarse, coarse).astype(np.uint8)
            for side, times in (("images", factor.denominator), ("images2", factor.numerator)):
                data = cells.repeat(times, 1).repeat(times, 2)
                place = ground @ Affine.scale(24 / (coarse * times))
                write_raster(f"pairs/{side}/{number}.tif", data, transform=place, **options)
        return tmp_path / "pairs"

    return write


def fine(tensor: Any, times: int) -> Any:
    """Return a tensor with every pixel repeated."""
    return torch.Tensor(tensor).repeat_interleave(times, -2).repeat_interleave(times, -1)


@pytest.mark.filterwarnings("ignore:The target's values are taken for")
@pytest.mark.parametrize("factor", [Fraction(4), Fraction(1, 3)], ids=str)
@pytest.mark.parametrize("options", [{}, {"chip_size": 6}, {"resize_to": 24, "chip_size": 12}])
def test_both_sides_are_cropped_and_turned_alike(
    write_pairs: WritePairs, factor: Fraction, options: dict[str, int]
) -> None:
    sizes = {name: size * factor.denominator for name, size in options.items()}
    data = prepare_data(
        write_pairs(factor), target_classes=True, source_classes=True, **sizes, seed=1
    )
    assert data.card.factor == factor
    torch.manual_seed(0)
    grown, shrunk = factor.numerator, factor.denominator
    for _ in range(10):
        for dataset in (data.train_ds, data.valid_ds):
            source, target = dataset[0]
            assert target.shape[-1] == source.shape[-1] * factor
            both = [
                side.scaling.unscale(fine(tensor, times).numpy())
                for tensor, times, side in (
                    (source, grown, data.card.source),
                    (target, shrunk, data.card.target),
                )
            ]
            np.testing.assert_allclose(both[0], both[1], atol=1e-3)
        source, _ = data.train_ds[0]
        assert source.shape[-1] == data.card.chip_size
    assert f"{factor} of them for each source pixel" in str(data.summary())
    data.show_batch()


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    factor=st.sampled_from([Fraction(2), Fraction(3), Fraction(1, 2), Fraction(1, 4)]),
    symmetry=st.integers(0, 7),
    seed=st.integers(0, 99),
)
def test_validity_turns_with_the_pixels(factor: Fraction, symmetry: int, seed: int) -> None:
    valid = np.random.default_rng(seed).random((8, 12)) > 0.2
    turned = turn(torch.from_numpy(valid_at(valid, factor)), symmetry).numpy()
    np.testing.assert_array_equal(
        turned, valid_at(turn(torch.from_numpy(valid), symmetry).numpy(), factor)
    )


def test_pixels_invalid_on_either_side_are_nan_in_the_target(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    for number in range(3):
        ground = NORTH_UP @ Affine.translation(16 * number, 0)
        source = np.full((1, 16, 16), number + 1, np.uint8)
        source[0, 3, 5] = 0
        target = np.full((1, 32, 32), number + 5, np.uint8)
        target[0, 20, 30] = 0
        write_raster(f"pairs/images/{number}.tif", source, nodata=0, transform=ground)
        half = ground @ Affine.scale(0.5)
        write_raster(f"pairs/images2/{number}.tif", target, nodata=0, transform=half)
    data = prepare_data(tmp_path / "pairs", transforms=False, target_classes=False)
    holes = np.argwhere(np.isnan(np.asarray(data.train_ds[0][1])[0]))
    expected = [[6, 10], [6, 11], [7, 10], [7, 11], [20, 30]]
    np.testing.assert_array_equal(holes, expected)


@pytest.mark.parametrize("factor", OTHERS, ids=str)
def test_card_keeps_the_factor_and_one_without_it_has_1(
    write_pairs: WritePairs, factor: Fraction
) -> None:
    card = prepare_data(write_pairs(factor)).card
    found = card.to_json()
    assert DataCard.from_json(found) == card
    assert card.target_size == card.chip_size * factor
    assert card.reversed().factor == 1 / factor
    assert card.reversed().reversed() == card
    del found["factor"]
    assert DataCard.from_json(found).factor == 1
    assert "factor" not in DataCard.from_json(found).to_json()
    for wrong in ("0", "3/2", "9", 4, None, [], "4 "):
        with pytest.raises(InvalidInputError, match=r"data\.factor is .*; give a text from '1/8'"):
            DataCard.from_json(found | {"factor": wrong})


def test_validation_ground_is_hidden_in_the_pixels_of_the_target(write_pairs: WritePairs) -> None:
    path = write_pairs(Fraction(3), coarse=24, step=0.75)
    data = prepare_data(path, val_split_pct=0.25, transforms=False)
    hidden = [np.isnan(np.asarray(target)).mean() for _, target in data.train_ds]
    assert any(0 < share < 1 for share in hidden)
    assert data.card.factor == 3
    assert str(data.check_registration()).startswith("unknown")


@pytest.mark.parametrize("factor", [Fraction(2), Fraction(1, 2)], ids=str)
def test_shift_is_measured_in_the_pixels_of_the_coarser_side(
    write_raster: WriteRaster, tmp_path: Path, factor: Fraction
) -> None:
    chance = np.random.default_rng(0)
    cells = chance.integers(0, 255, (64, 64), "uint8").repeat(8, 0).repeat(8, 1)
    scene = np.stack([cells])
    for number in range(5):
        top = 64 * number
        ground = NORTH_UP @ Affine.translation(0, top)
        coarse = scene[:, top : top + 128, 100:228]
        moved = scene[:, top + 3 : top + 131, 98:226]
        sides = (coarse, moved.repeat(2, 1).repeat(2, 2))
        if factor < 1:
            sides = (coarse.repeat(2, 1).repeat(2, 2), moved)
        for side, data, times in zip(
            ("images", "images2"), sides, (factor.denominator, factor.numerator), strict=True
        ):
            place = ground @ Affine.scale(1 / times)
            write_raster(f"pairs/{side}/{number}.tif", data, transform=place)
    found = prepare_data(tmp_path / "pairs").check_registration()
    np.testing.assert_allclose(found.shift, (-3, 2), atol=0.2)
    np.testing.assert_allclose(found.ground, (4, 6), atol=0.5)


# What is refused


def test_ratio_that_is_no_whole_number_is_said(write_raster: WriteRaster, tmp_path: Path) -> None:
    write_raster("pairs/images/a.tif", np.ones((1, 20, 20), "uint8"))
    write_raster("pairs/images2/a.tif", np.ones((1, 50, 50), "uint8"))
    sentence = r"pair a differ in size: .* is 50 x 50 px\. Give both .* 2 to 8 times the rows"
    with pytest.raises(InvalidInputError, match=sentence):
        prepare_data(tmp_path / "pairs")


def test_pairs_of_two_factors_are_said(write_pairs: WritePairs, write_raster: WriteRaster) -> None:
    folder = write_pairs(Fraction(2))
    place = NORTH_UP @ Affine.translation(24, 0)
    data = np.random.default_rng(0).integers(0, 255, (1, 12, 12), "uint8")
    write_raster("pairs/images2/1.tif", data, transform=place @ Affine.scale(2))
    with pytest.raises(InvalidInputError, match=r"pair 1 has 1 times as many .* of 0 2 times"):
        prepare_data(folder)


def test_finer_target_on_other_ground_is_said(
    write_pairs: WritePairs, write_raster: WriteRaster
) -> None:
    folder = write_pairs(Fraction(2))
    moved = NORTH_UP @ Affine.translation(25, 0)
    write_raster("pairs/images2/1.tif", np.ones((1, 24, 24), "uint8"), transform=moved)
    with pytest.raises(GridMismatchError, match="pair 1 lie on different ground"):
        prepare_data(folder)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"chip_size": 32}, "chip_size is 32, but a pixel of the target covers 3 x 3 .*multiple"),
        ({"resize_to": 32, "chip_size": 30}, "resize_to is 32, but a pixel of the target covers"),
        ({"paired": False}, "paired is False, but the targets of .* have 1/3 times as many pixels"),
    ],
)
def test_options_that_need_one_pixel_size_are_said(
    write_pairs: WritePairs, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        prepare_data(write_pairs(Fraction(1, 3)), **options)


def test_cyclegan_says_that_it_needs_one_pixel_size(write_pairs: WritePairs) -> None:
    with pytest.raises(InvalidInputError, match="CycleGAN translates between chips of one pixel"):
        CycleGAN(prepare_data(write_pairs(Fraction(2))))


def test_factors_are_found_from_sizes() -> None:
    assert factor_between((10, 20), (40, 80)) == 4
    assert factor_between((40, 80), (10, 20)) == Fraction(1, 4)
    for wrong in ((40, 60), (90, 180), (25, 50), (11, 20)):
        assert factor_between((10, 20), wrong) is None


# Two rasters


@pytest.fixture
def rasters(write_raster: WriteRaster) -> Callable[..., tuple[Path, Path]]:
    """Return a function that writes a source of 2 m and a target of other pixels of its ground."""

    def write(factor: Fraction, moved: float = 0) -> tuple[Path, Path]:
        source = write_raster("source.tif", values((2, 99, 131), "uint8"))
        shape = (1, int(100 * factor), int(140 * factor))
        target = values(shape, "uint16", seed=1) % 5000 + 1
        target[0, :3, :3] = 0
        place = NORTH_UP @ Affine.translation(moved, moved) @ Affine.scale(1 / float(factor))
        return source, write_raster("target.tif", target, transform=place, nodata=0)

    return write


@pytest.mark.parametrize(
    ("factor", "wanted", "moved"),
    [
        (Fraction(4), "own", 0),
        (Fraction(4), "source", 0),
        (Fraction(1, 3), "own", 0),
        (Fraction(1, 3), "meters", 0.4),
    ],
    ids=str,
)
def test_windows_of_two_rasters_are_the_chips_of_an_export(
    rasters: Any, tmp_path: Path, factor: Fraction, wanted: str, moved: float
) -> None:
    source, target = rasters(factor, moved)
    resolution: Any = 2 / float(factor) if wanted == "meters" else wanted
    exported = read_pairs(
        export_chips(
            source,
            target,
            tmp_path / "chips",
            tile_size=36,
            stride=24,
            target_resolution=resolution,
            progress=False,
        )
    )
    options = ChipOptions(chip_size=36, stride=24, target_resolution=resolution)
    found = find_chips(source, target, options)
    assert found.factor == exported.factor == (1 if wanted == "source" else factor)
    assert len(found.pairs) == len(exported.pairs) > 8
    for pair, chip in zip(found.pairs, exported.pairs, strict=True):
        for one, other in zip(pair.chips, chip.chips, strict=True):
            assert one.grid.matches(other.grid, 1e-6)
            for pixels, written in zip(one.read(), other.read(), strict=True):
                np.testing.assert_array_equal(pixels, written)
    data = prepare_data(source, target, chip_size=36, stride=24, target_resolution=resolution)
    batch = data.train.one_batch()
    assert batch[1].shape[-1] == batch[0].shape[-1] * found.factor


def test_shapes_are_burned_into_pixels_of_a_size(rasters: Any) -> None:
    source, _ = rasters(Fraction(4))
    left, top = NORTH_UP @ (0, 0)
    shape = box(left + 10.5, top - 60.5, left + 70.5, top - 5.5)
    layer = gpd.GeoDataFrame({"kind": [7]}, geometry=[shape], crs="EPSG:32633")
    options = ChipOptions(chip_size=32, burn="kind", target_resolution=0.5)
    found = find_chips(source, layer, options)
    assert found.factor == 4
    burned = sum(int((chip.read()[0] == 7).sum()) for chip in found.targets)
    assert burned == 120 * 110


def test_the_other_way_the_target_is_the_first_raster(rasters: Any) -> None:
    source, target = rasters(Fraction(1, 3))
    options = ChipOptions(chip_size=16, direction="BtoA", target_resolution="own")
    assert find_chips(source, target, options).factor == 3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"target_resolution": "finest"}, "target_resolution is 'finest'; give 'source'"),
        ({"target_resolution": -1}, "target_resolution is -1"),
        ({"target_resolution": [2]}, r"target_resolution is \[2\]"),
        ({"target_resolution": 0.9}, r"target's pixels 0\.9 x 0\.9 m beside 2 x 2 m of .*source"),
        ({"chip_size": 32}, "chip_size is 32, but a pixel of the target covers 3 x 3 .* multiple"),
        ({"stride": 10}, "stride is 10, but a pixel of the target covers 3 x 3"),
        ({"paired": False}, "target_resolution is 'own', but paired is False, and"),
    ],
)
def test_what_two_rasters_cannot_have_is_said(
    rasters: Any, options: dict[str, Any], sentence: str
) -> None:
    source, target = rasters(Fraction(1, 3))
    asked = {"chip_size": 36, "target_resolution": "own", **options}
    with pytest.raises(InvalidInputError, match=sentence):
        prepare_data(source, target, **asked)


def test_chips_that_are_cut_already_have_their_pixels(
    write_pairs: WritePairs, rasters: Any
) -> None:
    folder, (source, target) = write_pairs(Fraction(2)), rasters(Fraction(1, 3))
    sides = folder / "images", folder / "images2"
    layers = {"one": sides[0], "two": sides[0]}
    for places in ((folder,), sides, (sides[0], target), (layers, sides[1])):
        with pytest.raises(InvalidInputError, match="is 'own', but the chips of a folder are cut"):
            prepare_data(*places, target_resolution="own")
    layer = gpd.GeoDataFrame(geometry=[box(*rasterio.open(source).bounds)], crs="EPSG:32633")
    with pytest.raises(InvalidInputError, match="the vector layer holds shapes, which have no"):
        prepare_data(source, layer, chip_size=36, target_resolution="own")
    with pytest.raises(InvalidInputError, match="the vector layer holds shapes, which get the"):
        prepare_data(layer, source, chip_size=36, target_resolution=1)
