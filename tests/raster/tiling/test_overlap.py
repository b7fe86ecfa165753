from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from geotranslate.errors import GeotranslateWarning, InvalidInputError
from geotranslate.raster.pipeline.translate import translate_raster
from geotranslate.raster.reader import RasterReader
from geotranslate.raster.tiling.axis import Axis
from geotranslate.raster.tiling.overlap import (
    ReceptiveField,
    Tiling,
    choose_tiling,
    receptive_field_of,
    sample_of,
)
from tests.conftest import WriteRaster

Batch = NDArray[np.float32]


def box_filter(radius: int) -> Any:
    """Return a filter that sees `radius` pixels far."""

    def apply(batch: Batch) -> Batch:
        padded = np.pad(batch, ((0, 0), (0, 0), (radius, radius), (radius, radius)), "reflect")
        total = np.zeros_like(batch)
        rows, cols = batch.shape[2:]
        for i in range(2 * radius + 1):
            for j in range(2 * radius + 1):
                total += padded[:, :, i : i + rows, j : j + cols]
        return total

    return apply


def blocks(stride: int) -> Any:
    """Return a network that replaces blocks by their means."""

    def apply(batch: Batch) -> Batch:
        count, bands, rows, cols = batch.shape
        cut = batch.reshape(count, bands, rows // stride, stride, cols // stride, stride)
        means = cut.mean(axis=(3, 5), keepdims=True)
        return np.broadcast_to(means, cut.shape).reshape(batch.shape).copy()

    return apply


SAMPLE = np.random.default_rng(0).normal(size=(2, 64, 64)).astype(np.float32)


@pytest.mark.parametrize("radius", [0, 1, 5, 12])
def test_radius_of_a_filter_is_found(radius: int) -> None:
    assert receptive_field_of(box_filter(radius), lambda: SAMPLE, Fraction(1)) == ReceptiveField(
        1, radius
    )


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_stride_of_a_network_is_found(stride: int) -> None:
    found = receptive_field_of(blocks(stride), lambda: SAMPLE, Fraction(1))
    assert found is not None
    assert found.stride == stride
    assert found.radius is not None
    assert found.radius <= stride


@pytest.mark.parametrize("factor", [Fraction(2), Fraction(1, 2)])
def test_reach_of_an_output_of_another_scale_is_in_source_pixels(factor: Fraction) -> None:
    smooth = box_filter(3)

    def apply(batch: Batch) -> Batch:
        found: Batch = smooth(batch)
        if factor > 1:
            return found.repeat(2, axis=2).repeat(2, axis=3)
        return found[:, :, ::2, ::2]

    reach = receptive_field_of(apply, lambda: SAMPLE, factor)
    assert reach is not None
    assert reach.radius in (3, 4)
    assert reach.stride == (1 if factor > 1 else 2)


def normalise(batch: Batch) -> Batch:
    return batch - batch.mean(axis=(2, 3), keepdims=True)


def test_normalisation_that_sees_the_tile_is_found() -> None:
    found = receptive_field_of(normalise, lambda: SAMPLE, Fraction(1))
    assert found is not None
    assert found.radius is None


def test_what_differs_from_call_to_call_is_unknown() -> None:
    chance = np.random.default_rng(0)
    noisy = lambda batch: batch + chance.normal(size=batch.shape)  # noqa: E731
    assert receptive_field_of(noisy, lambda: SAMPLE, Fraction(1)) is None


def test_what_fails_is_unknown() -> None:
    def fail(batch: Batch) -> Batch:
        raise ZeroDivisionError

    assert receptive_field_of(fail, lambda: SAMPLE, Fraction(1)) is None


def test_what_is_declared_is_not_probed() -> None:
    class Network:
        stride, radius = 32, 79

        def __call__(self, batch: Batch) -> Batch:
            raise AssertionError("probed")

    assert receptive_field_of(Network(), lambda: SAMPLE, Fraction(1)) == ReceptiveField(32, 79)


def chosen(
    reach: ReceptiveField | None = None,
    *,
    tile: int = 256,
    overlap: int | None = None,
    padding: int | None = None,
    blend: Any = "auto",
    categorical: bool = False,
) -> Tiling:
    return choose_tiling(tile, overlap, padding, blend, lambda: reach, categorical=categorical)


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


@pytest.mark.parametrize("reach", [None, ReceptiveField(1, None), ReceptiveField(256, 383)])
def test_auto_blends_where_cropping_would_show(reach: ReceptiveField | None) -> None:
    assert chosen(reach) == Tiling(256, 64, 0)


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


def test_sizes_that_miss_the_stride_are_rounded_up_and_said() -> None:
    sentence = "Tiles of 250 px with padding 30 .* the 32 px .* tiles of 256 px with padding 32"
    with pytest.warns(GeotranslateWarning, match=sentence):
        found = chosen(ReceptiveField(32, 60), tile=250, padding=30)
    said: list[str] = []
    with pytest.warns(GeotranslateWarning, match=sentence) as caught:
        choose_tiling(250, None, 30, "crop", lambda: ReceptiveField(32, 60), said=said)
    assert said == [str(warning.message) for warning in caught]
    assert found == Tiling(256, 64, 32, 32)


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
@pytest.mark.parametrize("reach", [None, ReceptiveField(64, 127)])
def test_what_contradicts_itself_is_said_without_a_warning_before(
    reach: ReceptiveField | None, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        chosen(reach, **options)


def found_by(radius: int, threshold: float) -> Any:
    """Return a search for things above a threshold, which marks what is near them."""
    spread = box_filter(radius)

    def apply(batch: Batch) -> Batch:
        found: Batch = spread((batch > threshold).astype(np.float32))
        return found

    return apply


@pytest.mark.parametrize("threshold", [6.0, 7.0, np.inf])
def test_what_answers_seldom_is_unknown(threshold: float) -> None:
    assert receptive_field_of(found_by(9, threshold), lambda: SAMPLE, Fraction(1)) is None


@pytest.mark.parametrize("threshold", np.arange(-1, 7.1, 0.2))
def test_what_answers_at_times_is_known_rightly_or_unknown(threshold: float) -> None:
    found = receptive_field_of(found_by(9, threshold), lambda: SAMPLE, Fraction(1))
    assert found == ReceptiveField(1, 9) or (found is None and threshold > 4)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("first", [True, False])
def test_sample_is_taken_where_the_scene_is_valid(
    write_raster: WriteRaster, axis: int, first: bool
) -> None:
    data = np.zeros((1, 400, 600), np.int16)
    strip = [slice(None)] * 3
    strip[1 + axis] = slice(0, 100) if first else slice(-100, None)
    data[tuple(strip)] = 7
    with RasterReader(write_raster("a.tif", data, nodata=0)) as source:
        assert (sample_of(source, 64, -5) == 7).mean() > 0.5
    with RasterReader(write_raster("b.tif", np.zeros_like(data), nodata=0)) as source:
        np.testing.assert_array_equal(sample_of(source, 64, -5), np.full((1, 64, 64), -5))


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
