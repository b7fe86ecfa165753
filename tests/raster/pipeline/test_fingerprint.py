"""An output that is there is taken for the answer only where it is."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from geotranslate.errors import InvalidInputError
from geotranslate.raster.pipeline import translate_raster
from geotranslate.raster.pipeline.planning import fingerprint
from geotranslate.raster.reader import RasterReader
from tests.conftest import WriteRaster, values
from tests.raster.pipeline.test_resume import OPTIONS

K: dict[str, Any] = {"bands_out": 1, "progress": False}


def identity(batch: NDArray[np.float32]) -> NDArray[np.float32]:
    return batch


def as_path(path: Path) -> Any:
    os.utime(path, ns=(1, 1))
    return path


def in_memory(path: Path) -> Any:
    return rasterio.MemoryFile(path.read_bytes())


def in_zip(path: Path) -> Any:
    archive = path.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w") as file:
        file.write(path, "a.tif")
    return f"/vsizip/{archive}/a.tif"


@pytest.mark.parametrize("kind", [as_path, in_memory, in_zip])
def test_output_of_another_raster_is_not_taken_for_this_ones(
    write_raster: WriteRaster, tmp_path: Path, kind: Callable[[Path], Any]
) -> None:
    one, other = (values((1, 300, 400), "uint8", seed) for seed in (1, 2))
    output = tmp_path / "o.tif"
    translate_raster(kind(write_raster("1/a.tif", one)), output, identity, **K)
    second = kind(write_raster("2/a.tif", other))
    translate_raster(second, output, identity, **K, resume=True, overwrite=True)
    with rasterio.open(output) as dataset:
        np.testing.assert_array_equal(dataset.read(), other)


@pytest.mark.parametrize("kind", [in_memory, in_zip])
def test_parts_of_two_rasters_without_files_are_not_mixed(
    write_raster: WriteRaster, tmp_path: Path, kind: Callable[[Path], Any]
) -> None:
    one, other = (
        kind(write_raster(f"{seed}/a.tif", values((1, 600, 300), "uint8", seed))) for seed in (1, 2)
    )
    output = tmp_path / "o.tif"
    translate_raster(one, output, identity, **OPTIONS, part="1/2")
    with pytest.raises(InvalidInputError, match="made with another raster"):
        translate_raster(other, output, identity, **OPTIONS, resume=True)


def test_raster_of_another_name_is_another(write_raster: WriteRaster, tmp_path: Path) -> None:
    """Two scenes may differ where nobody looks."""
    data, output, calls = values((1, 50, 60), "uint8"), tmp_path / "o.tif", []

    def count(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        calls.append(batch)
        return batch

    for name in ("a.tif", "b.tif", "b.tif"):
        path = as_path(write_raster(name, data))
        translate_raster(path, output, count, **K, resume=True, overwrite=True)
    assert len(calls) == 2


def test_raster_changed_in_place_is_computed_again(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    data = values((1, 900, 900), "uint8")
    path, output = write_raster("a.tif", data), tmp_path / "o.tif"
    translate_raster(path, output, identity, **K)
    data[:, 150, 150] ^= 1
    write_raster("a.tif", data)
    translate_raster(path, output, identity, **K, resume=True, overwrite=True)
    with rasterio.open(output) as dataset:
        np.testing.assert_array_equal(dataset.read(), data)


def test_fingerprint_is_that_of_the_values_wherever_and_however_they_are_stored(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    data = values((2, 300, 400), "int16")
    path = write_raster("a.tif", data, nodata=7)
    (tmp_path / "there").mkdir()
    moved = shutil.copy(path, tmp_path / "there")
    tiled = write_raster("3/a.tif", data, nodata=7, tiled=True, blockxsize=64, blockysize=64)
    found = set()
    for raster in (path, moved, tiled, os.path.relpath(path), f"GTIFF_DIR:1:{path}"):
        with RasterReader(raster) as source:
            found.add(fingerprint(source, rasterio.windows.Window(0, 0, 400, 300)))
    assert len(found) == 1
