"""Mosaics of rasters."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.warp import calculate_default_transform
from rasterio.windows import Window

from geotranslate.errors import GridMismatchError, InvalidInputError, RasterFileError
from geotranslate.raster.grid import Grid, warp
from geotranslate.raster.mosaic import Mosaic, mosaic
from geotranslate.raster.opening import files_of
from geotranslate.raster.pipeline import translate_raster
from geotranslate.raster.reader import RasterReader
from tests.conftest import GRIDS, NORTH_UP, WriteRaster, values

# Rows and columns of overlapping windows of a scene, which they do not cover, nor its corner.
SIZE = (70, 90)
WINDOWS = [np.s_[10:50, 5:40], np.s_[30:70, 20:90], np.s_[12:30, 50:81]]


def pieces(write: WriteRaster, data: NDArray[Any], transform: Affine, **options: Any) -> list[Path]:
    """Write the windows of `(bands, rows, cols)` values, with masks of their own."""
    found = []
    for number, (rows, cols) in enumerate(WINDOWS):
        own = dict(options)
        if "valid" in own:
            own["valid"] = own["valid"][number][rows, cols]
        if "nodata" in own:
            own["nodata"] = own["nodata"][number]
        place = transform @ Affine.translation(cols.start, rows.start)
        name = f"{number} & more.tif"
        found.append(write(name, data[number][:, rows, cols], transform=place, **own))
    return found


def expected(
    data: NDArray[Any], valid: NDArray[np.bool_]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return the first valid pixel of the windows, without the margin of the scene."""
    pixels, seen = np.zeros(data.shape[1:], data.dtype), np.zeros(SIZE, bool)
    for number, (rows, cols) in reversed(list(enumerate(WINDOWS))):
        here = valid[number][rows, cols]
        pixels[:, rows, cols] = np.where(here, data[number][:, rows, cols], pixels[:, rows, cols])
        seen[rows, cols] |= here
    return pixels[:, 10:, 5:], seen[10:, 5:]


def read(made: Mosaic) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return all pixels of a mosaic."""
    with RasterReader(made) as raster:
        return raster.read(dtype=None)


@pytest.mark.parametrize(
    "dtype", ["uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"]
)
@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("missing", ["none", "mask", "nodata", "several", "bands"])
def test_a_pixel_is_the_first_valid_one(
    write_raster: WriteRaster, dtype: str, bands: int, missing: str
) -> None:
    data = np.stack([values((bands, *SIZE), dtype, seed=i) for i in range(3)])
    valid = np.ones((3, *SIZE), bool)
    options: dict[str, Any] = {}
    transform = GRIDS[["north-up", "south-up", "rotated"][bands % 3]]
    if missing != "none":
        valid = np.stack([values(SIZE, "uint8", seed=9 + i) > 60 for i in range(3)])
    if missing == "mask":
        options["valid"] = valid
    if missing in ("nodata", "several", "bands"):
        options["nodata"] = [7, 7, 7] if missing != "several" else [7, 8, 9]
        for number, value in enumerate(options["nodata"]):
            data[number][data[number] == value] = 10
            # In uint8, a pixel is invalid if all bands are nodata, else if any one is.
            some = slice(1) if missing == "bands" and dtype != "uint8" else slice(None)
            data[number, some, ~valid[number]] = value
    paths = pieces(write_raster, data, transform, **options)
    pixels, seen = expected(data, valid)
    with RasterReader(mosaic(*paths)) as raster:
        found, shown = raster.read(dtype=None)
        assert raster.grid.transform.almost_equals(transform @ Affine.translation(5, 10))
        assert raster.nodata == (7 if missing in ("nodata", "bands") else None)
        assert raster.dtype == dtype
    np.testing.assert_array_equal(shown, seen)
    np.testing.assert_array_equal(found[:, seen], pixels[:, seen])


@pytest.mark.parametrize("other", [False, True])
@pytest.mark.parametrize("bands", [1, 2])
def test_nan_is_no_value_of_a_mosaic(write_raster: WriteRaster, bands: int, other: bool) -> None:
    data = np.stack([values((bands, *SIZE), "float32", seed=i) for i in range(3)])
    valid = np.stack([values(SIZE, "uint8", seed=9 + i) > 60 for i in range(3)])
    for one, seen in zip(data, valid, strict=True):
        one[:1, ~seen] = np.nan
    if other:
        data[1][np.isnan(data[1])] = -9999
    options = {"nodata": [None, -9999, None]} if other else {}
    paths = pieces(write_raster, data, NORTH_UP, **options)
    pixels, seen = expected(data, valid)
    found, shown = read(mosaic(paths))
    np.testing.assert_array_equal(shown, seen)
    np.testing.assert_array_equal(found[:, seen], pixels[:, seen])


def test_alpha_is_the_mask_of_a_piece(write_raster: WriteRaster) -> None:
    data = np.stack([values((3, *SIZE), "uint8", seed=i) for i in range(3)])
    valid = np.stack([values(SIZE, "uint8", seed=9 + i) > 60 for i in range(3)])
    opacity = np.where(valid, 255, 0).astype("uint8")[:, None]
    paths = pieces(write_raster, np.concatenate([data, opacity], axis=1), NORTH_UP, alpha="YES")
    pixels, seen = expected(data, valid)
    found, shown = read(mosaic(paths))
    assert len(found) == 3
    np.testing.assert_array_equal(shown, seen)
    np.testing.assert_array_equal(found[:, seen], pixels[:, seen])


def halves(write: WriteRaster, data: NDArray[Any], **options: Any) -> list[Path]:
    """Write the upper and the lower part of a raster, the lower one first."""
    below = NORTH_UP @ Affine.translation(0, 31)
    return [
        write("south.tif", data[:, 31:], transform=below, **options),
        write("north.tif", data[:, :31], **options),
    ]


@pytest.mark.parametrize("method", [Resampling.bilinear, Resampling.cubic, Resampling.average])
@pytest.mark.parametrize("factor", [0.3, 1.7])
@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:3857"])
def test_halves_are_warped_as_the_whole(
    write_raster: WriteRaster, method: Resampling, factor: float, crs: str
) -> None:
    data = values((2, 64, 50), "float32", seed=3) % 100
    whole = write_raster("whole.tif", data)
    grid = on_ground(Grid.of(rasterio.open(whole)), crs).moved(3.3, -7.1).scaled(factor)
    with RasterReader(mosaic(*halves(write_raster, data))) as both, RasterReader(whole) as one:
        with warp(both.dataset, grid, method) as found, warp(one.dataset, grid, method) as wanted:
            for window in (Window(0, 0, grid.width, grid.height), Window(5, 7, 9, 4)):
                pixels, seen = RasterReader(found).read(window)
                wished, shown = RasterReader(wanted, [1, 2]).read(window)
                assert (seen == shown).mean() > 0.97
                both_seen = seen & shown
                off = np.abs(pixels - wished)[:, both_seen]
                # GDAL computes places to an eighth of a pixel, and kernels by the window.
                same = crs == "EPSG:32633" and factor > 1
                assert np.quantile(off, 0.9) < (1e-3 if same else 12)


def test_windows_of_a_warped_mosaic_are_those_of_the_whole(write_raster: WriteRaster) -> None:
    data = values((2, 64, 50), "float32", seed=3) % 100
    data[:, 20:30, 11:19] = np.nan
    both = mosaic(*halves(write_raster, data))
    chance = np.random.default_rng(0)
    with RasterReader(both) as source:
        grid = on_ground(source.grid, "EPSG:3857").scaled(9)
        with warp(source.dataset, grid) as found:
            pixels, seen = RasterReader(found).read()
        assert 0 < seen.mean() < 1
        for _ in range(25):
            top, left = (int(chance.integers(size - 1)) for size in (grid.height, grid.width))
            height = int(chance.integers(1, grid.height - top))
            width = int(chance.integers(1, grid.width - left))
            with warp(source.dataset, grid) as again:
                part, known = RasterReader(again).read(Window(left, top, width, height))
            here = np.s_[top : top + height, left : left + width]
            np.testing.assert_array_equal(known, seen[here])
            np.testing.assert_array_equal(part, pixels[(slice(None), *here)])


def test_workers_translate_a_mosaic(write_raster: WriteRaster, tmp_path: Path) -> None:
    both = mosaic(*halves(write_raster, values((1, 600, 50), "uint8")))
    options: dict[str, Any] = {"bands_out": 1, "tile_size": 64, "part_rows": 256}
    options |= {"progress": False, "overwrite": True}
    found = set()
    for workers in (0, 2):
        with ThreadPoolExecutor(workers) if workers else nullcontext() as executor:
            output = tmp_path / "o.tif"
            translate_raster(both, output, np.copy, executor=executor, **options)
        found.add(output.read_bytes())
    assert len(found) == 1


def on_ground(grid: Grid, crs: str) -> Grid:
    """Return a grid on the same ground in another CRS."""
    place, width, height = calculate_default_transform(
        grid.crs, crs, grid.width, grid.height, *grid.footprint.bounds
    )
    return Grid(CRS.from_string(crs), place, height, width)


def test_facts_of_the_bands_are_the_first_raster_s(write_raster: WriteRaster) -> None:
    data = values((2, 64, 50), "int16")
    paths = halves(write_raster, data, names=("a", "b"), nodata=-5)
    for path in paths:
        with rasterio.open(path, "r+") as raster:
            raster.scales, raster.offsets, raster.units = (0.1, 2), (3, 0), ("m", "dB")
            raster.update_tags(GEOTRANSLATE_CLASSES="no")
    with mosaic(*paths).opened() as found, rasterio.open(paths[0]) as first:
        facts = ("scales", "offsets", "units", "descriptions", "nodatavals", "dtypes")
        for name in (*facts, "indexes", "colorinterp", "block_shapes"):
            assert list(getattr(found, name)) == list(getattr(first, name)), name
        assert (found.crs, found.count) == (first.crs, first.count)
        assert found.tags()["GEOTRANSLATE_CLASSES"] == "no"
        assert set(map(str, paths)) <= {str(file) for file in files_of(found)}
    classes = values((1, 64, 50), "uint8") % 3
    with mosaic(*halves(write_raster, classes, colormap={1: (9, 8, 7, 255)})).opened() as found:
        assert found.colormap(1)[1] == (9, 8, 7, 255)
        assert found.colorinterp == (ColorInterp.palette,)
        np.testing.assert_array_equal(RasterReader(found).read()[0], classes)


def test_vrts_of_other_programs_are_pieces(write_raster: WriteRaster) -> None:
    data = values((2, 64, 50), "int16")
    south, north = halves(write_raster, data)
    vrt = south.with_suffix(".vrt")
    rasterio.shutil.copy(south, vrt, driver="VRT")
    np.testing.assert_array_equal(read(mosaic(vrt, north))[0], data)


def test_many_rasters_are_opened_in_turn(
    write_raster: WriteRaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geotranslate.raster.mosaicdataset.MOST_OPEN", 2)
    data = values((1, 40, 60), "uint8")
    paths = [
        write_raster(
            f"{row} {col}.tif",
            data[:, row : row + 10, col : col + 10],
            transform=NORTH_UP @ Affine.translation(col, row),
        )
        for row in range(0, 40, 10)
        for col in range(0, 60, 10)
    ]
    np.testing.assert_array_equal(read(mosaic(paths[::-1]))[0], data)


def test_a_mosaic_travels(write_raster: WriteRaster, monkeypatch: pytest.MonkeyPatch) -> None:
    data = values((2, 64, 50), "int16")
    paths = halves(write_raster, data)
    monkeypatch.chdir(paths[0].parent)
    made = mosaic([path.name for path in paths])
    monkeypatch.chdir("/")
    sent = pickle.loads(pickle.dumps(made))
    assert sent == made
    assert str(made.absolute()) == "south.tif,north.tif"
    assert made.main == "south.tif"
    np.testing.assert_array_equal(read(sent)[0], data)
    assert str(mosaic(paths * 3)).endswith("south.tif and 3 more")


@pytest.mark.parametrize(
    ("other", "error", "sentence"),
    [
        ({"crs": "EPSG:32634"}, GridMismatchError, "differ in CRS; bring all .* gdalwarp -t_srs"),
        (
            {"transform": NORTH_UP @ Affine.scale(0.5)},
            GridMismatchError,
            r"pixels of .*b\.tif are 1 x 1, those of .*a\.tif 2 x 2; .* gdalwarp -tr",
        ),
        (
            {"transform": NORTH_UP @ Affine.rotation(20)},
            GridMismatchError,
            r"b\.tif are 2 x 2, turned, those of .*a\.tif 2 x 2; .* one size and direction",
        ),
        (
            {"transform": NORTH_UP @ Affine.translation(0.3, 8)},
            GridMismatchError,
            r"b\.tif lie 0\.3 pixels beside those of .*a\.tif; .* gdalwarp -tap",
        ),
        ({"transform": None}, GridMismatchError, r"b\.tif has no transform"),
        ({"bands": 3}, InvalidInputError, r"b\.tif has 3 bands of uint8 but .*a\.tif has 2 bands"),
        ({"dtype": "int16"}, InvalidInputError, "has 2 bands of int16 but"),
        ({"names": ("x", "z")}, InvalidInputError, "are x, z but .* are x, y; all rasters of a mo"),
    ],
)
def test_rasters_that_are_no_mosaic_are_refused(
    write_raster: WriteRaster, other: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    first = write_raster("a.tif", values((2, 32, 32), "uint8"), names=("x", "y"))
    options = {"names": ("x", "y"), **other}
    bands, dtype = options.pop("bands", 2), options.pop("dtype", "uint8")
    if bands != 2:
        options.pop("names")
    second = write_raster("b.tif", values((bands, 32, 32), dtype), **options)
    with pytest.raises(error, match=sentence):
        mosaic(first, second)


def test_scales_and_values_that_are_no_paths_are_refused(write_raster: WriteRaster) -> None:
    one, other = halves(write_raster, values((2, 64, 50), "int16"))
    with rasterio.open(other, "r+") as raster:
        raster.scales = (0.1, 0.1)
    with pytest.raises(InvalidInputError, match=r"2 bands of int16 with scales \[0\.1, 0\.1\] but"):
        mosaic(one, other)
    for given in ((), ([],)):
        with pytest.raises(
            InvalidInputError, match="A mosaic of no raster was asked for; give one"
        ):
            mosaic(*given)
    for value in (3, None, mosaic(one), np.ones((2, 2))):
        with pytest.raises(
            InvalidInputError, match=r"A raster of a mosaic is .*; give the path, URL"
        ):
            mosaic(one, value)
    with pytest.raises(RasterFileError, match=r"none\.tif cannot be opened"):
        mosaic(one, "none.tif")
