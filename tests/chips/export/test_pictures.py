"""Chips that are PNGs and JPEGs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from geotranslate import export_chips, prepare_data
from geotranslate.errors import InvalidInputError
from geotranslate.raster.reader import RasterReader
from tests.conftest import GRIDS, WriteRaster, read_pairs, values

SIZE = (40, 70)
WINDOWS = [Window(0, 0, 32, 32), Window(32, 0, 32, 32)]
SUFFIXES = {"png": ".png", "jpeg": ".jpg"}
WORLD = {"png": ".pgw", "jpeg": ".jgw"}


def smooth(bands: int) -> Any:
    """Return a picture without noise, as JPEG is made for."""
    rows, cols = np.mgrid[: SIZE[0], : SIZE[1]]
    waves = [127 + 100 * np.sin((rows + 2 * cols) / (20 + 7 * band)) for band in range(bands)]
    return np.stack(waves).astype("uint8")


@pytest.mark.parametrize(
    ("grid", "bands", "dtype", "missing"),
    [
        ("north-up", 3, "uint8", "none"),
        ("south-up", 1, "uint16", "nodata"),
        ("rotated", 3, "uint16", "nodata"),
        ("rotated", 3, "uint8", "nodata"),
        ("south-up", 1, "uint8", "mask"),
        ("rotated", 3, "uint16", "mask"),
    ],
)
def test_a_png_is_its_window(
    write_raster: WriteRaster,
    tmp_path: Path,
    grid: str,
    bands: int,
    dtype: str,
    missing: str,
) -> None:
    data = values((bands, *SIZE), dtype)
    valid = values(SIZE, "uint8") > 60
    options: dict[str, Any] = {"nodata": {"nodata": 7}, "mask": {"valid": valid}}.get(missing, {})
    if missing == "nodata":
        data[:, ~valid] = 7
    path = write_raster("a.tif", data, transform=GRIDS[grid], names=tuple("abc"[:bands]), **options)
    export = export_chips(
        path, path, tmp_path / "chips", tile_size=32, format="png", progress=False
    )
    with RasterReader(path) as raster:
        for pair, window in zip(read_pairs(export).pairs, WINDOWS, strict=True):
            expected, seen = raster.read(window, dtype=None)
            for chip in pair.chips:
                pixels, shown = chip.read()
                np.testing.assert_array_equal(shown, seen)
                np.testing.assert_array_equal(pixels[:, seen], expected[:, seen])
                assert pixels.dtype == dtype
                assert chip.grid == raster.grid.crop(window)
                assert chip.band_names == raster.band_names
                assert chip.path.suffix == ".png"


@pytest.mark.parametrize("bands", [1, 3])
def test_a_jpeg_is_near_its_window_and_has_its_mask(
    write_raster: WriteRaster, tmp_path: Path, bands: int
) -> None:
    data, valid = smooth(bands), values(SIZE, "uint8") > 60
    for name, options in (("mask", {"valid": valid}), ("nodata", {"nodata": 0})):
        path = write_raster(f"{name}.tif", np.where(valid, data | 1, 0), **options)
        export = export_chips(
            path, path, tmp_path / name, tile_size=32, format="JPEG", progress=False
        )
        with RasterReader(path) as raster:
            for pair, window in zip(read_pairs(export).pairs, WINDOWS, strict=True):
                pixels, shown = pair.source.read()
                expected, seen = raster.read(window, dtype=None)
                np.testing.assert_array_equal(shown, seen)
                assert pair.source.grid == raster.grid.crop(window)
                assert pair.source.path.suffix == ".jpg"
                assert pixels.shape == expected.shape


def test_a_jpeg_of_a_smooth_picture_is_off_by_little(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    path = write_raster("a.tif", smooth(3))
    export = export_chips(
        path, path, tmp_path / "chips", tile_size=32, format="jpeg", progress=False
    )
    with RasterReader(path) as raster:
        for pair, window in zip(read_pairs(export).pairs, WINDOWS, strict=True):
            off = pair.source.read()[0].astype(int) - raster.read(window, dtype=None)[0]
            assert np.abs(off).mean() < 3


@pytest.mark.parametrize(("format", "grid"), [("png", "rotated"), ("jpeg", "north-up")])
def test_a_world_file_tells_the_same_place(
    write_raster: WriteRaster, tmp_path: Path, format: str, grid: str
) -> None:
    transform = GRIDS[grid]
    path = write_raster("a.tif", values((3, 40, 40), "uint8"), transform=transform)
    export_chips(path, path, tmp_path / "chips", tile_size=32, format=format, progress=False)
    chip = tmp_path / "chips" / "images" / f"000000000{SUFFIXES[format]}"
    assert chip.with_suffix(WORLD[format]).is_file()
    chip.with_name(f"{chip.name}.aux.xml").unlink()
    with rasterio.open(chip) as opened:
        assert opened.transform.almost_equals(transform, precision=1e-9)
        assert opened.crs is None


def test_a_raster_without_place_makes_pictures_without_one(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    path = write_raster("a.tif", values((3, 32, 32), "uint8"), crs=None, transform=None)
    export_chips(path, path, tmp_path / "chips", tile_size=32, format="png", progress=False)
    names = {file.name for file in (tmp_path / "chips" / "images").iterdir()}
    assert "000000000.png" in names
    assert "000000000.pgw" not in names


@pytest.mark.parametrize(("dtype", "masked"), [("uint8", True), ("uint16", False)])
def test_classes_keep_colors_and_numbers_in_a_png(
    write_raster: WriteRaster, tmp_path: Path, dtype: str, masked: bool
) -> None:
    table = {1: (255, 0, 0, 255), 2: (0, 255, 0, 255)}
    data = values((1, 64, 64), "uint8").astype(dtype) % 2 + 1
    valid = values((64, 64), "uint8") > 60 if masked else None
    path = write_raster("a.tif", data, colormap=table, valid=valid)
    export = export_chips(
        path, path, tmp_path / "chips", tile_size=64, format="png", progress=False
    )
    chip = read_pairs(export).pairs[0].source
    np.testing.assert_array_equal(chip.read()[0], data)
    assert chip.classes.colors == ((1, 255, 0, 0, 255), (2, 0, 255, 0, 255))
    assert chip.valid_share == (1 if valid is None else valid.mean())


def test_prepare_data_takes_pictures_with_their_facts(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    source = write_raster("a.tif", values((3, *SIZE), "uint8"), names=("r", "g", "b"))
    target = write_raster("b.tif", values((1, *SIZE), "uint16") | 1, nodata=0)
    export = export_chips(
        source,
        target,
        tmp_path / "chips",
        tile_size=32,
        format="png",
        target_classes=False,
        progress=False,
    )
    card = prepare_data(export, batch_size=2).card
    assert card.source.band_names == ("r", "g", "b")
    assert (card.target.dtype, card.target.nodata, card.target.classes) == ("uint16", 0, None)
    assert card.crs == "EPSG:32633"


@pytest.mark.parametrize("format", ["png", "jpeg"])
def test_pictures_are_added_to_pictures(
    write_raster: WriteRaster, tmp_path: Path, format: str
) -> None:
    path = write_raster("a.tif", smooth(3))
    chips = tmp_path / "chips"
    options: dict[str, Any] = {"tile_size": 32, "progress": False}
    export_chips(path, path, chips, format=format, **options)
    other = write_raster("b.tif", smooth(3)[:, ::-1])
    export_chips(other, other, chips, format=format, append=True, **options)
    assert [pair.name for pair in read_pairs(chips).pairs] == [f"{i:09d}" for i in range(4)]
    with pytest.raises(
        InvalidInputError,
        match=rf"000000000{SUFFIXES[format]} is a {format}, .* tiff. Give format='{format}', or",
    ):
        export_chips(path, path, chips, append=True, **options)
    export_chips(path, path, chips, overwrite=True, **options)
    assert {file.suffix for file in (chips / "images").iterdir()} == {".tif"}


@pytest.mark.parametrize(
    ("bands", "dtype", "format", "sentence"),
    [
        (4, "uint8", "png", "has 4 bands of uint8; a PNG holds 1 or 3 bands of uint8 or uint16"),
        (2, "uint8", "jpeg", "has 2 bands of uint8; a JPEG holds 1 or 3 bands of uint8, besides"),
        (1, "float32", "png", "has 1 band of float32; a PNG .* Leave format out, which writes Geo"),
        (3, "uint16", "jpeg", "has 3 bands of uint16; a JPEG holds"),
        (3, "uint8", "mrf", "format is 'mrf'; give one of tiff, png, jpeg"),
    ],
)
def test_formats_that_do_not_fit_are_refused(
    write_raster: WriteRaster, tmp_path: Path, bands: int, dtype: str, format: Any, sentence: str
) -> None:
    path = write_raster("a.tif", values((bands, 32, 32), dtype))
    with pytest.raises(InvalidInputError, match=sentence):
        export_chips(path, path, tmp_path / "chips", tile_size=32, format=format, progress=False)
    assert not (tmp_path / "chips").exists()


def test_classes_are_not_written_as_jpeg(write_raster: WriteRaster, tmp_path: Path) -> None:
    source = write_raster("a.tif", smooth(3))
    classes = write_raster("b.tif", values((1, *SIZE), "uint8") % 3)
    options: dict[str, Any] = {"tile_size": 32, "format": "jpeg", "progress": False}
    with pytest.raises(InvalidInputError, match=r"b\.tif are classes, which a JPEG .*'png', or l"):
        export_chips(source, classes, tmp_path / "chips", **options)
    export_chips(source, classes, tmp_path / "chips", target_classes=False, **options)
    assert len(read_pairs(tmp_path / "chips").pairs) == 2
