from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from geotranslate import prepare_data
from geotranslate.chips.pair_set import PairSet, UnpairedSets
from geotranslate.errors import GridMismatchError, InvalidInputError
from tests.conftest import WriteRaster, values

WriteChips = Callable[..., Path]


@pytest.mark.parametrize("sides", [("A", "B"), ("A/images", "B/images"), ("trainA", "trainB")])
@pytest.mark.parametrize("paired", [None, False])
def test_unpaired_layouts_are_two_sides(
    write_sides: WriteChips, sides: tuple[str, str], paired: bool | None
) -> None:
    data = prepare_data(write_sides(sides), paired=paired)
    assert isinstance(data.folder, UnpairedSets)
    assert not data.card.paired
    assert not data.validates_pairs


@pytest.mark.parametrize("paired", [None, True, False])
def test_folders_of_pairs_are_pairs_whatever_is_drawn(
    write_chips: WriteChips, paired: bool | None
) -> None:
    data = prepare_data(write_chips(), paired=paired)
    assert isinstance(data.folder, PairSet)
    assert data.card.paired == (paired is not False)
    assert data.validates_pairs
    assert data.card.target_crs is None


def test_rasters_of_one_place_are_unpaired_only_if_that_is_said(write_raster: WriteRaster) -> None:
    rasters = [write_raster(f"{n}.tif", values((3, 64, 64), "uint8", n)) for n in (1, 2)]
    assert prepare_data(*rasters, chip_size=32).card.paired
    assert isinstance(prepare_data(*rasters, chip_size=32, paired=False).folder, UnpairedSets)
    far = write_raster("far.tif", values((3, 64, 64), "uint8"), crs="EPSG:32618")
    for paired in (None, True):
        with pytest.raises(GridMismatchError):
            prepare_data(rasters[0], far, chip_size=32, paired=paired)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"paired": "no"}, "^paired is 'no'; give True for pairs, False for chips that are no pai"),
        ({"paired": 0}, "^paired is 0; give True"),
        ({"chip_size": 33}, "chip_size is 33 but the smallest chip of .* has a side of 32 px"),
        ({"stride": 8}, "stride is 8, but a chip folder's chips are cut already"),
    ],
)
def test_impossible_options_of_unpaired_folders_are_said(
    write_sides: WriteChips, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        prepare_data(write_sides(), **options)


def test_single_chip_of_a_side_cannot_be_divided(write_sides: WriteChips) -> None:
    with pytest.raises(InvalidInputError, match="sides holds one source chip; two are needed, one"):
        prepare_data(write_sides(counts=(1, 5)))


def test_folders_of_pairs_and_of_sides_are_not_read_as_one(
    write_sides: WriteChips, write_chips: WriteChips
) -> None:
    both = [write_sides(), write_chips()]
    with pytest.raises(InvalidInputError, match="one holds pairs and the other unpaired chips"):
        prepare_data(both)


@pytest.mark.parametrize(
    ("sizes", "chip_size", "side"), [((32, 48), None, 32), ((48, 32), None, 32), ((32, 48), 20, 20)]
)
def test_tensors_are_as_large_as_the_smaller_chips(
    write_sides: WriteChips, sizes: tuple[int, int], chip_size: int | None, side: int
) -> None:
    data = prepare_data(write_sides(sizes=sizes), chip_size=chip_size)
    assert data.card.chip_size == side
    for source, target in (data.one_batch(), data.valid.one_batch()):
        assert source.shape[-2:] == target.shape[-2:] == (side, side)


def test_sides_with_several_sizes_need_a_chip_size(write_sides: WriteChips) -> None:
    write_sides(sizes=(32, 48))
    folder = write_sides(counts=(1, 1), sizes=(40, 48), start=20)
    with pytest.raises(
        InvalidInputError, match=r"not squares of one size \(32 x 32, 40 x 40, 48 x"
    ):
        prepare_data(folder)
    assert prepare_data(folder, chip_size=24).one_batch()[1].shape[-1] == 24
    assert prepare_data(folder, resize_to=16).one_batch()[0].shape[-1] == 16
