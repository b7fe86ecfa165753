from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from geotranslate.chips.layouts.base import VALIDATION, ChipFile, ChipPlace, Listing
from geotranslate.chips.layouts.recognition import list_chips
from tests.chips.layouts.test_recognition import CASES, SIDECARS, UNPAIRED, fill

Places = tuple[tuple[ChipPlace, ...], ...]


def places(listing: Listing, *, validation: bool = False) -> Places:
    """Return where the chips of both sides are that the folder keeps for validation, or others."""
    assert listing.sides is not None
    return tuple(
        tuple(chip.place for chip in side.chips if (chip.subset == VALIDATION) == validation)
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
def test_chips_for_validation_are_listed_apart(tmp_path: Path, inner: str) -> None:
    fill(tmp_path, "trainA/1.tif", "trainB/1.tif", "testA/9.tif", "testB/9.tif")
    fill(tmp_path, f"valA/{inner}2.tif", f"VALB/{inner}3.tif", f"VALB/{inner}x.npy")
    listing = list_chips(tmp_path)
    assert places(listing) == (
        (ChipFile(str(tmp_path / "trainA/1.tif")),),
        (ChipFile(str(tmp_path / "trainB/1.tif")),),
    )
    assert places(listing, validation=True) == (
        (ChipFile(str(tmp_path / f"valA/{inner}2.tif")),),
        (ChipFile(str(tmp_path / f"VALB/{inner}3.tif")),),
    )
    unread, *reserved = listing.left_out
    assert unread.startswith(f"1 file such as VALB/{inner}x.npy: no chip by its ending")
    assert reserved == ["testA/: not for training", "testB/: not for training"]


def test_empty_folders_for_validation_have_a_line(tmp_path: Path) -> None:
    fill(tmp_path, "trainA/1.tif", "trainB/1.tif", "valA/readme.txt", "valB/2.tif")
    listing = list_chips(tmp_path)
    assert places(listing, validation=True) == ((), (ChipFile(str(tmp_path / "valB/2.tif")),))
    assert listing.left_out == ("valA/: it holds no chips",)


def test_folders_for_validation_are_joined_too(tmp_path: Path) -> None:
    fill(tmp_path / "one", "trainA/1.tif", "trainB/1.tif", "valA/2.tif", "valB/2.tif")
    fill(tmp_path / "two", "A/1.tif", "B/1.tif")
    listing = list_chips([tmp_path / "two", tmp_path / "one"])
    assert places(listing, validation=True) == (
        (ChipFile(str(tmp_path / "one/valA/2.tif")),),
        (ChipFile(str(tmp_path / "one/valB/2.tif")),),
    )
