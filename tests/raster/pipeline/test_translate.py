from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.env import get_gdal_config

from geotranslate.raster.bandfacts import DTYPES
from geotranslate.raster.pipeline import job
from geotranslate.raster.pipeline.translate import translate_raster
from tests.children import HANGS
from tests.conftest import GCPS, GRIDS, RPCS, WriteRaster, values

# 448 is two tiles that share 64 px, 641 a prime number that extends into a third block.
SIZES = [(1, 1), (1, 300), (300, 1), (100, 90), (255, 256), (257, 448), (641, 255)]
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


@pytest.mark.slow_after(30)
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


@pytest.mark.slow_after(16)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("driver", ["COG", "GTiff"])
def test_grid_and_dtype_are_those_of_the_source(
    write_raster: WriteRaster, tmp_path: Path, dtype: str, grid: str, driver: Any
) -> None:
    # Integers beyond 2**24 do not pass float32 unchanged.
    data = values((1, 300, 200), "int16" if dtype == "int32" else dtype)
    data = (data % 2**24 if dtype == "uint32" else data.astype("float32")).astype(dtype)
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


@pytest.mark.parametrize("blend", ["hann", "crop"])
@pytest.mark.parametrize("size", [(80, 80), (81, 103), (33, 32)], ids=str)
def test_weights_of_the_tiles_sum_to_one_at_every_pixel(
    write_raster: WriteRaster, tmp_path: Path, blend: Any, size: tuple[int, int]
) -> None:
    seen = 0

    def mark(batch: Batch) -> Batch:
        nonlocal seen
        marked = np.zeros((len(batch), 20, 32, 32), np.float32)
        for tile in marked:
            tile[seen] = 1
            seen += 1
        return marked

    mark.stride, mark.radius = 1, None  # type: ignore[attr-defined]  # it is not to be probed
    result = translate_raster(
        write_raster("a.tif", values((1, *size), "uint8")),
        tmp_path / "b.tif",
        mark,
        bands_out=20,
        tile_size=32,
        overlap=8,
        blend=blend,
        dtype="float32",
        batch_size=3,
        progress=False,
    )
    weights = read(result)[:seen]
    np.testing.assert_allclose(weights.sum(axis=0), 1, rtol=1e-6)
    assert (weights >= 0).all()
    assert seen == result.tiles
    if blend == "crop":
        assert set(np.unique(weights)) <= {0, 1}


def test_interior_tiles_see_the_real_neighboring_pixels(
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


INTEGERS = [dtype for dtype in DTYPES if "int" in dtype]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_are_rounded_half_to_even_and_saturate(
    write_raster: WriteRaster, tmp_path: Path, dtype: str
) -> None:
    limits = np.iinfo(dtype)
    halves = np.arange(-4.5, 5)
    beyond = [2.0 * limits.max, 1e30, -1e30, limits.max, limits.min, limits.min - 300.0]
    data = np.array([*halves, *beyond], np.float32).reshape(1, 4, 4)
    result = translate_raster(
        write_raster("a.tif", data),
        tmp_path / "b.tif",
        identity,
        bands_out=1,
        dtype=dtype,
        progress=False,
    )
    expected = [min(max(round(float(value)), limits.min), limits.max) for value in data.flat]
    assert read(result).ravel().tolist() == expected


def test_facts_of_the_output_are_written(write_raster: WriteRaster, tmp_path: Path) -> None:
    path = write_raster("a.tif", values((1, 50, 60), "uint8"))
    colormap = {0: (1, 2, 3, 255), 7: (9, 8, 7, 255)}
    result = translate_raster(
        path,
        tmp_path / "b.tif",
        identity,
        bands_out=1,
        scales=(0.5,),
        offsets=(-3,),
        units=("m",),
        colormap=colormap,
        tags={"SOURCE": "a drone"},
        progress=False,
    )
    with rasterio.open(result) as dataset:
        assert (dataset.scales, dataset.offsets, dataset.units) == ((0.5,), (-3,), ("m",))
        assert {value: dataset.colormap(1)[value] for value in colormap} == colormap
        assert dataset.tags()["SOURCE"] == "a drone"
        assert dataset.colorinterp == (ColorInterp.palette,)


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
        "import sys; from geotranslate.raster.pipeline import TranslatedRaster, translate_raster; "
        "assert translate_raster.__module__ == 'geotranslate.raster.pipeline.translate'; "
        "assert not {'torch', 'fastai'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=HANGS)


class Bar:
    """What is told to a progress bar."""

    def __init__(self, *, total: int, initial: int, **_: Any) -> None:
        self.total, self.n = total, initial

    def __enter__(self) -> Bar:
        BARS.append(self)
        return self

    def __exit__(self, *_: object) -> None: ...

    def update(self, more: int) -> None:
        self.n += more


BARS: list[Bar] = []


@pytest.mark.parametrize("max_memory", [None, 50_000])
@pytest.mark.parametrize("workers", [0, 2])
def test_progress_ends_at_its_total_with_tiles_that_are_skipped(
    write_raster: WriteRaster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    workers: int,
    max_memory: int | None,
) -> None:
    monkeypatch.setattr("geotranslate.raster.pipeline.executors.tqdm", Bar)
    BARS.clear()
    data = values((1, 1300, 300), "uint8") // 2 + 1
    data[:, 200:900, 50:] = 0
    path = write_raster("a.tif", data, nodata=0)
    options: dict[str, Any] = {"tile_size": 64, "part_rows": 256, "max_memory": max_memory}
    totals = []
    with ThreadPoolExecutor(2) as pool:
        options["executor"] = pool if workers else None
        for part in ("2/3", "1/3", "3/3"):
            result = translate_raster(
                path, tmp_path / "b.tif", identity, bands_out=1, part=part, **options
            )
            totals.append(result.tiles)
        whole = translate_raster(path, tmp_path / "c.tif", identity, bands_out=1, **options)
    assert whole.skipped > 0
    assert [bar.n for bar in BARS] == [bar.total for bar in BARS] == [*totals, whole.tiles]
    assert sum(totals) == whole.tiles


def test_values_of_numpy_and_rasterio_are_taken(write_raster: WriteRaster, tmp_path: Path) -> None:
    path = write_raster("a.tif", values((1, 50, 60), "uint8"))
    result = translate_raster(
        path,
        tmp_path / "b.tif",
        lambda batch: batch,
        bands_out=1,
        dtype=np.dtype("float32"),
        nodata=-3.40282346638529e38,
        band_names=[None],
        scales=np.array([0.5], "float32"),
        tags={"epoch": 3},
        identity=None,
        progress=False,
    )
    with rasterio.open(result) as dataset:
        assert dataset.dtypes == ("float32",)
        assert dataset.nodata == np.finfo("float32").min
        assert dataset.scales == (0.5,)
        assert dataset.tags()["epoch"] == "3"


@pytest.mark.skipif(sys.platform == "win32", reason="needs links")
@pytest.mark.parametrize("there", [True, False])
def test_link_leads_to_the_output_and_stays(
    write_raster: WriteRaster, tmp_path: Path, there: bool
) -> None:
    path = write_raster("a.tif", values((1, 50, 60), "uint8"))
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "b.tif", tmp_path / "link.tif"
    link.symlink_to(target)
    if there:
        target.write_text("old")
    options: dict[str, Any] = {"bands_out": 1, "progress": False, "overwrite": there}
    result = translate_raster(path, link, lambda batch: batch, **options)
    assert link.is_symlink()
    assert result.path == target
    with rasterio.open(link) as dataset:
        assert dataset.shape == (50, 60)
    assert [item.name for item in (tmp_path / "far").iterdir()] == ["b.tif"]


@pytest.mark.parametrize("length", [234, 243])
def test_names_near_the_limit_are_written(
    write_raster: WriteRaster, tmp_path: Path, length: int
) -> None:
    path = write_raster("a.tif", values((1, 50, 60), "float32"))
    output = tmp_path / f"{'b' * (length - 4)}.tif"
    for _ in range(2):
        translate_raster(
            path, output, lambda batch: batch, bands_out=1, overwrite=True, progress=False
        )
    assert sorted(tmp_path.iterdir()) == [path, output]


@pytest.mark.parametrize("returned", ["buffer", "view", "batch"])
def test_apply_may_use_its_memory_again(
    write_raster: WriteRaster, tmp_path: Path, returned: str
) -> None:
    """What is written lags behind: it must not see the next batch."""
    data = values((1, 700, 700), "uint8") // 2
    buffer = np.empty((1, 1, 64, 64), np.float32)

    def add(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        found = np.add(batch, 1, out=batch if returned == "batch" else buffer)
        return found[:] if returned == "view" else found

    result = translate_raster(
        write_raster("a.tif", data),
        tmp_path / "b.tif",
        add,
        bands_out=1,
        tile_size=64,
        overlap=0,
        blend="crop",
        batch_size=1,
        progress=False,
    )
    with rasterio.open(result) as dataset:
        np.testing.assert_array_equal(dataset.read(), data + 1)


@pytest.mark.parametrize("around", [{}, {"GDAL_CACHEMAX": 50_000_000}, None], ids=str)
@pytest.mark.parametrize("threads", [1, 3])
def test_cache_of_gdal_is_what_it_was(
    write_raster: WriteRaster, tmp_path: Path, around: dict[str, int] | None, threads: int
) -> None:
    path = write_raster("a.tif", values((1, 700, 90), "uint8"))
    seen = []

    def look(batch: Batch) -> Batch:
        seen.append(get_gdal_config("GDAL_CACHEMAX"))
        return batch

    def run(number: int) -> None:
        translate_raster(path, tmp_path / f"{number}.tif", look, bands_out=1, progress=False)

    with nullcontext() if around is None else rasterio.Env(**around):
        before = get_gdal_config("GDAL_CACHEMAX")
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(run, range(threads)))
        run(threads)
        assert get_gdal_config("GDAL_CACHEMAX") == before
    # The probing of `apply` comes before the work.
    assert min(seen) < 10_000_000 < before


def test_reports_of_complete_parts_leave_memory(
    write_raster: WriteRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    class Watched(job._PartFiles):
        def _complete(self, part: int) -> None:
            super()._complete(part)
            made.append((part, set(self.reports)))

    monkeypatch.setattr(job, "_PartFiles", Watched)
    path = write_raster("a.tif", values((1, 2500, 90), "uint8"))
    translate_raster(
        path, tmp_path / "out.tif", lambda b: b, bands_out=1, part_rows=512, progress=False
    )
    assert [part for part, _ in made] == list(range(5))
    assert all(held <= {part + 1} for part, held in made)


class Shapes:
    """A function of tiles that remembers their shapes."""

    def __init__(self, *, any_shape: bool, stride: int) -> None:
        self.any_shape, self.stride, self.radius = any_shape, stride, None
        self.seen: set[tuple[int, ...]] = set()

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        self.seen.add(batch.shape[2:])
        return batch


@pytest.mark.parametrize(
    ("size", "shape"),
    [((30, 200), (32, 64)), ((200, 30), (64, 32)), ((10, 64), (16, 64)), ((70, 90), (64, 64))],
)
def test_tiles_of_any_shape_are_no_longer_than_the_raster(
    write_raster: WriteRaster, tmp_path: Path, size: tuple[int, int], shape: tuple[int, int]
) -> None:
    scene = values((2, *size), "uint8")
    path = write_raster("scene.tif", scene)
    for any_shape, expected in ((True, shape), (False, (64, 64))):
        apply = Shapes(any_shape=any_shape, stride=16)
        done = translate_raster(
            path, tmp_path / "out.tif", apply, bands_out=2, tile_size=64, overwrite=True
        )
        assert apply.seen == {expected}
        with rasterio.open(done) as written:
            np.testing.assert_array_equal(written.read(), scene)
