"""The output depends on the raster and on `apply`, not on how it was computed."""

from __future__ import annotations

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

from geotranslate.errors import InvalidInputError
from geotranslate.raster.pipeline import translate_raster
from tests.conftest import GCPS, GRIDS, RPCS, WriteRaster, values
from tests.raster.tiling.test_overlap import blocks, box_filter

Batch = NDArray[np.float32]


def shade(batch: Batch) -> Batch:
    """Translate depending on the whole tile."""
    return batch / 3 + batch.mean(axis=(1, 2, 3), keepdims=True)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batch_size=st.integers(1, 9),
    max_memory=st.sampled_from([1, 100_000, 1_000_000, 2**40]),
    blend=st.sampled_from(["hann", "crop"]),
    block=st.sampled_from([{}, {"tiled": True, "blockxsize": 64, "blockysize": 128}]),
    factor=st.sampled_from([1, 2]),
)
def test_bytes_do_not_depend_on_batches_memory_or_blocks_of_the_source(
    write_raster: WriteRaster,
    tmp_path: Path,
    batch_size: int,
    max_memory: int,
    blend: Any,
    block: dict[str, Any],
    factor: int,
) -> None:
    data = values((2, 320, 360), "uint8")
    data[:, 100:250, 100:300] = 0

    def apply(batch: Batch) -> Batch:
        return shade(batch).repeat(factor, axis=2).repeat(factor, axis=3)

    def run(name: str, source: dict[str, Any], **options: Any) -> bytes:
        path = write_raster("a.tif", data, nodata=0, **source)
        result = translate_raster(
            path,
            tmp_path / name,
            apply,
            bands_out=2,
            tile_size=64,
            overlap=16,
            blend=blend,
            scale=factor,
            part_rows=256,
            overwrite=True,
            progress=False,
            **options,
        )
        return result.path.read_bytes()

    expected = run("b.tif", {})
    assert run("c.tif", block, batch_size=batch_size, max_memory=max_memory) == expected


@pytest.mark.parametrize("blend", ["hann", "crop"])
def test_tile_mismatch_does_not_depend_on_memory_or_parts(
    write_raster: WriteRaster, tmp_path: Path, blend: Any
) -> None:
    """It stands in the output's tags."""
    path = write_raster("a.tif", values((2, 700, 900), "uint8"))
    files = set()
    for options in ({}, {"max_memory": 300_000}, {"max_memory": 1}):
        result = translate_raster(
            path,
            tmp_path / "b.tif",
            shade,
            bands_out=2,
            tile_size=128,
            overlap=60,
            blend=blend,
            part_rows=256,
            overwrite=True,
            progress=False,
            **options,
        )
        assert result.mismatch
        files.add(result.path.read_bytes())
    assert len(files) == 1


@pytest.mark.parametrize("radius", [0, 3, 20])
@pytest.mark.parametrize("options", [{}, {"padding": 20}], ids=["auto", "padding"])
def test_cropped_tiles_are_the_whole_image(
    write_raster: WriteRaster, tmp_path: Path, radius: int, options: dict[str, Any]
) -> None:
    """A filter that sees no further than the padding leaves no trace of the tiles."""
    data = values((1, 300, 410), "uint8")
    apply = box_filter(radius)
    result = translate_raster(
        write_raster("a.tif", data),
        tmp_path / "b.tif",
        apply,
        bands_out=1,
        tile_size=128,
        dtype="float32",
        progress=False,
        **options,
    )
    with rasterio.open(result) as dataset:
        whole = apply(data[None].astype(np.float32))[0]
        # Reflection at the edge of a tile is not that of the scene where a tile reaches beyond.
        np.testing.assert_allclose(dataset.read(), whole, rtol=1e-6)


@pytest.mark.parametrize("options", [{}, {"padding": 16}, {"padding": 5}], ids=str)
@pytest.mark.filterwarnings("ignore:Tiles of")
def test_tiles_lie_on_the_stride_of_the_network(
    write_raster: WriteRaster, tmp_path: Path, options: dict[str, Any]
) -> None:
    data = values((1, 304, 416), "uint8")
    result = translate_raster(
        write_raster("a.tif", data),
        tmp_path / "b.tif",
        blocks(8),
        bands_out=1,
        tile_size=64,
        dtype="float32",
        progress=False,
        **options,
    )
    with rasterio.open(result) as dataset:
        whole = blocks(8)(data[None].astype(np.float32))[0]
        np.testing.assert_allclose(dataset.read(), whole, rtol=1e-6)


def test_what_is_wrong_at_the_edge_of_tiles_is_cropped_away(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    data = values((1, 300, 410), "uint8") // 2

    def frame(batch: Batch) -> Batch:
        wrong = batch.copy()
        for edge in (np.s_[:, :, :9], np.s_[:, :, -9:], np.s_[..., :9], np.s_[..., -9:]):
            wrong[edge] += 100
        return wrong

    result = translate_raster(
        write_raster("a.tif", data),
        tmp_path / "b.tif",
        frame,
        bands_out=1,
        tile_size=64,
        padding=9,
        progress=False,
    )
    with rasterio.open(result) as dataset:
        found = dataset.read()
    np.testing.assert_array_equal(found[:, 9:-9, 9:-9], data[:, 9:-9, 9:-9])
    assert (found[:, :9] != data[:, :9]).any()


def grow(factor: int) -> Any:
    return lambda batch: batch.repeat(factor, axis=2).repeat(factor, axis=3)


@pytest.mark.slow_after(12)
@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("factor", [2, 4, 0.5, Fraction(1, 4)])
@pytest.mark.parametrize("size", [(1, 1), (100, 90), (257, 301)])
def test_output_of_another_scale_lies_on_the_same_ground(
    write_raster: WriteRaster, tmp_path: Path, grid: str, factor: Any, size: tuple[int, int]
) -> None:
    data = values((1, *size), "uint8")
    path = write_raster("a.tif", data, transform=GRIDS[grid])
    step = int(1 / factor)
    apply = grow(int(factor)) if factor > 1 else lambda batch: batch[:, :, ::step, ::step]
    result = translate_raster(
        path,
        tmp_path / "b.tif",
        apply,
        bands_out=1,
        tile_size=64,
        overlap=16,
        scale=factor,
        progress=False,
    )
    expected = grow(int(factor))(data[None])[0] if factor > 1 else data[:, ::step, ::step]
    with rasterio.open(path) as before, rasterio.open(result) as after:
        np.testing.assert_array_equal(after.read(), expected)
        assert after.transform.almost_equals(
            before.transform @ Affine.scale(1 / float(factor)), 1e-9
        )


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("factor", [1, 2])
def test_rpcs_of_a_cut_and_scaled_output_place_the_same_ground(
    write_raster: WriteRaster, tmp_path: Path, factor: int
) -> None:
    path = write_raster(
        "a.tif", values((1, 20, 30), "uint8"), crs="EPSG:4326", transform=None, rpcs=RPCS
    )
    result = translate_raster(
        path,
        tmp_path / "b.tif",
        grow(factor),
        bands_out=1,
        bbox=(5, 3, 25, 18),
        scale=factor,
        progress=False,
    )
    with rasterio.open(path) as before, rasterio.open(result) as after:
        assert after.shape == (15 * factor, 20 * factor)
        one = rasterio.transform.RPCTransformer(before.rpcs)
        other = rasterio.transform.RPCTransformer(after.rpcs)
        place = one.xy([10.5], [12.5], zs=[500], offset="ul")
        moved = other.xy([(10.5 - 3) * factor], [(12.5 - 5) * factor], zs=[500], offset="ul")
    np.testing.assert_allclose(place, moved, atol=1e-9)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("factor", [1, 2, 0.5])
def test_ground_control_points_of_a_cut_and_scaled_output_mark_the_same_ground(
    write_raster: WriteRaster, tmp_path: Path, factor: float
) -> None:
    path = write_raster(
        "a.tif", values((1, 20, 30), "uint8"), crs="EPSG:4326", transform=None, gcps=GCPS
    )
    apply = (
        grow(int(factor))
        if factor > 1
        else lambda tiles: tiles[:, :, :: int(1 / factor)][..., :: int(1 / factor)]
    )
    result = translate_raster(
        path,
        tmp_path / "b.tif",
        apply,
        bands_out=1,
        bbox=(6, 4, 24, 18),
        scale=factor,
        progress=False,
    )
    with rasterio.open(result) as dataset:
        assert dataset.transform.is_identity
        for before, after in zip(GCPS, dataset.gcps[0], strict=True):
            assert (after.x, after.y) == (before.x, before.y)
            assert after.row == (before.row - 4) * factor
            assert after.col == (before.col - 6) * factor


@pytest.mark.parametrize("scale", [0, -1, "a", None, float("nan")])
def test_scale_that_is_none_is_said(write_raster: WriteRaster, tmp_path: Path, scale: Any) -> None:
    path = write_raster("a.tif", values((1, 20, 30), "uint8"))
    with pytest.raises(InvalidInputError, match="give output pixels per source pixel"):
        translate_raster(path, tmp_path / "b.tif", shade, bands_out=1, scale=scale, progress=False)


def test_seconds_and_waiting_are_measured(write_raster: WriteRaster, tmp_path: Path) -> None:
    path = write_raster("a.tif", values((1, 600, 700), "uint8"))
    result = translate_raster(path, tmp_path / "b.tif", shade, bands_out=1, progress=False)
    seconds = result.seconds
    assert 0 <= result.waited <= 1
    assert seconds.total >= seconds.assemble > 0
    assert min(seconds.read, seconds.apply, seconds.write) > 0
    assert "data:image/png;base64" in result._repr_html_()
    assert "700 x 600 px" in result._repr_html_()


def test_result_without_a_file_is_shown_without_a_picture(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    path = write_raster("a.tif", values((1, 700, 600), "uint8"))
    options: dict[str, Any] = {"bands_out": 1, "progress": False, "part_rows": 256}
    share = translate_raster(path, tmp_path / "b.tif", shade, part="1/2", **options)
    gone = translate_raster(path, tmp_path / "c.tif", shade, **options)
    gone.path.unlink()
    torn = translate_raster(path, tmp_path / "d.tif", shade, **options)
    torn.path.write_text("no raster")
    for result in (share, gone, torn):
        shown = result._repr_html_()
        assert "600 x 700 px" in shown
        assert "<img" not in shown


@pytest.mark.filterwarnings("ignore:Tiles of:geotranslate.errors.GeotranslateWarning")
@pytest.mark.filterwarnings("ignore:.*NaN:geotranslate.errors.GeotranslateWarning")
def test_all_that_is_warned_of_stands_in_the_result(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    class Network:
        stride, radius = 32, 60

        def __call__(self, batch: Batch) -> Batch:
            return np.where(batch == batch.max(), np.float32("nan"), batch)

    path = write_raster("a.tif", values((1, 700, 600), "uint8"))
    options: dict[str, Any] = {"tile_size": 250, "padding": 30, "bands_out": 1, "progress": False}
    for resume in (False, True):
        result = translate_raster(path, tmp_path / "b.tif", Network(), **options, resume=resume)
        rounded, lost = result.warnings
        assert rounded.startswith("Tiles of 250 px")
        assert "NaN or infinity" in lost
        assert all(sentence[:9] in result._repr_html_() for sentence in result.warnings)
