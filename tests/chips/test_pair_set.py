from __future__ import annotations

import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from geotranslate.chips.layouts import TwoRasters
from geotranslate.chips.pair_set import PairSet
from geotranslate.errors import (
    GeotranslateWarning,
    GridMismatchError,
    InvalidInputError,
    RasterFileError,
)
from tests.conftest import NORTH_UP, WriteRaster, read_pairs, values


def write_pairs(write_raster: WriteRaster, names: list[str]) -> None:
    for number, name in enumerate(names):
        for side in ("images", "images2"):
            write_raster(f"{side}/{name}", np.full((1, 8, 8), number, "uint8"))


def test_pairs_are_made_by_name_whatever_the_order_of_the_files(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    names = [f"{name}.tif" for name in ("b", "10", "9", "a b")]
    for side in ("images", "images2"):
        for name in random.Random(side).sample(names, len(names)):
            write_raster(f"{side}/{name}", np.full((1, 8, 8), names.index(name), "uint8"))
    for pair in read_pairs(tmp_path).pairs:
        assert pair.source.statistics.mean == pair.target.statistics.mean
        assert pair.source.path.stem == pair.target.path.stem == pair.name


def test_map_decides_where_it_is_present(write_raster: WriteRaster, tmp_path: Path) -> None:
    write_pairs(write_raster, ["a.tif", "b.tif", "c.tif"])
    (tmp_path / "map.txt").write_text(
        "images\\a.tif  images2\\b.tif \nimages\\x.tif images2\\c.tif"
    )
    with pytest.warns(GeotranslateWarning, match=r"1 pair of .* left out: images/x\.tif: named"):
        folder = read_pairs(tmp_path)
    assert [(p.source.path.name, p.target.path.name) for p in folder.pairs] == [("a.tif", "b.tif")]


def test_chips_without_partner_are_left_out_and_named(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    write_pairs(write_raster, ["a.tif", "b.tif"])
    (tmp_path / "images" / "b.tif").unlink()
    with pytest.warns(
        GeotranslateWarning, match=r"1 pair of .* left out: images2/b\.tif: no partner"
    ):
        folder = read_pairs(tmp_path)
    assert folder.left_out == ("images2/b.tif: no partner",)


def test_empty_pairs_are_left_out_and_named(write_raster: WriteRaster, tmp_path: Path) -> None:
    write_pairs(write_raster, ["a.tif", "b.tif"])
    write_raster("images2/b.tif", np.zeros((1, 8, 8), "uint8"), nodata=0)
    with pytest.warns(GeotranslateWarning, match="b: no valid pixel in one of the chips"):
        assert len(read_pairs(tmp_path).pairs) == 1


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        RasterFileError, match="nowhere is not a folder; give the folder that holds"
    ):
        read_pairs(tmp_path / "nowhere")


def test_folder_without_pairs_says_what_is_missing_and_what_was_found(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(InvalidInputError, match=r"images and images2 missing \(found pictures\)"):
        read_pairs(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "images2").mkdir()
    with pytest.raises(InvalidInputError, match="holds no pairs: no chip in images/ has a partner"):
        read_pairs(tmp_path)


def test_pair_of_different_sizes_is_named(write_raster: WriteRaster, tmp_path: Path) -> None:
    write_pairs(write_raster, ["a.tif"])
    write_raster("images2/a.tif", values((1, 9, 7), "uint8"))
    sentence = r"pair a differ in size: .*images.a\.tif is 8 x 8 px, .*images2.a\.tif is 7 x 9 px"
    with pytest.raises(InvalidInputError, match=sentence):
        read_pairs(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no raster at all", None])
def test_unreadable_chip_is_named(
    write_raster: WriteRaster, tmp_path: Path, content: bytes | None
) -> None:
    write_pairs(write_raster, ["a.tif", "b.tif"])
    path = write_raster("images2/b.tif", values((1, 200, 200), "uint8"), compress="lzw")
    write_raster("images/b.tif", values((1, 200, 200), "uint8"))
    path.write_bytes(path.read_bytes()[:9000] if content is None else content)
    with pytest.raises(RasterFileError, match=r"images2.b\.tif cannot be (opened|read)"):
        read_pairs(tmp_path)


def test_pair_on_different_ground_is_named(write_raster: WriteRaster, tmp_path: Path) -> None:
    write_pairs(write_raster, ["a.tif"])
    moved = Affine.translation(50, 0) @ NORTH_UP
    write_raster("images2/a.tif", values((1, 8, 8), "uint8"), transform=moved)
    with pytest.raises(GridMismatchError, match="pair a lie on different ground"):
        read_pairs(tmp_path)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (values((2, 8, 8), "uint8"), r"b\.tif has bands 2 where most chips of its side have 1"),
        (values((1, 8, 8), "int16"), r"b\.tif has dtype int16 where most chips .* have uint8"),
    ],
)
def test_chip_that_differs_from_the_others_is_named(
    write_raster: WriteRaster, tmp_path: Path, data: np.ndarray, sentence: str
) -> None:
    write_pairs(write_raster, ["a.tif", "b.tif", "c.tif"])
    write_raster("images/b.tif", data)
    with pytest.raises(InvalidInputError, match=sentence):
        read_pairs(tmp_path)


def test_one_name_with_two_endings_is_ambiguous(write_raster: WriteRaster, tmp_path: Path) -> None:
    write_pairs(write_raster, ["a.tif"])
    write_raster("images/a.tiff", values((1, 8, 8), "uint8"))
    with pytest.raises(InvalidInputError, match="several chips named a with different endings"):
        read_pairs(tmp_path)


def test_georeferenced_picture_is_not_halved(write_raster: WriteRaster, tmp_path: Path) -> None:
    write_raster("chips/0.tif", values((3, 8, 16), "uint8"))
    sentence = r"0\.tif is twice as wide as high, so it was taken for a source and its target side"
    with pytest.raises(GridMismatchError, match=sentence):
        read_pairs(tmp_path / "chips")


@pytest.mark.parametrize("few", [1, 3])
def test_tiles_that_are_left_out_are_counted(
    write_raster: WriteRaster, tmp_path: Path, few: int
) -> None:
    data = values((1, 32, 32), "uint8") | 1
    data[:, :8, : 8 * few] = 0
    path = write_raster("a.tif", data, nodata=0)
    tiles = f"{few} tile{'s' if few > 1 else ''} with less than 50% valid pixels"
    with pytest.warns(GeotranslateWarning, match=rf"{16 - few} pairs of .* left out: {tiles}$"):
        PairSet.of(TwoRasters(8, 8).read(path, path))


def test_long_lists_of_what_is_left_out_end_with_their_number(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    write_pairs(write_raster, [f"{n}.tif" for n in range(9)])
    for number in range(7):
        (tmp_path / "images2" / f"{number}.tif").unlink()
    with pytest.warns(GeotranslateWarning, match=r"^2 pairs of .*4\.tif: no partner; and 2 more$"):
        assert len(read_pairs(tmp_path).left_out) == 7


def test_names_of_gdal_stay_as_they_were_given(write_raster: WriteRaster, tmp_path: Path) -> None:
    for side in ("source", "target"):
        raster = write_raster(f"{side}.tif", values((1, 16, 16), "uint8", len(side)))
        with zipfile.ZipFile(tmp_path / f"{side}.zip", "w") as file:
            file.write(raster, "a.tif")
        raster.unlink()
    names = [f"/vsizip/{tmp_path}/{side}.zip/a.tif" for side in ("source", "target")]
    assert "//" in names[0]
    folder = PairSet.of(TwoRasters(8, 8).read(*names))
    assert len(folder.pairs) == 4
    assert folder.pairs[0].source.read()[0].shape == (1, 8, 8)
    assert folder.pairs[0].source.place.path == names[0]


def test_chips_are_listed_once(write_raster: WriteRaster, tmp_path: Path) -> None:
    for side in ("images", "images2"):
        write_raster(f"{side}/1.tif", values((1, 8, 8), "uint8"))
    folder = read_pairs(tmp_path)
    # Loops over them would else take time by the square of their number.
    assert folder.sources is folder.sources
    assert folder.targets is folder.targets
