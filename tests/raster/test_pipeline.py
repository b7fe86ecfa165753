from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

import geotranslate.raster
from geotranslate.raster.pipeline import translate_raster
from tests.conftest import GCPS, GRIDS, RPCS, WriteRaster, values

SIZES = [(1, 300), (300, 1), (100, 90), (255, 255), (256, 256), (257, 257), (640, 511)]
Batch = NDArray[np.float32]


def identity(batch: Batch) -> Batch:
    return batch


def read(path: os.PathLike[str]) -> NDArray[np.generic]:
    with rasterio.open(path) as dataset:
        return dataset.read()


MODES: list[dict[str, Any]] = [
    {},
    *({"blend": blend, "overlap": n} for blend in ("hann", "crop") for n in (0, 1, 31, 64, 128)),
    {"padding": 32},
    {"blend": "hann", "overlap": 100, "padding": 20},
]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: "-".join(map(str, mode.values())))
def test_identity_returns_its_input_at_every_pixel(
    write_raster: WriteRaster, tmp_path: Path, size: tuple[int, int], mode: dict[str, Any]
) -> None:
    dtype = ("uint8", "uint16", "int16", "float32")[sum(size) % 4]
    data = values((2, *size), dtype)
    path = write_raster("a.tif", data)
    result = translate_raster(
        path, tmp_path / "b.tif", identity, bands_out=2, progress=False, **mode
    )
    np.testing.assert_array_equal(read(result), data)
    assert result.mismatch in (0, None)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "float32", "float64"])
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("driver", ["COG", "GTiff"])
def test_grid_and_dtype_are_those_of_the_source(
    write_raster: WriteRaster, tmp_path: Path, dtype: str, grid: str, driver: Any
) -> None:
    data = values((1, 300, 200), dtype).astype("float32").astype(dtype)
    path = write_raster("a.tif", data, transform=GRIDS[grid])
    result = translate_raster(
        path, tmp_path / "b.tif", identity, bands_out=1, driver=driver, progress=False
    )
    np.testing.assert_array_equal(read(result), data)
    with rasterio.open(path) as before, rasterio.open(result) as after:
        assert after.transform == before.transform
        assert after.crs == before.crs
        assert after.crs.to_epsg() == 32633
        assert after.dtypes == before.dtypes


@pytest.mark.parametrize("overlap", [0, 7, 16])
def test_tiles_that_differ_are_blended_between_their_values(
    write_raster: WriteRaster, tmp_path: Path, overlap: int
) -> None:
    seen = []

    def number(batch: Batch) -> Batch:
        seen.extend(batch)
        first = len(seen) - len(batch)
        return np.stack([np.full((1, 32, 32), first + i, np.float32) for i in range(len(batch))])

    path = write_raster("a.tif", values((1, 32, 200), "uint8"))
    outputs = set()
    for batch_size in (1, 2, 5):
        seen.clear()
        result = translate_raster(
            path,
            tmp_path / "b.tif",
            number,
            bands_out=1,
            tile_size=32,
            overlap=overlap,
            blend="hann",
            batch_size=batch_size,
            dtype="float32",
            overwrite=True,
            progress=False,
        )
        row = read(result)[0]
        outputs.add(result.path.read_bytes())
    assert len(outputs) == 1
    assert (np.diff(row, axis=1) >= 0).all()
    assert (row == row[:1]).all()
    if overlap:
        middle = 32 - overlap / 2
        assert np.interp(middle - 0.5, range(200), row[0]) == pytest.approx(0.5, abs=1e-6)
    assert result.tiles == len(seen)


def test_interior_tiles_see_the_real_neighbouring_pixels(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    data = values((1, 100, 120), "uint8")
    tiles: list[NDArray[np.float32]] = []

    def watch(batch: Batch) -> Batch:
        tiles.extend(batch[:, 0])
        return batch

    translate_raster(
        write_raster("a.tif", data),
        tmp_path / "b.tif",
        watch,
        bands_out=1,
        tile_size=32,
        overlap=8,
        progress=False,
    )
    starts = [(r, c) for r in (0, 24, 48, 68) for c in (0, 24, 48, 72, 88)]
    for (row, col), tile in zip(starts, tiles, strict=True):
        np.testing.assert_array_equal(tile, data[0, row : row + 32, col : col + 32])


@pytest.mark.parametrize("nodata", [None, 0, 7])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_invalid_pixels_stay_invalid_and_do_not_reach_apply(
    write_raster: WriteRaster, tmp_path: Path, dtype: str, nodata: float | None
) -> None:
    data = values((2, 90, 70), "uint8").astype(dtype)
    valid = values((90, 70), "uint8", seed=1) > 50
    valid[:40, :30] = False
    data[:, ~valid] = 99
    data[:, valid & (data == 99).any(axis=0)] = 98
    path = write_raster("a.tif", data, nodata=99)

    def check(batch: Batch) -> Batch:
        assert not (batch == 99).any()
        return batch

    result = translate_raster(
        path,
        tmp_path / "b.tif",
        check,
        bands_out=2,
        tile_size=32,
        overlap=16,
        nodata=nodata,
        fill=(3, 4),
        progress=False,
    )
    with rasterio.open(result) as dataset:
        np.testing.assert_array_equal(dataset.dataset_mask() > 0, valid)
        found = dataset.read()
    moved = np.abs(found.astype(float) - data)[:, valid]
    assert moved.max() <= (1 if nodata is not None else 0)


def test_bands_and_dtype_of_the_output_are_its_own(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    data = values((3, 50, 60), "uint8")
    result = translate_raster(
        write_raster("a.tif", data),
        tmp_path / "b.tif",
        lambda batch: batch[:, :1] * 100 - 300,
        bands_out=1,
        dtype="int16",
        progress=False,
    )
    np.testing.assert_array_equal(read(result)[0], data[0].astype(int) * 100 - 300)


def test_result_is_a_path_and_knows_its_grid(write_raster: WriteRaster, tmp_path: Path) -> None:
    result = translate_raster(
        write_raster("a.tif", values((1, 50, 60), "uint8")),
        tmp_path / "b.tif",
        identity,
        bands_out=1,
        progress=False,
    )
    assert os.fspath(result) == str(result) == str(tmp_path / "b.tif")
    assert (result.grid.height, result.grid.width, result.tiles) == (50, 60, 1)


def test_rasters_may_be_in_memory_or_open(write_raster: WriteRaster, tmp_path: Path) -> None:
    data = values((1, 50, 60), "uint8")
    path = write_raster("a.tif", data)
    with rasterio.MemoryFile(path.read_bytes()) as memory, memory.open() as dataset:
        for number, source in enumerate((memory.name, dataset)):
            result = translate_raster(
                source, tmp_path / f"{number}.tif", identity, bands_out=1, progress=False
            )
            np.testing.assert_array_equal(read(result), data)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("points", [{"gcps": GCPS}, {"rpcs": RPCS}], ids=["gcps", "rpcs"])
def test_ground_control_points_and_rpcs_are_carried_over(
    write_raster: WriteRaster, tmp_path: Path, points: dict[str, Any]
) -> None:
    path = write_raster(
        "a.tif", values((1, 20, 30), "uint8"), crs="EPSG:4326", transform=None, **points
    )
    result = translate_raster(path, tmp_path / "b.tif", identity, bands_out=1, progress=False)
    same_points(path, result)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.tif", "b.tif"]


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("name", ["test_rpcs.tif", "test_rpcs_ext_file.tif", "gcp.tif"])
def test_points_of_real_rasters_are_carried_over(
    shared_data: Path, tmp_path: Path, name: str
) -> None:
    path = shared_data / "corpus" / "georef" / name
    if not path.exists():
        pytest.skip(f"{name} is not here")
    result = translate_raster(path, tmp_path / "b.tif", identity, bands_out=1, progress=False)
    same_points(path, result)
    assert [item.name for item in tmp_path.iterdir()] == ["b.tif"]


def same_points(path: Path, result: os.PathLike[str]) -> None:
    with rasterio.open(path) as before, rasterio.open(result) as after:
        assert before.gcps[0] or before.rpcs
        for one, other in zip(before.gcps[0], after.gcps[0], strict=True):
            assert (one.row, one.col) == (other.row, other.col)
            assert (one.x, one.y, one.z) == (other.x, other.y, other.z)
        assert before.gcps[1] == after.gcps[1]
        if before.rpcs:
            numbers = [
                np.hstack([value for value in rpcs.to_dict().values() if value is not None])
                for rpcs in (before.rpcs, after.rpcs)
            ]
            np.testing.assert_allclose(numbers[0], numbers[1], rtol=1e-12)
        else:
            assert after.rpcs is None


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_mask_inside_the_source_is_that_of_the_output(
    write_raster: WriteRaster, tmp_path: Path, dtype: str
) -> None:
    valid = values((300, 310), "uint8", seed=1) > 50
    path = write_raster("a.tif", values((2, 300, 310), dtype), valid=valid)
    result = translate_raster(path, tmp_path / "b.tif", identity, bands_out=2, progress=False)
    with rasterio.open(result) as dataset:
        np.testing.assert_array_equal(dataset.dataset_mask() > 0, valid)


def test_bands_of_the_output_get_names(write_raster: WriteRaster, tmp_path: Path) -> None:
    path = write_raster("a.tif", values((2, 50, 60), "uint8"), names=("red", "green"))
    for names, found in (((), (None, None)), (("map", "height"), ("map", "height"))):
        result = translate_raster(
            path,
            tmp_path / "b.tif",
            identity,
            bands_out=2,
            band_names=names,
            overwrite=True,
            progress=False,
        )
        with rasterio.open(result) as dataset:
            assert dataset.descriptions == found


def test_numpy_integers_are_whole_numbers(write_raster: WriteRaster, tmp_path: Path) -> None:
    result = translate_raster(
        write_raster("a.tif", values((1, 300, 60), "uint8")),
        tmp_path / "b.tif",
        identity,
        bands_out=np.int64(1),
        tile_size=np.uint8(255),
        overlap=np.uint8(127),
        batch_size=np.int32(2),
        blend="hann",
        progress=False,
    )
    assert result.tiles == 2


def test_room_gives_its_public_names_without_torch() -> None:
    code = (
        "import sys; from geotranslate.raster import TranslatedRaster, translate_raster; "
        "assert translate_raster.__module__ == 'geotranslate.raster.pipeline'; "
        "assert not {'torch', 'fastai'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = geotranslate.raster.nothing
