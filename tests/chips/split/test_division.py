from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from geotranslate import export_chips
from geotranslate.chips.pair_set import PairSet
from geotranslate.chips.split.division import SplitOptions, divide_set
from geotranslate.chips.split.methods import Split
from geotranslate.errors import GeotranslateWarning, GridMismatchError, InvalidInputError
from geotranslate.raster.grid import Grid
from tests.conftest import NORTH_UP, WriteRaster, raster_writer, read_pairs, values

LOCAL = 'LOCAL_CS["site",UNIT["metre",1]]'


def divided(
    folder: PairSet,
    split: Any = "auto",
    column: str = "split",
    share: float = 0.25,
    seed: int = 0,
    buffer: float = 0.0,
) -> Split:
    return divide_set(folder, SplitOptions(split, column, share, seed, buffer))


@pytest.fixture(scope="module")
def chips(tmp_path_factory: pytest.TempPathFactory) -> PairSet:
    """Return 8 x 8 pairs of 32 px, 64 m, side by side, labeled in two halves with 2 columns."""
    folder = tmp_path_factory.mktemp("division")
    write_raster = raster_writer(folder)
    rasters = [write_raster(f"{n}.tif", values((1, 256, 256), "uint8", n)) for n in (1, 2)]
    export = export_chips(*rasters, folder / "chips", tile_size=32, progress=False)
    frame = gpd.read_file(export.folder / "chips.gpkg")
    frame["split"] = np.where(frame["col"] < 64, "val", "train")
    frame.to_file(export.folder / "chips.gpkg")
    return read_pairs(export)


@pytest.fixture
def own_chips(chips: PairSet, tmp_path: Path) -> PairSet:
    """Return a copy of the pairs, for a test that changes them."""
    return read_pairs(shutil.copytree(chips.path, tmp_path / "chips"))


def halves() -> gpd.GeoDataFrame:
    left, top = NORTH_UP @ (0, 0)
    shapes = [box(left, top - 512, left + 128, top), box(left + 128, top - 512, left + 512, top)]
    return gpd.GeoDataFrame({"split": ["val", "train"]}, geometry=shapes, crs="EPSG:32633")


def learned(folder: PairSet, split: Split) -> list[BaseGeometry]:
    """Return the outlines of all target pixels that are learned from."""
    found = []
    for i in split.train:
        grid = folder.pairs[i].target.grid
        mask = split.masks.get(i)
        shown = np.ones((grid.height, grid.width), bool) if mask is None else ~mask.hidden
        rows, cols = np.nonzero(shown)
        corners = [grid.transform @ (cols + x, rows + y) for x, y in ((0, 0), (1, 0), (1, 1))]
        left, top = corners[0]
        right, bottom = corners[2]
        found += list(shapely.box(left, bottom, right, top))
    return found


@pytest.mark.slow_after(4)
@pytest.mark.parametrize("kind", ["folder", "polygons", "random", "block"])
@pytest.mark.parametrize("buffer", [1, 63, 65, 130])
def test_buffer_keeps_training_away_whatever_the_split(
    chips: PairSet, kind: str, buffer: float
) -> None:
    split = halves() if kind == "polygons" else kind
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeotranslateWarning)
        found = divided(chips, split, share=0.02, buffer=buffer)
    outlines = [pair.grid.footprint for pair in chips.pairs]
    held = shapely.union_all([outlines[i] for i in found.validation])
    assert shapely.distance(learned(chips, found), held).min() >= buffer
    if kind in ("folder", "polygons"):
        # Of chips of 64 m there is nothing left, or of those by 63 m less than 5 %.
        assert len(found.left_out) == 8 * ((buffer + 1) // 64)
        assert len(found.masks) == (0 if buffer == 63 else 8)
        hidden = [mask.hidden.sum() for mask in found.masks.values()]
        assert hidden == [32 * -(-(buffer % 64) // 2)] * len(hidden)


def test_labels_of_the_folder_do_not_leak_where_chips_overlap(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    raster = write_raster("a.tif", values((1, 64, 256), "uint8"))
    export = export_chips(raster, raster, tmp_path / "c", tile_size=32, stride=16, progress=False)
    frame = gpd.read_file(export.folder / "chips.gpkg")
    frame["split"] = np.where(frame["col"] < 100, "val", "train")
    frame.to_file(export.folder / "chips.gpkg")
    folder = read_pairs(export)
    found = divided(folder, "folder")
    assert found.left_out == ()
    assert set(found.masks) == {i for i, col in enumerate(frame["col"]) if col == 112}
    for mask in found.masks.values():
        np.testing.assert_array_equal(mask.hidden, np.tile(np.arange(32) < 16, (32, 1)))
    masked = folder.masked(found.masks)
    for i, (pair, old) in enumerate(zip(masked.pairs, folder.pairs, strict=True)):
        assert pair.source is old.source
        data, valid = pair.target.read()
        assert valid[:, :16].any() == (i not in found.masks)
        assert valid[:, 16:].all()
        assert pair.target.statistics.count == valid.sum()
        assert pair.target.valid_share == 1
        np.testing.assert_array_equal(data, old.target.read()[0])


def test_labels_are_known_however_they_are_written(own_chips: PairSet) -> None:
    expected = divided(own_chips, "folder")
    path = own_chips.path / "chips.gpkg"
    frame = gpd.read_file(path)
    spelt = {"train": ["Train", " train", "TRAINING"], "val": ["validation", "Valid ", "val"]}
    frame["split"] = [spelt[label][i % 3] for i, label in enumerate(frame["split"])]
    # What a table program makes of the names.
    frame["name"] = frame["name"].astype(int)
    path.unlink()
    frame.to_file(path)
    assert divided(own_chips, "folder") == expected
    areas = halves()
    areas["split"] = ["Validation", "train "]
    assert divided(own_chips, areas) == divided(own_chips, halves())


def test_pairs_that_the_folder_gives_no_part_are_said(own_chips: PairSet) -> None:
    path = own_chips.path / "chips.gpkg"
    frame = gpd.read_file(path)
    frame["split"] = frame["split"].astype(object)
    frame.loc[frame.index[:10], "split"] = [*["spare"] * 3, *["test"] * 4, None, "", "Spare"]
    path.unlink()
    frame.iloc[:-2].to_file(path)
    sentence = (
        "^8 of 64 pairs are used for neither training nor validation, as the folder's own split "
        "does not place them: 4 without a label, 3 labeled 'spare', 1 labeled 'Spare'. Label them"
    )
    with pytest.warns(GeotranslateWarning, match=sentence) as said:
        found = divided(own_chips, "folder")
    assert len(said) == 1
    assert len(found.left_out) == 12


@pytest.mark.parametrize("crs", [32633, 4326, 3035])
@pytest.mark.parametrize("kind", ["frame", "file", "path"])
def test_polygons_of_any_crs_may_be_a_file(
    chips: PairSet, tmp_path: Path, crs: int, kind: str
) -> None:
    expected = divided(chips, halves())
    frame = halves()
    moved = frame.set_geometry(frame.buffer(0.1).segmentize(1)).to_crs(crs)
    moved.to_file(tmp_path / "halves.gpkg")
    path = tmp_path / "halves.gpkg"
    assert divided(chips, {"frame": moved, "file": str(path), "path": path}[kind]) == expected


@pytest.mark.parametrize(
    ("split", "options", "sentence"),
    [
        (gpd.GeoDataFrame({"split": ["val"]}), {}, "No column of the split polygons holds shapes"),
        (halves().geometry, {}, "split is a GeoSeries; give the name of a method, or a vector fil"),
        (None, {}, "split is a NoneType; give the name of a method"),
        (halves(), {"buffer": -1}, "buffer is -1; give a distance of 0 or more"),
        ("folder", {"buffer": float("inf")}, "buffer is inf; give a distance"),
        (
            "folder",
            {"buffer": 1e5},
            "^Each of the 48 training chips lies on the ground of validation chips or within the "
            "buffer, but for too little to learn from, so none is left to train on; keep the two",
        ),
        (
            halves().set_crs(LOCAL, allow_override=True),
            {},
            "The split polygons cannot be brought from site into WGS 84 / UTM zone 33N: no way",
        ),
    ],
)
def test_impossible_splits_are_said(
    chips: PairSet, split: object, options: dict[str, float], sentence: str
) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        divided(chips, split, **options)


def test_polygons_with_a_crs_cannot_split_chips_without_one(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    raster = write_raster("a.tif", values((1, 64, 64), "uint8"), crs=None)
    export = export_chips(raster, raster, tmp_path / "c", tile_size=32, progress=False)
    with pytest.raises(GridMismatchError, match=r"The split polygons cannot be .* into no CRS"):
        divided(read_pairs(export), halves())


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", driver="PNG", count=3, width=16, height=8, dtype="uint8") as file:
        file.write(values((3, 8, 16), "uint8", seed))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("parts", ["train", "train test", "train val", "train val test"])
def test_what_the_folder_does_not_keep_for_validation_is_taken_from_training(
    tmp_path: Path, parts: str
) -> None:
    for number in range(12 * len(parts.split())):
        picture(tmp_path / parts.split()[number // 12] / f"{number}.png", number)
    folder = read_pairs(tmp_path)
    found = divided(folder)
    subsets = [[folder.pairs[i].subset for i in part] for part in (found.train, found.validation)]
    assert sorted(found.train + found.validation + found.left_out) == list(range(len(folder.pairs)))
    if "val" in parts:
        assert subsets == [["train"] * 12, ["val"] * 12]
    else:
        assert subsets == [["train"] * 9, ["train"] * 3]
    assert all(folder.pairs[i].subset == "test" for i in found.left_out)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ("val test", "The split labels no pair 'train'"),
        ("test test", "The split labels no pair 'train'"),
        ("train test", "The split labels no pair 'val'"),
    ],
)
def test_folder_without_pairs_to_train_on_is_refused(
    tmp_path: Path, parts: str, sentence: str
) -> None:
    for number, part in enumerate(parts.split()):
        picture(tmp_path / part / f"{number}.png", number)
    with pytest.raises(InvalidInputError, match=sentence):
        divided(read_pairs(tmp_path))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_buffer_between_pictures_without_ground_is_refused(tmp_path: Path) -> None:
    for number in range(4):
        picture(tmp_path / f"{number}.png", number)
    with pytest.raises(InvalidInputError, match="buffer is 5, but nothing says where the chips"):
        divided(read_pairs(tmp_path), buffer=5)


def test_chips_of_two_zones_share_no_ground_across_the_180th_meridian(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    # Zone 60 ends and zone 1 begins at the meridian; both sides reach over it.
    for number, (code, left) in enumerate([(32660, 814_000), (32601, 179_000)]):
        for row in range(6):
            place = Affine(30, 0, left, 0, -30, 2_000_000 - row * 960)
            for side in ("images", "images2"):
                data = values((1, 32, 256), "uint8", number * 6 + row)
                name = f"chips/{side}/{number}{row}.tif"
                write_raster(name, data, crs=f"EPSG:{code}", transform=place)
    folder = read_pairs(tmp_path / "chips")
    for seed in range(5):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GeotranslateWarning)
            found = divided(folder, seed=seed, buffer=500)
        ends = [latitudes(folder.pairs[i].grid, 0, 32) for i in found.validation]
        assert found.masks or found.left_out
        for i in found.train:
            mask = found.masks.get(i)
            shown = np.ones(32, bool) if mask is None else ~mask.hidden[:, 128]
            places = latitudes(folder.pairs[i].grid, *np.flatnonzero(shown), 0.5)
            for top, bottom in ends:
                # 500 m in degrees of latitude, and a pixel for what a row bends.
                outside = (places > top + 470 / 110_600) | (places < bottom - 470 / 110_600)
                assert outside[:-1].all()


def latitudes(grid: Grid, *rows: float) -> NDArray[np.float64]:
    """Return the latitudes of the middle of some rows."""
    xs, ys = np.array([grid.transform @ (128, row) for row in rows]).T
    return np.array(rasterio.warp.transform(grid.crs, CRS.from_epsg(4326), xs, ys)[1])


def test_much_ground_without_use_is_said(chips: PairSet) -> None:
    sentence = (
        "^17% of the ground outside validation is not trained on, and 8 of 64 pairs are left out: "
        "it lies within the buffer, in no polygon"
    )
    with pytest.warns(GeotranslateWarning, match=sentence):
        divided(chips, "folder", buffer=64)
    # Less needs no warning: summary() says it.
    assert divided(chips, "folder", buffer=20).left_out == ()


def test_chips_that_a_polygon_for_validation_cuts_train_on_the_rest(chips: PairSet) -> None:
    areas = halves()
    moved = areas.translate(20, 0)
    moved[1] = moved[1].buffer(600)
    areas = areas.set_geometry([moved[0], moved[1]])
    expected = np.tile(np.arange(32) < 10, (32, 1))
    found = divided(chips, areas)
    assert found.left_out == ()
    assert len(found.masks) == 16
    edges = [mask.hidden for i, mask in found.masks.items() if i % 8 == 2]
    for hidden in edges:
        np.testing.assert_array_equal(hidden, expected)


@pytest.mark.parametrize("buffer", [0, 3])
def test_pairs_of_which_both_sides_are_learned_from_are_left_out(
    write_chips: Callable[..., Path], buffer: float
) -> None:
    folder = read_pairs(write_chips(count=10, step=0.5))
    pairs = divided(folder, buffer=buffer)
    with pytest.warns(GeotranslateWarning, match="of 10 pairs are left out of training and valid"):
        free = divide_set(folder, SplitOptions("auto", "split", 0.25, 0, buffer), masked=False)
    assert free.validation == pairs.validation
    assert not free.masks
    outlines = [pair.grid.footprint for pair in folder.pairs]
    held = shapely.union_all([outlines[i] for i in free.validation])
    assert all(outlines[i].intersection(held.buffer(buffer)).area < 1e-6 for i in free.train)
