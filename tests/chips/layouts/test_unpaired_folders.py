from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from geotranslate.chips.layouts.base import TEST, TRAIN, VALIDATION, ChipFile, ChipPlace, Listing
from geotranslate.chips.layouts.pairing import in_pairs
from geotranslate.chips.layouts.recognition import list_chips
from tests.chips.layouts.test_recognition import CASES, SIDECARS, UNPAIRED, fill

Places = tuple[tuple[ChipPlace, ...], ...]


def places(listing: Listing, part: str = TRAIN) -> Places:
    """Return where the chips of both sides are that the folder keeps for a part."""
    assert listing.sides is not None
    return tuple(
        tuple(chip.place for chip in side.chips if (chip.subset or TRAIN) == part)
        for side in listing.sides
    )


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("inner", [(), ("images",), ("Images",)])
@pytest.mark.parametrize("sides", UNPAIRED)
def test_unpaired_sides_are_listed_each_for_itself(
    tmp_path: Path, sides: tuple[str, str], inner: tuple[str, ...], case: Callable[[str], str]
) -> None:
    held = [tmp_path.joinpath(case(side), *inner) for side in sides]
    fill(held[0], "1.tif", "2.tif", "x.jpg", *SIDECARS)
    fill(held[1], "1.tif", "y.tif")
    fill(tmp_path / case(sides[0]), "map.txt", "esri_model_definition.emd")
    listing = list_chips(tmp_path)
    assert listing.layout == UNPAIRED[sides]
    assert listing.pairs == ()
    assert listing.left_out == ()
    assert places(listing) == (
        tuple(ChipFile(str(held[0] / name)) for name in ("1.tif", "2.tif", "x.jpg")),
        tuple(ChipFile(str(held[1] / name)) for name in ("1.tif", "y.tif")),
    )


@pytest.mark.parametrize("inner", ["", "images/"])
@pytest.mark.parametrize(("part", "names"), [(VALIDATION, "valA VALB"), (TEST, "TestA testB")])
def test_chips_for_validation_and_tests_are_listed_apart(
    tmp_path: Path, inner: str, part: str, names: str
) -> None:
    here, there = names.split()
    fill(tmp_path, "trainA/1.tif", "trainB/1.tif")
    fill(tmp_path, f"{here}/{inner}2.tif", f"{there}/{inner}3.tif", f"{there}/{inner}x.npy")
    listing = list_chips(tmp_path)
    assert places(listing) == (
        (ChipFile(str(tmp_path / "trainA/1.tif")),),
        (ChipFile(str(tmp_path / "trainB/1.tif")),),
    )
    assert places(listing, part) == (
        (ChipFile(str(tmp_path / f"{here}/{inner}2.tif")),),
        (ChipFile(str(tmp_path / f"{there}/{inner}3.tif")),),
    )
    assert listing.left_out[0].startswith(f"1 file such as {there}/{inner}x.npy: no chip by its")
    assert len(listing.left_out) == 1


def test_names_of_parts_of_both_sides_pair(tmp_path: Path) -> None:
    for side in "AB":
        fill(
            tmp_path, *(f"{part}{side}/{n}_{side}.jpg" for part in ("train", "test") for n in "12")
        )
    found = in_pairs(list_chips(tmp_path))
    assert [(pair.subset, pair.name) for pair in found.pairs] == [
        *((TRAIN, f"train/{n}_A") for n in "12"),
        *((TEST, f"test/{n}_A") for n in "12"),
    ]
    assert found.layout == "trainA + trainB, paired without 'a' and 'b'"
    assert found.left_out == ()


def test_empty_folders_for_validation_have_a_line(tmp_path: Path) -> None:
    fill(tmp_path, "trainA/1.tif", "trainB/1.tif", "valA/readme.txt", "valB/2.tif")
    listing = list_chips(tmp_path)
    assert places(listing, VALIDATION) == ((), (ChipFile(str(tmp_path / "valB/2.tif")),))
    assert listing.left_out == ("valA/: it holds no chips",)


def test_folders_for_validation_and_tests_are_joined_too(tmp_path: Path) -> None:
    fill(tmp_path / "one", "trainA/1.tif", "trainB/1.tif", "valA/2.tif", "valB/2.tif")
    fill(tmp_path / "two", "A/1.tif", "B/1.tif")
    fill(tmp_path / "three", "trainA/1.tif", "trainB/1.tif", "testA/2.tif", "testB/2.tif")
    listing = list_chips([tmp_path / "two", tmp_path / "one", tmp_path / "three"])
    for part, folder, name in ((VALIDATION, "one", "val"), (TEST, "three", "test")):
        assert places(listing, part) == (
            (ChipFile(str(tmp_path / f"{folder}/{name}A/2.tif")),),
            (ChipFile(str(tmp_path / f"{folder}/{name}B/2.tif")),),
        )
