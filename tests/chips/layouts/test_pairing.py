"""Two folders of any names, sides in parts, and parts of sides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from geotranslate import prepare_data
from geotranslate.chips.layouts.pairing import list_two_folders, matches_of
from geotranslate.errors import GeotranslateError, GeotranslateWarning, InvalidInputError
from tests.conftest import NORTH_UP, WriteRaster, values

WriteFiles = Callable[[str, Sequence[str]], Path]


@pytest.fixture
def write_files(write_raster: WriteRaster, tmp_path: Path) -> WriteFiles:
    """Return a function that writes rasters of 32 px without a CRS into a folder."""
    written = 0

    def write(folder: str, names: Sequence[str]) -> Path:
        nonlocal written
        for name in names:
            written += 1
            driver = {"png": "PNG", "jpg": "JPEG", "mrf": "MRF"}.get(name[-3:], "GTiff")
            write_raster(
                f"{folder}/{name}",
                values((1, 32, 32), "uint8", seed=written),
                crs=None,
                transform=None,
                driver=driver,
            )
        return tmp_path / folder

    return write


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (["1", "2"], ["1", "2"], [("1", "1"), ("2", "2")]),
        (["1", "2"], ["1", "3"], [("1", "1")]),
        (["a_s1_1", "a_s1_2"], ["a_gt_2", "a_gt_1"], [("a_s1_1", "a_gt_1"), ("a_s1_2", "a_gt_2")]),
        (["1_rgb", "2_rgb"], ["1_map", "2_map"], [("1_rgb", "1_map"), ("2_rgb", "2_map")]),
        (["rgb1_RGB"], ["rgb1"], [("rgb1_RGB", "rgb1")]),
        (["sat-1.x", "sat-2.x"], ["1_x", "2_x"], [("sat-1.x", "1_x"), ("sat-2.x", "2_x")]),
        # A chip more on either side, and one that lacks the word.
        (["1_a", "2_a", "3_a", "4"], ["1_b", "2_b", "5_b"], [("1_a", "1_b"), ("2_a", "2_b")]),
        (["1_a", "2_a"], ["3_b", "4_b"], []),
    ],
)
def test_stems_pair_by_equality_or_without_the_word_of_their_side(
    source: list[str], target: list[str], expected: list[tuple[str, str]]
) -> None:
    assert sorted(matches_of(source, target).pairs) == expected


@settings(max_examples=30)
@given(
    numbers=st.sets(st.integers(0, 999), min_size=1, max_size=30),
    words=st.sampled_from([("s1", "s2"), ("rgb", "map"), ("image", "mask"), ("x", "")]),
    pattern=st.sampled_from(["{n:03d}_{w}", "{w}-{n}", "city_{w}_{n}.tile", "{n}.{w}"]),
)
def test_every_chip_finds_its_own_partner(
    numbers: set[int], words: tuple[str, str], pattern: str
) -> None:
    source, target = (
        [pattern.format(n=n, w=word).strip("_-.") for n in sorted(numbers)] for word in words
    )
    assert sorted(matches_of(source, target[::-1]).pairs) == sorted(
        zip(source, target, strict=True)
    )


def test_names_that_pair_in_several_ways_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"can be paired in several ways: .* Give a source"):
        matches_of(["a_b_1", "b_a_2"], ["1", "2", "b_1", "a_2"])


def test_folders_of_any_names_and_formats_are_pairs(write_files: WriteFiles) -> None:
    sat = write_files("sat", ["1_rgb.png", "2_rgb.tif", "3_rgb.jpg", "9_rgb.png"])
    maps = write_files("maps", ["1_map.tif", "2_map.png", "3_map.mrf", "8_map.png"])
    with pytest.warns(GeotranslateWarning, match=r"sat/9_rgb.png: no partner; maps/8_map.png: no"):
        data = prepare_data(sat, maps)
    assert [pair.name for pair in data.folder.pairs] == ["1_rgb", "2_rgb", "3_rgb"]
    text = str(data.summary())
    assert "sat + maps, paired without 'rgb' and 'map'" in text
    assert "from sat/ to maps/" in text
    with pytest.warns(GeotranslateWarning, match="no partner"):
        back = prepare_data(sat, maps, direction="BtoA")
    assert "from maps/ to sat/" in str(back.summary())
    unpaired = prepare_data(sat, maps, paired=False)
    assert (len(unpaired.folder.sources), len(unpaired.folder.targets)) == (4, 4)


def test_sidecars_of_mrf_chips_are_not_mentioned(write_files: WriteFiles) -> None:
    write_files("c/images", ["1.mrf", "2.mrf"])
    folder = write_files("c/labels", ["1.mrf", "2.mrf"]).parent
    data = prepare_data(folder)  # a warning would be an error
    assert "from images/ to labels/ (direction='BtoA' translates labels" in str(data.summary())


@pytest.mark.parametrize(
    ("source", "target", "paired"),
    [
        ("sat/{part}", "map/{part}", None),
        ("images/{part}", "images2/{part}", None),
        ("{part}/images", "{part}/labels", None),
        ("A/{part}", "B/{part}", True),
        ("{part}/A", "{part}/B", True),
    ],
)
def test_parts_above_or_below_the_sides_are_found(
    write_files: WriteFiles, tmp_path: Path, source: str, target: str, paired: bool | None
) -> None:
    for part, count in (("train", 3), ("val", 2), ("test", 1)):
        for side in (source, target):
            write_files(f"d/{side.format(part=part)}", [f"{n}.png" for n in range(count)])
    folder = tmp_path / "d"
    data = (
        prepare_data(folder / "sat", folder / "map")
        if source.startswith("sat")
        else prepare_data(folder, paired=paired)
    )
    assert data.test is not None
    assert [len(data.train_ds), len(data.valid_ds), len(data.test.dataset)] == [3, 2, 1]
    for pair in data.folder.pairs:
        parts = [
            next(p for p in chip.path.parts if p in ("train", "val", "test")) for chip in pair.chips
        ]
        assert parts == [pair.subset, pair.subset]


def test_two_folders_pair_where_they_are_asked_to(write_files: WriteFiles, tmp_path: Path) -> None:
    write_files("ab/A", ["1.png", "2.png", "3.png"])
    folder = write_files("ab/B", ["1.png", "2.png", "3.png"]).parent
    assert not prepare_data(folder).folder.pairs
    data = prepare_data(folder, paired=True)
    assert [p.source.path.parent.name for p in data.folder.pairs] == ["A"] * 3
    assert np.all([p.source.path.name == p.target.path.name for p in data.folder.pairs])


def test_folders_that_are_no_pairs_are_refused_in_a_sentence(
    write_files: WriteFiles, write_raster: WriteRaster, tmp_path: Path
) -> None:
    left, right = write_files("l", ["1.png", "2.png"]), write_files("r", ["3.png", "4.png"])
    (tmp_path / "empty").mkdir()
    for target, sentence in (
        (
            right,
            r"holds no pairs: no chip of .*l \(1.png, ...\) has a partner in .*r \(3.png, ...\)",
        ),
        (left, "Source and target are the same folder, .*l; give two folders, or path alone"),
        (tmp_path / "empty", r"The folder .*empty has no chips \(it has nothing\); give a folder"),
        (
            left / "1.png",
            r"l/1.png has no CRS, so its ground on .*1.png is not known; assign it, or",
        ),
        (tmp_path / "absent", r"absent cannot be opened as a raster"),
        (
            tmp_path / "x.gpkg",
            r"x.gpkg'.*, a vector layer, but the other side is .*; give the path of a raster, into",
        ),
        (5, r"path is a folder, but target is 5, which is none; give two folders"),
    ):
        with pytest.raises(GeotranslateError, match=sentence):
            prepare_data(left, target)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="stride is 8, but a chip folder's chips are cut"):
        prepare_data(left, right, stride=8)
    write_files("twice", ["1.png", "1.tif"])
    with pytest.raises(InvalidInputError, match="several chips named 1 with different endings"):
        list_two_folders(tmp_path / "twice", right)


def test_georeferenced_chips_pair_with_the_ground_of_a_raster(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    whole = values((1, 96, 96), "uint8")
    target = write_raster("target.tif", whole)  # pixels of 2 m
    for number, (row, col) in enumerate([(0, 0), (0, 32), (32, 0), (64, 64), (500, 0)]):
        write_raster(
            f"sat/{number}.tif",
            values((3, 32, 32), "uint8", seed=number),
            transform=NORTH_UP @ Affine.translation(col, row),
        )
    with pytest.warns(GeotranslateWarning, match="4: not on the ground of target.tif"):
        data = prepare_data(tmp_path / "sat", target)
    assert len(data.folder.pairs) == 4
    np.testing.assert_array_equal(data.folder.pairs[3].target.read()[0], whole[:, 64:, 64:])
    assert "sat + raster, laid onto the grid of each chip (bilinear" in str(data.summary())
    with pytest.warns(GeotranslateWarning, match="4: not on the ground of target.tif"):
        back = prepare_data(tmp_path / "sat", target, direction="BtoA")
    assert (back.card.source.bands, back.card.target.bands) == (1, 3)
    for option in ({"stride": 8}, {"test_path": tmp_path / "sat"}, {"paired": False}):
        with pytest.raises(InvalidInputError, match=f"{next(iter(option))} is "):
            prepare_data(tmp_path / "sat", target, **option)  # type: ignore[arg-type]
    far = write_raster("far.tif", whole, transform=NORTH_UP @ Affine.translation(9000, 0))
    with pytest.raises(InvalidInputError, match=r"None of the 5 chips in .*sat lies on the ground"):
        prepare_data(tmp_path / "sat", far)
