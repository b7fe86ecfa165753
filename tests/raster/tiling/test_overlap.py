from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from geotranslate.errors import InvalidInputError
from geotranslate.raster.pipeline.translate import translate_raster
from geotranslate.raster.tiling.axis import Axis
from geotranslate.raster.tiling.overlap import (
    ReceptiveField,
    Tiling,
    TilingOptions,
    choose_tiling,
)
from tests.conftest import WriteRaster

Batch = NDArray[np.float32]


def declared(apply: Any, stride: int, radius: int) -> Any:
    """Return a function with the attributes that declare its receptive field."""
    apply.stride, apply.radius = stride, radius
    return apply


def box_filter(radius: int) -> Any:
    """Return a filter that declares its receptive field."""

    def apply(batch: Batch) -> Batch:
        padded = np.pad(batch, ((0, 0), (0, 0), (radius, radius), (radius, radius)), "reflect")
        total = np.zeros_like(batch)
        rows, cols = batch.shape[2:]
        for i in range(2 * radius + 1):
            for j in range(2 * radius + 1):
                total += padded[:, :, i : i + rows, j : j + cols]
        return total

    return declared(apply, 1, radius)


def blocks(stride: int) -> Any:
    """Return a network that replaces blocks by their means."""

    def apply(batch: Batch) -> Batch:
        count, bands, rows, cols = batch.shape
        cut = batch.reshape(count, bands, rows // stride, stride, cols // stride, stride)
        means = cut.mean(axis=(3, 5), keepdims=True)
        return np.broadcast_to(means, cut.shape).reshape(batch.shape).copy()

    return declared(apply, stride, stride - 1)


class Network:
    """Declares its receptive field."""

    stride, radius = 32, 79


def test_receptive_field_is_the_declared_one() -> None:
    assert ReceptiveField.of(Network()) == ReceptiveField(32, 79)
    assert ReceptiveField.of(lambda batch: batch) is None


@given(st.integers(1, 512), st.integers(0, 2000))
def test_halo_holds_the_radius_in_whole_strides(stride: int, radius: int) -> None:
    halo = ReceptiveField(stride, radius).halo
    assert halo is not None
    assert radius <= halo < radius + stride
    assert halo % stride == 0
    assert ReceptiveField(stride, None).halo is None


def chosen(
    field: ReceptiveField | None = None,
    *,
    tile: int = 256,
    overlap: int | None = None,
    padding: int | None = None,
    blend: Any = "auto",
    categorical: bool = False,
) -> Tiling:
    options = TilingOptions(tile, overlap, padding, blend)
    return choose_tiling(options, field, categorical=categorical)


@given(st.integers(2, 1024), st.sampled_from([1, 2, 4, 32, 256]), st.integers(0, 600))
def test_auto_crops_a_halo_that_holds_all_that_is_seen_or_blends(
    tile: int, stride: int, radius: int
) -> None:
    tile = -(-tile // stride) * stride
    found = chosen(ReceptiveField(stride, radius), tile=tile)
    Axis(10_000, found.tile, found.overlap, found.padding, found.step)
    halo = -(-radius // stride) * stride
    if 2 * halo + stride <= 0.6 * tile:
        assert found == Tiling(tile, 2 * halo, halo, stride)
    else:
        assert found == Tiling(tile, max(tile // 4, min(32, tile // 2)), 0)


@pytest.mark.parametrize("field", [None, ReceptiveField(1, None), ReceptiveField(256, 383)])
def test_auto_blends_where_cropping_would_show(field: ReceptiveField | None) -> None:
    assert chosen(field) == Tiling(256, 64, 0)


def test_classes_are_cropped() -> None:
    found = chosen(categorical=True)
    assert (found.overlap, found.padding) == (64, 32)
    assert chosen(categorical=True, overlap=100).padding == 50


@pytest.mark.parametrize("blend", ["auto", "crop"])
def test_padding_is_that_of_arcgis(blend: str) -> None:
    assert chosen(padding=40, blend=blend) == Tiling(256, 80, 40)


def test_overlap_alone_is_blended_and_both_keep_a_ramp() -> None:
    assert chosen(overlap=40) == Tiling(256, 40, 0)
    assert chosen(overlap=40, padding=8, blend="hann") == Tiling(256, 40, 8)


def test_sizes_that_miss_the_stride_are_rounded_up_with_a_warning() -> None:
    found = chosen(ReceptiveField(32, 60), tile=250, padding=30)
    assert (found.tile, found.overlap, found.padding, found.step) == (256, 64, 32, 32)
    assert found.warning is not None
    sentence = "Tiles of 250 px with padding 30 .* the 32 px .* tiles of 256 px with padding 32"
    assert re.match(sentence, found.warning)


@given(st.integers(3, 9), st.integers(0, 9), st.integers(0, 2000))
def test_classes_are_cropped_without_a_word_whatever_the_network_sees(
    tile: int, stride: int, radius: int
) -> None:
    stride = 2 ** min(tile, stride)
    found = chosen(ReceptiveField(stride, radius), tile=2**tile, categorical=True)
    Axis(10_000, found.tile, found.overlap, found.padding, found.step)
    assert found.tile == 2**tile
    assert found.overlap == 2 * found.padding
    assert found.padding % found.step == 0
    assert found.warning is None


def test_padding_stays_where_tiles_are_no_larger_than_the_stride() -> None:
    for blend in ("auto", "crop"):
        assert chosen(ReceptiveField(256, 765), padding=40, blend=blend) == Tiling(256, 80, 40)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"blend": "mean"}, "blend is 'mean'; give 'auto', 'hann' or 'crop'"),
        ({"blend": "hann", "categorical": True}, "the output is classes, which a blend would mix"),
        (
            {"blend": "crop", "overlap": 30, "padding": 5},
            "overlap is 30 and padding 5, but cropped tiles overlap by twice the padding",
        ),
    ],
)
@pytest.mark.parametrize("field", [None, ReceptiveField(64, 127)])
def test_what_contradicts_itself_is_said_without_a_warning_before(
    field: ReceptiveField | None, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        chosen(field, **options)


def found_by(radius: int, threshold: float) -> Any:
    """Return a search for things above a threshold, which marks what is near them."""
    spread = box_filter(radius)

    def apply(batch: Batch) -> Batch:
        found: Batch = spread((batch > threshold).astype(np.float32))
        return found

    return apply


def test_rare_things_are_seen_across_the_edges_of_tiles(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    data = np.random.default_rng(0).integers(400, 600, (1, 700, 700)).astype("int16")
    data[0, 300, 250] = 3000  # beside where tiles without overlap would meet, far from the sample
    search = found_by(15, 2500)
    result = translate_raster(
        write_raster("a.tif", data), tmp_path / "b.tif", search, bands_out=1, progress=False
    )
    with rasterio.open(result) as dataset:
        found = dataset.read()
    beyond = (slice(None), slice(280, 320), slice(256, 300))
    np.testing.assert_array_equal(found[beyond], search(data[None].astype(np.float32))[0][beyond])
