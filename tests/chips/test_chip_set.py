from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from affine import Affine
from shapely.geometry import box

from geotranslate.chips.chip import Chip
from geotranslate.chips.chip_set import ChipSet
from geotranslate.chips.layouts import TwoRasters
from geotranslate.chips.layouts.recognition import list_chips
from geotranslate.chips.pair_set import UnpairedSets
from geotranslate.chips.split.division import SplitOptions, divide
from geotranslate.chips.split.methods import Split
from geotranslate.errors import GeotranslateWarning, InvalidInputError
from tests.conftest import NORTH_UP, WriteRaster, values

WriteSides = Callable[..., Path]


def read(
    *paths: Path, source_bands: Any = None, target_bands: Any = None, swap: bool = False
) -> UnpairedSets:
    listing = list_chips(paths[0] if len(paths) == 1 else paths)
    return UnpairedSets.of(listing.swapped() if swap else listing, (source_bands, target_bands))


def divided(
    sides: UnpairedSets, split: Any = "auto", share: float = 0.25, seed: int = 0, buffer: float = 0
) -> tuple[Split, Split]:
    return divide(sides, SplitOptions(split, "split", share, seed, buffer), masked=False)


def names(folder: ChipSet) -> list[str]:
    return [chip.name for chip in folder.members]


def least_distance(folder: ChipSet, split: Split) -> float:
    """Return how near training and validation chips come; below 0 where they share ground."""
    outlines = [chip.grid.footprint for chip in folder.members]
    return min(
        outlines[a].distance(outlines[b]) - (outlines[a].intersection(outlines[b]).area > 1e-3)
        for a in split.train
        for b in split.validation
    )


def test_sides_may_differ_in_all_that_they_are(write_sides: WriteSides) -> None:
    sides = read(write_sides(sizes=(32, 48)))
    assert [chip.bands for chip in sides.sources] == [3] * 5
    assert [chip.bands for chip in sides.targets] == [4] * 8
    assert {chip.grid.crs.to_epsg() for chip in sides.targets} == {32618}
    assert names(sides.source) == [f"{number:03d}" for number in range(5)]
    assert (sides.source.noun, sides.target.noun) == ("source chip", "target chip")


def test_sides_are_swapped_with_their_chips_and_not_with_their_bands(
    write_sides: WriteSides,
) -> None:
    sides = read(write_sides(), swap=True, source_bands=[4], target_bands=[2, 1])
    assert [chip.indexes for chip in sides.sources] == [(4,)] * 8
    assert [chip.indexes for chip in sides.targets] == [(2, 1)] * 5


def test_chips_are_named_by_what_tells_them_apart(write_sides: WriteSides, tmp_path: Path) -> None:
    one = write_sides(counts=(1, 1), folder="one")
    two = write_sides(("trainA", "trainB"), counts=(1, 2), start=1, folder="two")
    assert names(read(one, two).source) == ["one/A/000", "two/trainA/001"]
    write_sides(("valA", "valB"), (1, 1), start=5, folder="two")
    assert names(read(two).target) == ["trainB/001", "trainB/002", "valB/005"]


def test_what_is_left_out_is_said_once_with_its_side(
    write_sides: WriteSides,
) -> None:
    folder = write_sides(("trainA", "trainB"))
    with rasterio.open(folder / "trainB/003.tif", "r+") as chip:
        chip.nodata = 0
        chip.write(np.zeros((4, 32, 32), "uint8"))
    twin = (folder / "trainA/002.tif").read_bytes()
    (folder / "trainA/twin.tif").write_bytes(twin)
    sentence = (
        "^5 source chips and 7 target chips of .*sides can be used; left out: source: twin: the "
        "same pixels as 002; target: 003: no valid pixel$"
    )
    with pytest.warns(GeotranslateWarning, match=sentence) as said:
        sides = read(folder)
    assert len(said) == 1
    assert len(sides.left_out) == 2


def test_chip_that_differs_from_its_side_is_named(
    write_sides: WriteSides, write_raster: WriteRaster
) -> None:
    folder = write_sides()
    write_raster("sides/B/odd.tif", values((3, 32, 32), "uint8"))
    with pytest.raises(
        InvalidInputError, match=r"odd\.tif has bands 3 where most chips of its sid"
    ):
        read(folder)


def test_facts_of_both_sides_are_remembered(
    write_sides: WriteSides, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = read(write_sides())
    monkeypatch.setattr(Chip, "of", lambda *_: pytest.fail("a chip was opened again"))
    again = read(Path(first.path))
    assert [chip.digest for chip in again.targets] == [chip.digest for chip in first.targets]


@pytest.mark.slow_after(8)
@pytest.mark.parametrize("split", ["auto", "random", "block"])
@pytest.mark.parametrize("step", [1, 0.5])
@pytest.mark.parametrize("buffer", [0, 40])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.filterwarnings("ignore:.*are left out of training")
def test_no_side_shares_ground_between_training_and_validation(
    write_sides: WriteSides, split: str, step: float, buffer: float, seed: int
) -> None:
    sides = read(write_sides(counts=(9, 14), step=step))
    for side, found in zip(
        (sides.source, sides.target), divided(sides, split, 0.1, seed, buffer), strict=True
    ):
        assert found.train
        assert found.validation
        used = {*found.train, *found.validation, *found.left_out}
        assert used == set(range(len(side.members)))
        assert least_distance(side, found) >= buffer


def test_left_out_chips_are_said_with_their_side(write_sides: WriteSides) -> None:
    sides = read(write_sides(counts=(9, 14), step=0.5))
    with pytest.warns(GeotranslateWarning) as said:
        divided(sides, share=0.1)
    whats = [str(warning.message) for warning in said]
    assert [" source chips are " in what for what in whats] == [True, False]
    assert " of 14 target chips are left out of training and validation" in whats[1]


@pytest.mark.parametrize("split", ["auto", "folder"])
def test_folders_for_validation_are_the_split_of_their_sides(
    write_sides: WriteSides, split: str
) -> None:
    write_sides(("trainA", "trainB"), (3, 4))
    sides = read(write_sides(("valA", "valB"), (2, 1), start=10))
    source, target = divided(sides, split)
    assert source == Split((0, 1, 2), (3, 4))
    assert target == Split((0, 1, 2, 3), (4,))


def test_chips_on_the_ground_of_those_for_validation_do_not_train(write_sides: WriteSides) -> None:
    write_sides(("trainA", "trainB"), (4, 4))
    folder = write_sides(("valA", "valB"), (1, 1), start=9)
    for side, size in (("valA", 32), ("valB", 32)):
        with rasterio.open(folder / side / "009.tif", "r+") as chip:
            chip.transform = NORTH_UP @ Affine.translation(2.5 * size, 0)
    with pytest.warns(GeotranslateWarning, match="2 of 5 (source|target) chips are left out"):
        for found in divided(read(folder)):
            assert found == Split((0, 1), (4,), (2, 3))


def test_side_without_a_part_for_validation_is_divided_by_chance(write_sides: WriteSides) -> None:
    write_sides(("trainA", "trainB"), (3, 8))
    sides = read(write_sides(("valA",), (2,), (32,), (3,), ("EPSG:32633",), start=10))
    source, target = divided(sides)
    assert source == Split((0, 1, 2), (3, 4))
    assert len(target.validation) == 2
    with pytest.raises(
        InvalidInputError, match=r"^The target chips cannot be divided\. The split "
    ):
        divided(sides, "folder")


def test_polygons_divide_both_sides(write_sides: WriteSides) -> None:
    sides = read(write_sides(counts=(8, 8), crs=("EPSG:32633", "EPSG:32633")))
    left, top = NORTH_UP @ (0, 0)
    shapes = [box(left, top - 64, left + 128, top), box(left + 128, top - 64, left + 512, top)]
    areas = gpd.GeoDataFrame({"split": ["val", "train"]}, geometry=shapes, crs="EPSG:32633")
    assert divided(sides, areas) == (Split((2, 3, 4, 5, 6, 7), (0, 1)),) * 2


def test_tiles_of_rasters_lie_on_their_own_grids(write_raster: WriteRaster) -> None:
    near = write_raster("near.tif", values((3, 70, 100), "uint8"))
    place = Affine.translation(9, 50) @ Affine.rotation(20) @ Affine.scale(0.25, -0.25)
    pixels = values((1, 64, 130), "float32", 1)
    far = write_raster("far.tif", pixels, crs="EPSG:4326", transform=place)
    sides = UnpairedSets.of(TwoRasters(32, 32, paired=False).read(near, far))
    assert (len(sides.sources), len(sides.targets)) == (2 * 3, 2 * 4)
    assert names(sides.target)[1] == "row 0 column 32"
    for chip, member in zip(sides.targets, sides.target.members, strict=True):
        assert chip is member.chip
        window = chip.place.window
        at = np.s_[:, window.row_off : window.row_off + 32, window.col_off : window.col_off + 32]
        np.testing.assert_array_equal(chip.read()[0], pixels[at])
        moved = place @ Affine.translation(window.col_off, window.row_off)
        assert chip.grid.transform.almost_equals(moved)
        assert chip.grid.crs.to_epsg() == 4326


def test_rasters_without_enough_are_named(write_raster: WriteRaster) -> None:
    large = write_raster("large.tif", values((1, 64, 64), "uint8"))
    small = write_raster("small.tif", values((1, 31, 64), "uint8"))
    with pytest.raises(InvalidInputError, match=r"small\.tif is 64 x 31 px, smaller than a chip;"):
        UnpairedSets.of(TwoRasters(32, 32, paired=False).read(large, small))
    empty = write_raster("empty.tif", np.zeros((1, 64, 64), "float32"), nodata=0)
    with pytest.raises(InvalidInputError, match=r"No target chip in .*empty\.tif has valid pixels"):
        UnpairedSets.of(TwoRasters(32, 32, paired=False).read(large, empty))
    data = values((1, 64, 64), "float32")
    data[:, :40, :32] = 0
    holed = write_raster("holed.tif", data, nodata=0)
    sentence = "4 source chips and 3 target chips of .*left out: target: 1 tile with less than 50%"
    with pytest.warns(GeotranslateWarning, match=sentence):
        UnpairedSets.of(TwoRasters(32, 32, paired=False).read(large, holed))
