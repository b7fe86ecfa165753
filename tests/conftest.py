"""Rasters made on the fly, and the real ones where they are present."""

from __future__ import annotations

import functools
import os
import random
import sys
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC

from geotranslate.chips.layouts import list_chips
from geotranslate.chips.pair_set import PairSet

# The networks of tests are so small that torch's threads wait for each other longer than they work.
os.environ.setdefault("OMP_NUM_THREADS", "1")
matplotlib.use("Agg")
# The first case of a test pays for imports and caches. The cases are the same in every run, so that
# a change is judged by itself; `pytest --hypothesis-profile=random` draws others.
# A busy machine draws slowly, which is no defect.
settings.register_profile(
    "random",
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "geotranslate", settings.get_profile("random"), derandomize=True, max_examples=20
)
settings.load_profile("geotranslate")
if hasattr(providers, "_get_local_constants"):
    # Hypothesis also draws the constants of all modules of ours that are loaded: a constant in any
    # module, or an import in an earlier test, would change the cases of all tests.
    NO_CONSTANTS = providers.Constants()
    providers._get_local_constants = lambda: NO_CONSTANTS

NORTH_UP = Affine(2.0, 0, 500_000, 0, -2.0, 5_000_000)
GRIDS = {
    "north-up": NORTH_UP,
    "south-up": Affine(2.0, 0, 500_000, 0, 2.0, 5_000_000),
    "rotated": Affine.translation(500_000, 5_000_000) @ Affine.rotation(30) @ Affine.scale(2, -3),
}
GCPS = [GroundControlPoint(row, col, 10 + col, 50 - row) for row in (0, 20) for col in (0, 30)]
RPCS = RPC(
    height_off=500.0,
    height_scale=500.0,
    lat_off=45.0,
    lat_scale=0.1,
    line_den_coeff=[1.0] + 19 * [0.0],
    line_num_coeff=[0.0, 0.0, -1.0] + 17 * [0.0],
    line_off=10.0,
    line_scale=10.0,
    long_off=15.0,
    long_scale=0.1,
    samp_den_coeff=[1.0] + 19 * [0.0],
    samp_num_coeff=[0.0, 1.0] + 18 * [0.0],
    samp_off=15.0,
    samp_scale=15.0,
)
SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"

WriteRaster = Callable[..., Path]


def raster_writer(folder: Path) -> WriteRaster:
    """Return a function that writes `(bands, rows, cols)` as a GeoTIFF and returns its path."""

    def write(
        name: str,
        data: NDArray[Any],
        *,
        crs: str | None = "EPSG:32633",
        transform: Affine | None = NORTH_UP,
        nodata: float | None = None,
        valid: NDArray[np.bool_] | None = None,
        names: tuple[str, ...] = (),
        colormap: dict[int, tuple[int, ...]] | None = None,
        **profile: Any,
    ) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(
                path,
                "w",
                count=data.shape[0],
                height=data.shape[1],
                width=data.shape[2],
                dtype=data.dtype,
                crs=crs,
                transform=transform,
                nodata=nodata,
                **{
                    "driver": "GTiff",
                    **({} if "driver" in profile else {"alpha": "NO"}),
                    **profile,
                },
            ) as dataset,
        ):
            dataset.write(data)
            if names:
                dataset.descriptions = names
            if colormap:
                dataset.write_colormap(1, colormap)
            if valid is not None:
                dataset.write_mask(valid)
        return path

    return write


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow cases, and begin with the slowest, so that none runs alone at the end."""
    cases: Counter[str] = Counter()
    for item in items:
        if several := item.get_closest_marker("slow_after"):
            name = item.nodeid.split("[")[0]
            cases[name] += 1
            if cases[name] > several.args[0]:
                item.add_marker(pytest.mark.slow)
    slow = {item: item.get_closest_marker("slow") for item in items}
    items.sort(key=lambda item: -(mark.kwargs.get("minutes", 0) if (mark := slow[item]) else 0))


def _seed(name: str) -> None:
    """Seed all global random number generators, each test and fixture with a seed of its own."""
    seed = zlib.crc32(name.encode())
    random.seed(seed)
    np.random.seed(seed)
    if torch := sys.modules.get("torch"):
        # `torch.manual_seed` would also look for devices, which takes long for so many calls.
        torch.default_generator.manual_seed(seed)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> None:
    """Make what a fixture draws independent of the tests before it."""
    _seed(f"{fixturedef.baseid}::{fixturedef.argname}")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Make what a test draws independent of the tests before it."""
    _seed(item.nodeid)


@pytest.fixture
def write_raster(tmp_path: Path) -> WriteRaster:
    """Return a function that writes a GeoTIFF into the folder of the test."""
    return raster_writer(tmp_path)


@pytest.fixture
def shared_data() -> Path:
    """Return the folder of real rasters beside the repository."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real rasters are not here ({SHARED_DATA})")
    return SHARED_DATA


def values(shape: tuple[int, ...], dtype: str, seed: int = 0) -> NDArray[Any]:
    """Return random values: all of an integer dtype, floats of very different size."""
    chance = np.random.default_rng(seed)
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        return chance.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    return (chance.normal(size=shape) * 10.0 ** chance.integers(-6, 7, shape)).astype(dtype)


def chip_writer(folder: Path) -> Callable[..., Path]:
    """Return a function that writes a folder of pairs, the target twice the source and more."""
    write_raster = raster_writer(folder)

    def write(
        count: int = 8,
        size: int = 64,
        source: tuple[int, str] = (3, "uint8"),
        target: tuple[int, str] = (1, "uint8"),
        step: float = 1,
        **options: Any,
    ) -> Path:
        for number in range(count):
            place = NORTH_UP @ Affine.translation(number * size * step, 0)
            smooth = np.add.outer(np.arange(size), np.arange(size) * (number + 1)) % 120
            for side, (bands, dtype) in (("images", source), ("images2", target)):
                data = np.stack(
                    [smooth * (2 if side == "images2" else 1) + b for b in range(bands)]
                )
                write_raster(
                    f"chips/{side}/{number:03d}.tif", data.astype(dtype), transform=place, **options
                )
        return folder / "chips"

    return write


@pytest.fixture
def write_chips(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes pairs into the folder of the test."""
    return chip_writer(tmp_path)


@pytest.fixture
def write_sides(write_raster: WriteRaster, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes two folders of chips that are no pairs.

    All pixels of a chip are about its number times ten, from 10, so that it can be known again.
    """

    def write(
        sides: tuple[str, ...] = ("A", "B"),
        counts: tuple[int, ...] = (5, 8),
        sizes: tuple[int, ...] = (32, 32),
        bands: tuple[int, ...] = (3, 4),
        crs: tuple[str | None, ...] = ("EPSG:32633", "EPSG:32618"),
        step: float = 1,
        start: int = 0,
        folder: str = "sides",
        **options: Any,
    ) -> Path:
        for side, count, size, depth, known in zip(sides, counts, sizes, bands, crs, strict=True):
            for number in range(start, start + count):
                data = np.full((depth, size, size), number * 10 + 10, "uint8")
                data[:, ::2] += 1
                write_raster(
                    f"{folder}/{side}/{number:03d}.tif",
                    data,
                    crs=known,
                    transform=NORTH_UP @ Affine.translation(number * size * step, 0),
                    **options,
                )
        return tmp_path / folder

    return write


@pytest.fixture
def short_lr_find(monkeypatch: pytest.MonkeyPatch) -> None:
    """Search for a learning rate in fewer than the hundred steps that fastai takes."""
    # It adds lr_find to the learner.
    import fastai.callback.schedule
    from fastai.learner import Learner

    assert fastai.callback.schedule
    monkeypatch.setattr(Learner, "lr_find", functools.partialmethod(Learner.lr_find, num_it=30))


@pytest.fixture(autouse=True)
def _work_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what is written to the working directory out of the repository.

    Other processes that a test starts there find the tests all the same.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))


def read_pairs(path: Any) -> PairSet:
    """Return the pairs of a chip folder, or of several."""
    return PairSet.of(list_chips(path))
