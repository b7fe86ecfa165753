"""Translations of stacks depend on how they are computed as little as those of files."""

from __future__ import annotations

import hashlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from rasterio.windows import Window

from geotranslate import mosaic, stack, translate_raster
from geotranslate.errors import GeotranslateWarning, InvalidInputError, TranslationError
from geotranslate.raster.reader import RasterReader
from geotranslate.raster.stack import Stack
from tests.children import Child
from tests.conftest import NORTH_UP, raster_writer, values
from tests.raster.pipeline.test_resume import Batch, parts_of

DEGREES = Affine.translation(14.9993, 45.1541) @ Affine.scale(2.9e-5, -2.1e-5)
"""Transform of a layer in degrees on the ground of the others."""
OPTIONS: dict[str, Any] = {
    **{"bands_out": 1, "tile_size": 64, "overlap": 16, "part_rows": 256},
    **{"dtype": "float32", "progress": False},
}


class Shade:
    """A translation that depends on the whole tile, and stops or fails after some tiles."""

    def __init__(self, tiles: float = np.inf, *, stops: bool = False) -> None:
        self.left, self.stops = tiles, stops

    def __call__(self, batch: Batch) -> Batch:
        """Translate a batch."""
        self.left -= len(batch)
        if self.left < 0:
            if not self.stops:
                raise RuntimeError("out of memory")
            print("stopped", flush=True)  # noqa: T201
            time.sleep(3600)
        return batch.mean(axis=1, keepdims=True) / 2 + batch.mean(axis=(1, 2, 3), keepdims=True)


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return radar, heights in degrees and an image of finer pixels."""
    write = raster_writer(tmp_path_factory.mktemp("layers"))
    radar = values((2, 700, 210), "float32", seed=1)
    radar[:, 300:330, 40:90] = np.nan
    heights = values((1, 400, 260), "int16", seed=2)
    heights[0, 100:130, 60:90] = -1
    image = values((1, 900, 260), "uint8", seed=3)
    fine = NORTH_UP @ Affine.translation(-1.3, 2.2) @ Affine.rotation(3) @ Affine.scale(0.8)
    return {
        "s1": write("s1.tif", radar),
        "dem": write("dem.tif", heights, nodata=-1, crs="EPSG:4326", transform=DEGREES),
        "rgb": write("rgb.tif", image, transform=fine),
    }


def stacked(layers: dict[str, Path], missing: Any = "any") -> Stack:
    return stack(*layers.values(), missing=missing, resampling=[None, "cubic", "bilinear"])


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def whole(
    layers: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], str]:
    """Return the bytes of the output by `missing` and `blend`."""
    path = tmp_path_factory.mktemp("whole") / "whole.tif"
    found = {}
    for missing in ("any", "all", "ignore"):
        for blend in ("hann", "crop"):
            options = {**OPTIONS, "blend": blend, "overwrite": True}
            translate_raster(stacked(layers, missing), path, Shade(), **options)
            found[missing, blend] = digest_of(path)
    assert len(set(found.values())) == 6
    return found


@pytest.mark.filterwarnings("ignore::geotranslate.GeotranslateWarning")
@pytest.mark.parametrize("case", range(8))
def test_bytes_depend_on_neither_batches_memory_workers_nor_interruptions(
    layers: dict[str, Path], whole: dict[tuple[str, str], str], tmp_path: Path, case: int
) -> None:
    chance = np.random.default_rng(case)
    missing, blend = list(whole)[case % len(whole)]
    options: dict[str, Any] = {
        **OPTIONS,
        "blend": blend,
        "batch_size": int(chance.integers(1, 9)),
        "max_memory": int(chance.choice([1, 100_000, 1_000_000, 2**40])),
    }
    made, output = stacked(layers, missing), tmp_path / "o.tif"
    if case % 3:
        with pytest.raises(TranslationError, match="out of memory"):
            translate_raster(made, output, Shade(int(chance.integers(65))), **options)
    workers = int(chance.integers(3))
    with ThreadPoolExecutor(workers) if workers else nullcontext() as executor:
        more = {"resume": True, "executor": executor, "batch_size": 4}
        translate_raster(made, output, Shade(), **{**options, **more})
    assert digest_of(output) == whole[missing, blend]


def translate_until(made: Stack, output: Path, tiles: int) -> None:
    """Translate a stack, and stop for a long time after some tiles."""
    translate_raster(made, output, Shade(tiles, stops=True), **OPTIONS)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_translation_of_a_stack_goes_on_to_the_same_bytes(
    layers: dict[str, Path], whole: dict[tuple[str, str], str], tmp_path: Path
) -> None:
    made, output, log = stacked(layers, "ignore"), tmp_path / "o.tif", tmp_path / "log.txt"
    with Child(log, translate_until, made, output, 60) as child:
        child.wait_for(lambda: "stopped\n" in log.read_text())
        child.wait_for(lambda: parts_of(output))
    assert not output.exists()
    translate_raster(made, output, Shade(), **OPTIONS, resume=True)
    assert digest_of(output) == whole["ignore", "hann"]
    assert not output.with_name("o.tif.parts").exists()


def test_parts_of_a_stack_of_other_rules_are_refused(
    layers: dict[str, Path], tmp_path: Path
) -> None:
    """Few pixels may differ between them, or none that identify the raster."""
    write = raster_writer(tmp_path)
    radar = values((1, 700, 210), "float32")
    radar[:, 301, 41] = np.nan
    sides = write("s1.tif", radar), layers["rgb"]
    output = tmp_path / "o.tif"
    with pytest.warns(GeotranslateWarning), pytest.raises(TranslationError):
        translate_raster(stack(*sides), output, Shade(40), **OPTIONS)
    with pytest.raises(InvalidInputError, match="were made with another raster"):
        translate_raster(stack(*sides, missing="all"), output, Shade(), **OPTIONS, resume=True)


def test_a_mosaic_may_be_a_layer_on_any_grid(layers: dict[str, Path], tmp_path: Path) -> None:
    """Its pixels depend on neither windows nor workers."""
    write = raster_writer(tmp_path)
    heights = np.add.outer(2 * np.arange(400), np.arange(260)).astype("int16")[None]
    heights[0, 100:130, 60:90] = -1
    filled = write("dem.tif", heights, nodata=-1, crs="EPSG:4326", transform=DEGREES)
    east = DEGREES @ Affine.translation(120, 0)
    degrees: dict[str, Any] = {"nodata": -1, "crs": "EPSG:4326"}
    halves = [
        write("west.tif", heights[:, :, :150], transform=DEGREES, **degrees),
        write("east.tif", heights[:, :, 120:], transform=east, **degrees),
    ]
    made = stack(layers["s1"], mosaic(halves), names=["s1", "dem"])
    whole = stack(layers["s1"], filled)
    with RasterReader(made) as one, RasterReader(whole) as other:
        assert one.band_names == other.band_names
        (data, valid), (expected, seen) = one.read(), other.read()
        # GDAL approximates the way between the two CRSs.
        assert (valid != seen).mean() < 0.01
        assert np.quantile(np.abs(data - expected)[2, valid & seen], 0.99) < 1
        part = one.read(Window(33, 190, 150, 400))[0]
        np.testing.assert_array_equal(part[:, :, 20:40], data[:, 190:590, 53:73])
    found = set()
    for more in ({}, {"max_memory": 1}, {"batch_size": 1}, {"workers": 2}):
        workers = more.pop("workers", 0)
        with ThreadPoolExecutor(workers) if workers else nullcontext() as executor:
            options = {**OPTIONS, **more, "executor": executor, "overwrite": True}
            translate_raster(made, tmp_path / "o.tif", Shade(), **options)
        found.add(digest_of(tmp_path / "o.tif"))
    assert len(found) == 1
