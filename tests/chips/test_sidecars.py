from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from geotranslate import prepare_data
from geotranslate.chips.sidecars import FolderListing, Sidecars
from tests.conftest import WriteRaster, read_pairs, values

WriteChips = Callable[..., Path]


@pytest.mark.parametrize(
    ("name", "belongs"),
    [
        *(("a.tif.aux.xml", True), ("a.tfw", True), ("a.tifw", True), ("A.TIF.MSK", True)),
        *(("a.wld", True), ("a.aux", True), ("a.tif.ovr", True), ("a.tif.msk.ovr", True)),
        *(("b.tif.aux.xml", False), ("ab.tfw", False), ("notes", False), ("notes.txt", False)),
    ],
)
def test_files_that_share_a_name_lie_beside_a_chip(
    tmp_path: Path, name: str, belongs: bool
) -> None:
    for each in ("a.tif", name):
        (tmp_path / each).write_bytes(b"12")
    listing = FolderListing(os.fspath(tmp_path))
    assert listing.beside("a.tif") == [name] * belongs
    assert listing.state("a.tif") == (2, (tmp_path / "a.tif").stat().st_mtime_ns)
    assert listing.state("c.tif") is None
    assert not Sidecars().open_options([os.fspath(tmp_path)])


def test_folders_of_chips_alone_are_opened_without_a_search(tmp_path: Path) -> None:
    for name in ("a.tif", "b.PNG", ".hidden"):
        (tmp_path / name).touch()
    here = os.fspath(tmp_path)
    assert Sidecars().open_options([here]) == {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
    assert not Sidecars().open_options([here, os.path.join(here, "no")])


def test_masks_beside_chips_are_found(write_raster: WriteRaster, tmp_path: Path) -> None:
    for side in ("images", "images2"):
        for name in "ab":
            write_raster(f"{side}/{name}.tif", values((1, 8, 8), "uint8") + (name == "b"))
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False),
        rasterio.open(tmp_path / "images/b.tif", "r+") as chip,
    ):
        chip.write_mask(np.eye(8, dtype=bool))
    assert (tmp_path / "images/b.tif.msk").exists()
    first, second = read_pairs(tmp_path).pairs
    assert (first.source.valid_share, second.source.valid_share) == (1, 1 / 8)


def test_no_option_of_gdal_stays(write_chips: WriteChips) -> None:
    prepare_data(write_chips(count=3))
    assert rasterio.env.get_gdal_config("GDAL_DISABLE_READDIR_ON_OPEN") is None
