"""Pairs whose target chips have more or fewer pixels than their source chips."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geotranslate import CycleGAN, prepare_data
from geotranslate.chips.bands import DataCard
from geotranslate.data.dataoptions import turn
from geotranslate.errors import GridMismatchError, InvalidInputError
from geotranslate.raster.factor import FACTORS, factor_between, valid_at
from tests.conftest import NORTH_UP, WriteRaster

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
