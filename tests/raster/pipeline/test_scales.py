"""Outputs of another pixel size: every pixel repeated, or the mean of a block."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from geotranslate.errors import TranslationError
from geotranslate.raster.factor import FACTORS
from geotranslate.raster.pipeline import assemble_parts, translate_raster
from geotranslate.raster.reader import reflected
from tests.conftest import NORTH_UP, WriteRaster, values

Batch = NDArray[np.float32]
OTHERS = [factor for factor in FACTORS if factor != 1]


def identity_of(factor: Fraction) -> Any:
    """Return the function that repeats every pixel, or takes the mean of every block."""
    grown, shrunk = factor.numerator, factor.denominator

    def apply(batch: Batch) -> Batch:
        count, bands, rows, cols = batch.shape
        blocks = batch.reshape(count, bands, rows // shrunk, shrunk, cols // shrunk, shrunk)
        return blocks.mean(axis=(3, 5)).repeat(grown, axis=2).repeat(grown, axis=3)

    return apply


def expected_of(data: NDArray[Any], factor: Fraction) -> Batch:
    """Return the whole translation; rows and columns that a block lacks are reflected."""
    rows, cols = (
        reflected(0, -(-size // factor.denominator) * factor.denominator, size)
        for size in data.shape[1:]
    )
    whole = data[:, rows[:, None], cols].astype(np.float32)
    found: Batch = identity_of(factor)(whole[None])[0]
    return found


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_identity_repeats_every_pixel_or_takes_the_mean_of_a_block(
    write_raster: WriteRaster, tmp_path: Path, data: st.DataObject
) -> None:
    factor = data.draw(st.sampled_from(OTHERS))
    shrunk = factor.denominator
    size = data.draw(st.tuples(st.integers(1, 130), st.integers(1, 130)))
    tile = shrunk * data.draw(st.integers(-(-16 // shrunk), 64 // shrunk))
    overlap = shrunk * data.draw(st.integers(0, tile // 2 // shrunk))
    blend = data.draw(st.sampled_from(["hann", "crop"])) if overlap % (2 * shrunk) == 0 else "hann"
    image = values((2, *size), "uint8")
    path = write_raster("a.tif", image)
    options: dict[str, Any] = {
        "bands_out": 2,
        "tile_size": tile,
        "overlap": overlap,
        "blend": blend,
        "scale": factor,
        "dtype": "float32",
        "overwrite": True,
        "progress": False,
    }
    whole = translate_raster(path, tmp_path / "b.tif", identity_of(factor), **options)
    with rasterio.open(whole) as dataset:
        np.testing.assert_array_equal(dataset.read(), expected_of(image, factor))
        ground = NORTH_UP @ Affine.scale(1 / float(factor))
        assert dataset.transform.almost_equals(ground, 1e-9)
    assert whole.mismatch in (None, 0)
    again = translate_raster(
        path,
        tmp_path / "c.tif",
        identity_of(factor),
        batch_size=data.draw(st.integers(1, 7)),
        max_memory=data.draw(st.sampled_from([1, 2**20, 2**40])),
        **options,
    )
    assert again.path.read_bytes() == whole.path.read_bytes()


def shade(factor: Fraction) -> Any:
    """Return a function that depends on the whole tile, so that a missing tile shows."""
    identity = identity_of(factor)

    def apply(batch: Batch) -> Batch:
        found: Batch = identity(batch / 2 + batch.mean(axis=(1, 2, 3), keepdims=True))
        return found

    return apply


@pytest.mark.filterwarnings("ignore:.*resume=True goes on:geotranslate.errors.GeotranslateWarning")
@pytest.mark.parametrize("factor", [Fraction(3), Fraction(1, 2)], ids=str)
def test_parts_workers_and_a_resumed_run_give_the_same_bytes(
    write_raster: WriteRaster, tmp_path: Path, factor: Fraction
) -> None:
    rows = 900 if factor < 1 else 300
    image = values((1, rows, 200), "uint8")
    image[:, 40:90, 30:130] = 0
    path = write_raster("a.tif", image, nodata=0)
    options: dict[str, Any] = {
        "bands_out": 1,
        "tile_size": 48,
        "overlap": 12,
        "scale": factor,
        "part_rows": 256,
        "progress": False,
    }
    apply = shade(factor)
    whole = translate_raster(path, tmp_path / "b.tif", apply, **options)
    expected = whole.path.read_bytes()
    with ThreadPoolExecutor(2) as threads:
        other = translate_raster(path, tmp_path / "c.tif", apply, executor=threads, **options)
    assert other.path.read_bytes() == expected
    for part in ("2/2", "1/2"):
        translate_raster(path, tmp_path / "d.tif", apply, part=part, **options)
    assert assemble_parts(tmp_path / "d.tif").read_bytes() == expected
    calls = 0

    def failing(batch: Batch) -> Batch:
        nonlocal calls
        calls += 1
        if calls > 0.7 * whole.tiles / 4:
            raise RuntimeError("lost")
        found: Batch = apply(batch)
        return found

    with pytest.raises(TranslationError, match="lost"):
        translate_raster(path, tmp_path / "e.tif", failing, **options)
    assert list(tmp_path.glob("e.tif.parts/*.tif"))
    resumed = translate_raster(path, tmp_path / "e.tif", apply, resume=True, **options)
    assert resumed.path.read_bytes() == expected


@pytest.mark.parametrize("factor", [Fraction(2), Fraction(1, 3)], ids=str)
def test_output_pixels_are_valid_where_all_pixels_under_them_are(
    write_raster: WriteRaster, tmp_path: Path, factor: Fraction
) -> None:
    image = values((1, 50, 70), "uint8")
    image[:, 7:20, 33:40] = 0
    path = write_raster("a.tif", image, nodata=0)
    result = translate_raster(
        path,
        tmp_path / "b.tif",
        identity_of(factor),
        bands_out=1,
        tile_size=24,
        overlap=6,
        scale=factor,
        dtype="float32",
        progress=False,
    )
    valid = expected_of((image > 0).astype(np.float32), factor)[0] == 1
    with rasterio.open(result) as dataset:
        np.testing.assert_array_equal(np.isfinite(dataset.read(1)), valid)
