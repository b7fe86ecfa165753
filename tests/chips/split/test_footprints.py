from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS

from geotranslate import export_chips, prepare_data
from geotranslate.chips.split.footprints import read_labels, read_rows, write_footprints
from geotranslate.errors import InvalidInputError, RasterFileError
from geotranslate.raster.grid import Grid
from tests.conftest import NORTH_UP, WriteRaster, values

UTM = CRS.from_epsg(32633)


@pytest.fixture
def chips(write_raster: WriteRaster, tmp_path: Path) -> Path:
    rasters = [write_raster(f"{n}.tif", values((1, 128, 128), "uint8", n)) for n in (1, 2)]
    return export_chips(*rasters, tmp_path / "chips", tile_size=32, progress=False).folder


def relabel(folder: Path, change: Callable[[gpd.GeoDataFrame], gpd.GeoDataFrame]) -> None:
    path = folder / "chips.gpkg"
    frame = change(gpd.read_file(path))
    path.unlink()
    frame.to_file(path)


def test_append_keeps_labels_that_someone_edited(
    chips: Path, write_raster: WriteRaster, tmp_path: Path
) -> None:
    edited = ["val", "train", "test", None] * 4
    relabel(chips, lambda frame: frame.assign(split=edited, note="mine"))
    further = NORTH_UP @ Affine.translation(999, 0)
    more = [
        write_raster(f"{n}.tif", values((1, 128, 128), "uint8", n), transform=further)
        for n in (3, 4)
    ]
    for _ in range(2):
        export_chips(*more, chips, tile_size=32, append=True, progress=False)
    frame = gpd.read_file(chips / "chips.gpkg")
    assert frame["split"].astype(object).where(frame["split"].notna(), None)[:16].tolist() == edited
    assert set(frame["note"][:16]) == {"mine"}
    assert set(frame["split"][16:32]) == {"train", "val"}


def test_appended_pairs_train_where_earlier_ones_do_and_enough_of_them_is_shown(
    chips: Path, write_raster: WriteRaster, tmp_path: Path
) -> None:
    relabel(chips, lambda frame: frame.assign(split=["val"] * 4 + ["train"] * 12))
    shifted = NORTH_UP @ Affine.translation(8, 8)
    more = [
        write_raster(f"{n}.tif", values((1, 160, 128), "uint8", n), transform=shifted)
        for n in (3, 4)
    ]
    export_chips(*more, chips, tile_size=32, append=True, progress=False)
    frame = gpd.read_file(chips / "chips.gpkg")
    train, val = (frame[frame["split"] == label] for label in ("train", "val"))
    assert len(train) > 12
    for outline, label in zip(frame.geometry[16:], frame["split"][16:], strict=True):
        # Each keeps a quarter and more of what validates.
        assert val[:4].intersection(outline).area.sum() < 0.8 * outline.area
        beside = train[:12].intersection(outline).area.max() > 1
        assert label == "train" if beside else label in ("train", "val")


@given(
    st.lists(st.sampled_from(["train", "val", "test", None]), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 90), st.integers(0, 90)), min_size=1, max_size=12),
)
def test_labels_of_known_pairs_stay_and_new_ones_take_nothing_from_them(
    tmp_path_factory: pytest.TempPathFactory,
    known: list[str | None],
    places: list[tuple[int, int]],
) -> None:
    folder = tmp_path_factory.mktemp("chips")
    spots = [(i * 12 % 90, i * 25 % 90) for i in range(len(known))] + places
    grids = [Grid(UTM, NORTH_UP @ Affine.translation(*spot), 10, 10) for spot in spots]
    rows = [
        {"name": f"{i}"} | ({"split": known[i]} if i < len(known) else {})
        for i in range(len(spots))
    ]
    write_footprints(folder, rows, grids)
    labels = [label if isinstance(label, str) else None for label in read_labels(folder).values()]
    assert labels[: len(known)] == known
    outlines = [grid.footprint for grid in grids]
    for new in range(len(known), len(spots)):
        for old in range(len(known)):
            shared = outlines[new].intersection(outlines[old]).area / outlines[new].area
            if shared > 1e-6:
                assert labels[old] != "test" or labels[new] is None
                assert labels[old] != "train" or labels[new] != "val"
                assert labels[old] != "val" or labels[new] != "train" or shared < 0.95


def test_footprints_without_labels_are_said(chips: Path) -> None:
    relabel(chips, lambda frame: frame.drop(columns="split"))
    with pytest.raises(InvalidInputError, match=r"chips\.gpkg has no column 'split' that says 'tr"):
        prepare_data(chips, split="folder")
    relabel(chips, lambda frame: frame.drop(columns="name"))
    for read in (read_labels, read_rows):
        with pytest.raises(InvalidInputError, match=r"chips\.gpkg has no column 'name', so it can"):
            read(chips)


def test_labels_that_were_dropped_are_made_anew_by_an_append(
    chips: Path, write_raster: WriteRaster
) -> None:
    relabel(chips, lambda frame: frame.drop(columns="split"))
    far = write_raster(
        "far.tif", values((1, 32, 32), "uint8"), transform=NORTH_UP @ Affine.translation(999, 0)
    )
    export_chips(far, far, chips, tile_size=32, append=True, progress=False)
    assert set(read_labels(chips).values()) == {"train", "val"}


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + bytes(200)])
def test_broken_footprints_are_said(chips: Path, write_raster: WriteRaster, content: bytes) -> None:
    (chips / "chips.gpkg").write_bytes(content)
    sentence = (
        r"chips\.gpkg cannot be read: .*\. Restore it, or delete it: then no pair has a label"
    )
    with pytest.raises(RasterFileError, match=sentence):
        prepare_data(chips, split="folder")
    raster = write_raster("3.tif", values((1, 32, 32), "uint8"))
    before = sorted(chips.rglob("*"))
    with pytest.raises(RasterFileError, match=sentence):
        export_chips(raster, raster, chips, tile_size=32, append=True, progress=False)
    assert sorted(chips.rglob("*")) == before
