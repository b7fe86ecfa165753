from __future__ import annotations

import os
import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from geotranslate.chips.layouts.base import ChipFile, Listing
from geotranslate.chips.layouts.recognition import list_chips
from geotranslate.errors import InvalidInputError, RasterFileError

PAIRED = {
    ("images", "images2"): "images + images2",
    ("images", "labels"): "images + labels",
    ("Images/train_a", "Images/train_b"): "Images/train_a + Images/train_b",
}
UNPAIRED = {("trainA", "trainB"): "trainA + trainB, unpaired", ("A", "B"): "A + B, unpaired"}
CASES: tuple[Callable[[str], str], ...] = (str, str.lower, str.upper, str.title)
ENDING = (
    "no chip by its ending (chips end in bmp, gif, img, jp2, jpeg, jpg, mrf, png, tif, tiff, vrt, "
    "webp)"
)
SIDECARS = (".DS_Store", "._1.tif", "1.tfw", "1.tif.aux.xml", "1.tif.ovr", "Thumbs.db", "readme")


def fill(folder: Path, *names: str) -> Path:
    """Make empty files: listing a folder opens no chip."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def picture(path: Path, width: int = 8, height: int = 4) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    size: dict[str, Any] = {"width": width, "height": height, "count": 3, "dtype": "uint8"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="PNG", **size) as written:
            written.write(np.zeros((3, height, width), "uint8"))


def names(listing: Listing) -> list[str]:
    return [entry.name for entry in listing.pairs]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("sides", PAIRED)
@pytest.mark.parametrize("endings", [(".tif", ".BMP"), (".JPG", ".png"), (".webp", ".gif")])
def test_pairs_are_chips_of_one_name(
    tmp_path: Path, sides: tuple[str, str], case: Callable[[str], str], endings: tuple[str, str]
) -> None:
    for side, ending in zip(sides, endings, strict=True):
        fill(tmp_path / case(side), *(name + ending for name in ("1", "10", "2", "a b", "c.d")))
        fill(tmp_path / case(side), *SIDECARS, "folder.tif/x")
    listing = list_chips(tmp_path)
    assert listing.layout == PAIRED[sides]
    assert listing.sides is None
    assert listing.left_out == ()
    assert names(listing) == ["1", "10", "2", "a b", "c.d"]
    for entry in listing.pairs:
        for chip, side, ending in zip((entry.source, entry.target), sides, endings, strict=True):
            assert chip == ChipFile(str(tmp_path / case(side) / (entry.name + ending)))


def test_sub_folders_of_the_hand_made_layout_are_searched(tmp_path: Path) -> None:
    for side in ("train_a", "train_b"):
        fill(tmp_path / "Images" / side, "1.tif", "north/1.tif", "north/deep/2.tif", ".git/3.tif")
    fill(tmp_path / "Images/train_b", "south/4.tif")
    listing = list_chips(tmp_path)
    assert names(listing) == ["1", "north/1", "north/deep/2"]
    assert listing.pairs[2].target == ChipFile(str(tmp_path / "Images/train_b/north/deep/2.tif"))
    assert listing.left_out == ("Images/train_b/south/4.tif: no partner",)


@pytest.mark.parametrize("place", ["", "pictures/"])
def test_halves_of_side_by_side_pictures_are_pairs(tmp_path: Path, place: str) -> None:
    for name in ("2", "1", "10"):
        picture(tmp_path / f"{place}{name}.png")
    fill(tmp_path / place, "1.png.aux.xml", "notes.txt", ".hidden.png")
    listing = list_chips(tmp_path / place)
    assert listing.layout == "side-by-side pictures"
    assert names(listing) == ["1", "10", "2"]
    for entry in listing.pairs:
        path = tmp_path / place / f"{entry.name}.png"
        assert (entry.source, entry.target) == (
            ChipFile(str(path), "left"),
            ChipFile(str(path), "right"),
        )
        assert entry.subset is None


@pytest.mark.parametrize(
    ("folders", "subsets"),
    [
        (("train", "val", "test"), ["test", "train", "val"]),
        (("Train", "Validation"), ["train", "val"]),
        (("TRAIN", "valid"), ["train", "val"]),
        (("train",), ["train"]),
    ],
)
def test_folders_of_side_by_side_pictures_are_subsets(
    tmp_path: Path, folders: tuple[str, ...], subsets: list[str]
) -> None:
    for folder in folders:
        picture(tmp_path / f"{folder}/1.png")
    (tmp_path / "models").mkdir()
    listing = list_chips(tmp_path)
    assert names(listing) == [f"{folder}/1" for folder in sorted(folders)]
    assert [entry.subset for entry in listing.pairs] == subsets
    assert not listing.left_out
    picture(tmp_path / "preview.png")
    assert list_chips(tmp_path).left_out == (
        f"1 chip beside {' and '.join(sorted(folders))}: not used",
    )


def test_few_side_by_side_pictures_are_opened(tmp_path: Path) -> None:
    for name in "abc":
        picture(tmp_path / f"{name}.png")
    fill(tmp_path, *(f"d{number}.png" for number in range(100)))
    assert len(list_chips(tmp_path).pairs) == 103


@contextmanager
def shuffled(path: str | Path, scandir: Any, chance: random.Random) -> Iterator[Iterator[Any]]:
    with scandir(path) as entries:
        found = list(entries)
    chance.shuffle(found)
    yield iter(found)


@pytest.mark.slow_after(20)
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("sides", [*PAIRED, *UNPAIRED, ("train", "val")])
def test_order_of_the_files_does_not_matter(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sides: tuple[str, str],
    seed: int,
) -> None:
    chance, scandir = random.Random(seed), os.scandir
    files = [f"{side}/{i}.png" for side in sides for i in chance.sample(range(100), 90)]
    for name in chance.sample(files, len(files)):
        if sides == ("train", "val"):
            picture(tmp_path / name)
        else:
            fill(tmp_path, name)
    expected = list_chips(tmp_path)
    assert list(names(expected)) == sorted(names(expected))
    monkeypatch.setattr(os, "scandir", lambda path: shuffled(path, scandir, chance))
    assert list_chips(tmp_path) == expected


@pytest.mark.parametrize("target", ["images2", "labels"])
@pytest.mark.parametrize("place", ["", "C:\\exports\\west\\", ".\\"])
def test_map_decides_pairs(tmp_path: Path, target: str, place: str) -> None:
    fill(tmp_path / "Images", "1.tif", "2.tif", "3.tif", "3.png", "5.tif")
    fill(tmp_path / target, "1.tif", "2.tif", "3.tif", "5.tif", "6.tif")
    rows = [("2.tif", "1.tif"), ("1.tif", "2.tif"), ("3.tif", "3.tif"), ("4.tif", "4.tif")]
    lines = [f"{place}images\\{a}  {place}{target}\\{b} \r\n" for a, b in rows * 2]
    (tmp_path / "map.txt").write_text("".join(lines), newline="")
    listing = list_chips(tmp_path)
    assert [
        (e.name, Path(e.source.path).name, Path(e.target.path).name) for e in listing.pairs
    ] == [
        ("1", "1.tif", "2.tif"),
        ("2", "2.tif", "1.tif"),
        ("3", "3.tif", "3.tif"),
    ]
    prefix = place.replace("\\", "/")
    missing = f"{prefix}images/4.tif and {prefix}{target}/4.tif"
    assert listing.left_out == (
        f"{missing}: named in map.txt but missing",
        "3 chips such as Images/5.tif: not named in map.txt",
    )


@pytest.mark.parametrize("between", [" ", "  ", "\t", "   "])
@pytest.mark.parametrize("names", [("chip 1", "chip 1"), ("a.b c", "a  b"), ("1", "chip 1")])
def test_names_in_a_map_may_hold_blanks(
    tmp_path: Path, names: tuple[str, str], between: str
) -> None:
    fill(tmp_path, f"images/{names[0]}.tif", f"images2/{names[1]}.TIF")
    fill(tmp_path, "images/2.tif", "images2/2.tif")
    lines = [
        f"images\\{names[0]}.tif{between}images2\\{names[1]}.TIF ",
        "images/2.tif images2/2.tif",
    ]
    (tmp_path / "map.txt").write_text("\r\n".join(lines))
    listing = list_chips(tmp_path)
    assert not listing.left_out
    found = {
        (Path(entry.source.path).stem, Path(entry.target.path).stem) for entry in listing.pairs
    }
    assert found == {names, ("2", "2")}


@pytest.mark.parametrize(
    "text", ["images\\1.tif labels\\1.tif", "images\\a b.tif c\\a b.tif", "x y"]
)
def test_map_of_other_folders_is_left_out(tmp_path: Path, text: str) -> None:
    fill(tmp_path, "images/1.tif", "images2/1.tif")
    (tmp_path / "map.txt").write_text(text)
    listing = list_chips(tmp_path)
    assert names(listing) == ["1"]
    assert listing.left_out == ("map.txt: it is about other folders, so pairs are made by name",)


@pytest.mark.parametrize("text", ["", "images\\1.tif\r\n", "\r\n \r\n"])
def test_map_without_pairs_says_nothing(tmp_path: Path, text: str) -> None:
    fill(tmp_path, "images/1.tif", "images2/1.tif")
    (tmp_path / "map.txt").write_text(text)
    assert not list_chips(tmp_path).left_out


@pytest.mark.parametrize(
    ("files", "lines"),
    [
        (
            ("images/1.tif", "images2/1.tif", "images/2.tif", "images2/3.tif"),
            ("images/2.tif: no partner", "images2/3.tif: no partner"),
        ),
        (
            ("images/1.tif", "images2/1.tif", "labels/1.tif"),
            ("labels/: not used, as images/ and images2/ are there",),
        ),
        (
            ("trainA/1.tif", "trainB/1.tif", "testA/1.tif", "TestB/readme.txt"),
            ("TestB/: it holds no chips",),
        ),
        (
            ("images/1.tif", "images2/1.tif", "images/2.npy", "images/3.hdf", "images2/4.raw"),
            (f"2 files such as images/2.npy: {ENDING}", f"1 file such as images2/4.raw: {ENDING}"),
        ),
        (
            ("A/1.tif", "B/1.tif", "B/2.npy", "c.npy"),
            (f"1 file such as B/2.npy: {ENDING}",),
        ),
        (
            ("A/images/1.tif", "A/preview.png", "B/1.tif"),
            ("1 chip in A/: A/images/ is used",),
        ),
    ],
)
def test_what_is_not_used_has_a_line(
    tmp_path: Path, files: tuple[str, ...], lines: tuple[str, ...]
) -> None:
    assert list_chips(fill(tmp_path, *files)).left_out == lines


def test_several_folders_are_joined_under_their_names(tmp_path: Path) -> None:
    for number in (2, 1):
        picture(tmp_path / f"maps/train/{number}.png")
    fill(tmp_path / "west", "images/1.tif", "images2/1.tif", "images/x.tif")
    fill(tmp_path / "west" / "more", "images/1.tif", "labels/1.png")
    paths = [tmp_path / "west", str(tmp_path / "maps"), tmp_path / "west" / "more"]
    listing = list_chips(paths)
    assert names(listing) == ["west/1", "maps/train/1", "maps/train/2", "more/1"]
    assert [entry.subset for entry in listing.pairs] == [None, "train", "train", None]
    assert listing.path == paths[0]
    assert listing.layout == (
        "3 folders: images + images2 and side-by-side pictures in train and images + labels"
    )
    assert listing.left_out == ("west: images/x.tif: no partner",)
    assert listing.sides is None
    singles = [list_chips(path) for path in paths]
    assert [e.source for e in listing.pairs] == [e.source for s in singles for e in s.pairs]
    assert list_chips(paths[:1]) == singles[0]


def test_unpaired_folders_are_joined_side_by_side(tmp_path: Path) -> None:
    for folder, sides in (("one", ("A", "B")), ("two", ("trainA", "trainB"))):
        fill(tmp_path / folder, *(f"{side}/1.tif" for side in sides))
    listing = list_chips([tmp_path / "one", tmp_path / "two"])
    assert listing.pairs == ()
    assert listing.sides is not None
    assert tuple(tuple(chip.place for chip in side.chips) for side in listing.sides) == (
        (ChipFile(str(tmp_path / "one/A/1.tif")), ChipFile(str(tmp_path / "two/trainA/1.tif"))),
        (ChipFile(str(tmp_path / "one/B/1.tif")), ChipFile(str(tmp_path / "two/trainB/1.tif"))),
    )


def test_folders_of_one_name_are_told_apart_by_their_parents(tmp_path: Path) -> None:
    paths = [tmp_path / place / "chips" for place in ("east", "west")]
    for path in paths:
        fill(path, "images/1.tif", "images2/1.tif")
    assert names(list_chips(paths)) == ["east/chips/1", "west/chips/1"]


def test_several_folders_that_cannot_be_joined_are_named(tmp_path: Path) -> None:
    fill(tmp_path / "pairs", "images/1.tif", "images2/1.tif")
    fill(tmp_path / "sides", "A/1.tif", "B/1.tif")
    both = [tmp_path / "pairs", tmp_path / "sides"]
    for paths in (both, both[::-1]):
        with pytest.raises(InvalidInputError, match=r"one holds pairs and the other unpaired"):
            list_chips(paths)
    with pytest.raises(InvalidInputError, match=r"pairs is given twice; give every chip folder"):
        list_chips([both[0], tmp_path / "sides" / ".." / "pairs"])
    with pytest.raises(InvalidInputError, match=r"list of chip folders is empty; give at least"):
        list_chips([])


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ((), r"images and images2 missing \(found nothing\)\. A chip folder has"),
        (("pictures/1.npy",), r"images and images2 missing \(found pictures\)\. A chip folder has"),
        (("a.txt", "b.csv"), r"\(found a\.txt, b\.csv\)\. .* export_chips writes one from two"),
        (("images/1.tif",), r"holds no pairs: images2 missing \(found images\)\. A chip"),
        (("labels/1.tif",), r"holds no pairs: images missing \(found labels\)"),
        (("Images/train_a/1.tif",), r"no pairs: Images/train_b missing \(found Images\)"),
        (("trainB/1.tif", "testB/1.tif"), r"no pairs: trainA missing \(found testB, trainB\)"),
        (("A/1.tif", "C/1.tif"), r"holds no pairs: B missing \(found A, C\)"),
        (tuple(f"{n}/x" for n in "cdefghijk"), r"\(found c, d, e, f, g, h, \.\.\.\)"),
        (
            ("images/1.tif", "images2/2.tif"),
            r"no chip in images/ has a partner in images2/ \(images/ has 1 chip such as 1\.tif; "
            r"images2/ has 1 chip such as 2\.tif\)\. A source chip and its target chip need one",
        ),
        (
            ("Images/Train_A/x/1.npy", "Images/Train_B/1.tif"),
            r"no chip in Images/Train_A/ has a partner .*\(Images/Train_A/ has x; .* "
            r"1 file such as Images/Train_A/x/1\.npy: no chip by its ending \(chips end in bmp, .* "
            r"Convert files to GeoTIFF\.$",
        ),
        (
            ("images/a.tif", "images/a.png", "images2/a.tif"),
            r"images has several chips named a with different endings, so .* ambiguous; keep one",
        ),
        (
            ("Images/train_a/b/a.tif", "Images/train_a/b/a.TIFF", "Images/train_b/b/a.tif"),
            r"train_a has several chips named b/a with different endings",
        ),
        (("A/1.tif", "B/x"), r"holds no chips in B/ \(it has x\); each side needs some, directly"),
        (
            ("A/1.tif", "A/1.png", "B/x.tif"),
            r"A has several chips named 1 with different endings",
        ),
        (
            ("images/1.tif", "Images/1.tif", "images2/1.tif"),
            r"has the folders Images and images, whose names differ in case alone; keep one",
        ),
    ],
)
def test_folder_without_pairs_is_told_what_it_has_and_lacks(
    tmp_path: Path, files: tuple[str, ...], sentence: str
) -> None:
    fill(tmp_path / "chips", *files).mkdir(exist_ok=True)
    if len(set(map(str.lower, files))) < len(files) and (tmp_path / "CHIPS").exists():
        pytest.skip("this file system does not tell upper from lower case")
    with pytest.raises(InvalidInputError, match=sentence):
        list_chips(tmp_path / "chips")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "images\\2.tif images2\\2.tif\nimages\\3.tif images2\\1.tif",
            r"of the 2 pairs that map\.txt names none has both chips \(images/2\.tif and "
            r"images2/2\.tif: named in map\.txt but missing; \.\.\.\)\. Copy the missing chips",
        ),
        (
            "images\\1.tif images2\\1.tif\nimages\\1.tif images2\\5.tif",
            r"pairs 1\.tif with 1\.tif and 1\.tif with 5\.tif, so pair 1 is ambiguous; keep one",
        ),
        (
            "images\\1.tif images2\\1.tif\nimages\\1.png images2\\1.tif",
            r"pairs 1\.tif with 1\.tif and 1\.png with 1\.tif, so pair 1 is ambiguous",
        ),
    ],
)
def test_map_that_gives_no_clear_pairs_is_told_so(tmp_path: Path, text: str, sentence: str) -> None:
    fill(tmp_path, "images/1.tif", "images/1.png", "images2/1.tif", "images2/5.tif")
    (tmp_path / "map.txt").write_text(text)
    with pytest.raises(InvalidInputError, match=sentence):
        list_chips(tmp_path)


def test_map_that_is_no_text_is_named(tmp_path: Path) -> None:
    fill(tmp_path, "images/1.tif", "images2/1.tif")
    (tmp_path / "map.txt").write_bytes(b"images\\\xff\xfe.tif")
    with pytest.raises(RasterFileError, match=r"map\.txt cannot be read: .* or delete it"):
        list_chips(tmp_path)


@pytest.mark.parametrize(("width", "height"), [(4, 4), (9, 4), (7, 4), (4, 8), (12, 4)])
@pytest.mark.parametrize("place", ["", "train/"])
def test_pictures_of_other_sizes_are_named_with_their_size(
    tmp_path: Path, place: str, width: int, height: int
) -> None:
    picture(tmp_path / f"{place}1.png")
    picture(tmp_path / f"{place}2.png", width, height)
    sentence = (
        rf"{place}2\.png is {width} x {height} px; side-by-side pictures are twice as wide as high"
        r"\. A chip folder has"
    )
    with pytest.raises(InvalidInputError, match=sentence):
        list_chips(tmp_path)


def test_unreadable_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(RasterFileError, match=r"1\.png cannot be opened as a raster"):
        list_chips(fill(tmp_path, "1.png"))


@pytest.mark.parametrize(
    ("sides", "given"),
    [
        (("images", "images2"), "images"),
        (("images", "images2"), "images2"),
        (("images", "labels"), "labels"),
        (("Images/train_a", "Images/train_b"), "Images"),
        (("Images/train_a", "Images/train_b"), "Images/train_b"),
        (("trainA", "trainB"), "trainB"),
        (("A/images", "B/images"), "A"),
        (("A/images", "B/images"), "A/images"),
    ],
)
@pytest.mark.parametrize("width", [4, 8, None])
def test_level_below_is_told_the_folder_that_is_meant(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sides: tuple[str, str],
    given: str,
    width: int | None,
) -> None:
    for side in sides:
        if width is None:
            fill(tmp_path / "chips" / side, "damaged.png")
        else:
            picture(tmp_path / f"chips/{side}/1.png", width)
    sentence = r"holds no pairs: .* It is a part of the chip folder \S*[\\/]chips; give that"
    with pytest.raises(InvalidInputError, match=sentence):
        list_chips(tmp_path / "chips" / given)
    monkeypatch.chdir(tmp_path / "chips" / given)
    with pytest.raises(InvalidInputError, match=sentence):
        list_chips(".")


@pytest.mark.parametrize("sides", [*PAIRED, *UNPAIRED, ("", ""), ("train", "val")])
def test_level_above_is_told_the_folder_that_is_meant(
    tmp_path: Path, sides: tuple[str, str]
) -> None:
    for side in sides:
        picture(tmp_path / f"chips/{side}/1.png")
    fill(tmp_path, "other/1.png", "notes.txt")
    sentence = (
        r"images and images2 missing \(found chips, other, notes\.txt\)\. "
        r"Give a chip folder in it: \S*chips\.$"
    )
    with pytest.raises(InvalidInputError, match=sentence):
        list_chips(tmp_path)
    fill(tmp_path, "more/images/1.png", "more/images2/1.png")
    with pytest.raises(InvalidInputError, match=r"chips or \S*more, or a list of several\.$"):
        list_chips(tmp_path)


def test_path_that_is_no_folder_is_named(tmp_path: Path) -> None:
    fill(tmp_path / "chips", "images/1.tif", "images2/1.tif", "map.txt")
    fill(tmp_path, "scene.tif")
    sentence = r"holds the chips, or beside a raster also target, the raster to translate it to\.$"
    with pytest.raises(RasterFileError, match=sentence):
        list_chips(tmp_path / "scene.tif")
    for name in ("nowhere", "chips/images3"):
        with pytest.raises(RasterFileError, match=r"is not a folder; .* that holds the chips\.$"):
            list_chips(tmp_path / name)
    for name in ("chips/map.txt", "chips/images/1.tif"):
        with pytest.raises(RasterFileError, match=r"holds the chips, probably \S*chips\.$"):
            list_chips(tmp_path / name)


def test_folder_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(RasterFileError, match=r"cannot be listed: Permission denied\. Check that"):
        list_chips(tmp_path)


def test_real_side_by_side_pictures(shared_data: Path) -> None:
    listing = list_chips(shared_data / "maps")
    subsets = [entry.subset for entry in listing.pairs]
    assert (subsets.count("train"), subsets.count("val")) == (160, 40)
    assert len(set(names(listing))) == 200
    assert not listing.left_out


def test_real_export_that_was_copied_in_part(shared_data: Path) -> None:
    sentence = (
        r"no pairs: images missing \(found images2, .*\)\. Its map\.txt names 12 pairs, so only a "
        r"part of the export is here: copy images too, or write one with export_chips\."
    )
    with pytest.raises(InvalidInputError, match=sentence):
        list_chips(shared_data / "esri_export_tiles")


def test_real_map_with_some_of_its_chips(shared_data: Path, tmp_path: Path) -> None:
    real = shared_data / "esri_export_tiles"
    (tmp_path / "map.txt").write_bytes((real / "map.txt").read_bytes())
    chips = sorted(path.name for path in (real / "images2").glob("*.tif"))
    fill(tmp_path / "images", *chips)
    fill(tmp_path / "images2", *(path.name for path in (real / "images2").iterdir()))
    listing = list_chips(tmp_path)
    assert names(listing) == [name.removesuffix(".tif") for name in chips]
    assert len(listing.left_out) == 8
    assert all(line.endswith(": named in map.txt but missing") for line in listing.left_out)


def test_link_that_leads_to_itself_is_named(tmp_path: Path) -> None:
    folder = fill(tmp_path, "images/1.tif", "images2/1.tif", "images/2.tif")
    os.symlink("3.tif", folder / "images2" / "2.tif")
    os.symlink("2.tif", folder / "images2" / "3.tif")
    with pytest.raises(
        RasterFileError, match=r"images2/[23]\.tif is a link that cannot be followed: .*links\."
    ):
        list_chips(folder)
