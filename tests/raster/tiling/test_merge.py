from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from geotranslate.raster.tiling.axis import Axis
from geotranslate.raster.tiling.merge import RowBuffer
from geotranslate.raster.tiling.mismatch import EVERY, Mismatch
from geotranslate.raster.tiling.region import Region
from geotranslate.raster.tiling.tile_plan import BLOCK

Floats = NDArray[np.float32]


def whole(rows: Axis, cols: Axis) -> Region:
    return Region(0, rows.size, 0, cols.size)


def merge(band: RowBuffer, tiles: dict[tuple[int, int], Floats]) -> Floats:
    """Merge the tiles that a region needs; check how the rows come."""
    done, tops = [], []
    for row in band.tile_rows:
        band.begin(np.ones((band.rows.tile, band.strip.shape[2]), bool))
        for col in band.tile_cols:
            band.add(row, col, tiles[row, col])
        for top, data, valid in band.finish(row):
            assert valid.all()
            tops.append(top)
            done.append(data.copy())
    assert tops[0] == band.region.top
    assert all((below - above) % BLOCK == 0 for above, below in pairwise(tops))
    return np.concatenate(done, axis=1)


def cut(image: Floats, rows: Axis, cols: Axis) -> dict[tuple[int, int], Floats]:
    """Cut an image into tiles."""
    missing = rows.padded - rows.size, cols.padded - cols.size
    padded = np.pad(image, ((0, 0), (0, missing[0]), (0, missing[1])))
    return {
        (row, col): padded[:, top : top + rows.tile, left : left + cols.tile]
        for row, top in enumerate(rows.starts)
        for col, left in enumerate(cols.starts)
    }


def noise(rows: Axis, cols: Axis, bands: int = 1) -> dict[tuple[int, int], Floats]:
    """Return tiles that do not fit each other."""
    chance = np.random.default_rng(0)
    return {
        (row, col): chance.normal(size=(bands, rows.tile, cols.tile)).astype(np.float32)
        for row in range(len(rows))
        for col in range(len(cols))
    }


@given(
    st.integers(1, 700), st.integers(1, 90), st.integers(1, 32), st.floats(0, 0.5), st.booleans()
)
def test_tiles_of_an_image_merge_into_the_image_to_the_last_bit(
    height: int, width: int, tile: int, share: float, crop: bool
) -> None:
    image = np.random.default_rng(height).normal(size=(2, height, width)).astype(np.float32) * 1e4
    overlap = int(tile * share)
    padding = min(overlap, tile - 1) // 2 if crop else 0
    overlap = 2 * padding if crop else overlap
    rows, cols = Axis(height, tile, overlap, padding), Axis(width, tile, overlap, padding)
    merged = merge(RowBuffer(2, rows, cols, whole(rows, cols)), cut(image, rows, cols))
    assert merged.tobytes() == image.tobytes()


@pytest.mark.parametrize(("overlap", "padding"), [(3, 0), (8, 0), (8, 2), (9, 4)])
def test_merge_equals_the_weighted_mean_over_the_whole_image(overlap: int, padding: int) -> None:
    rows, cols = Axis(61, 16, overlap, padding), Axis(45, 16, overlap, padding)
    tiles = noise(rows, cols)
    total, weight = np.zeros((61, 45)), np.zeros((61, 45))
    for (row, col), tile in tiles.items():
        at = np.s_[rows.starts[row] :, cols.starts[col] :]
        window = np.outer(rows.window(row), cols.window(col))
        total[at][:16, :16] += window * tile[0]
        weight[at][:16, :16] += window
    merged = merge(RowBuffer(1, rows, cols, whole(rows, cols)), tiles)
    np.testing.assert_allclose(merged[0], total / weight, atol=1e-5)


@given(
    st.integers(0, 199), st.integers(1, 200), st.integers(0, 99), st.integers(1, 100), st.booleans()
)
def test_region_is_cut_from_the_whole_to_the_last_bit(
    top: int, height: int, left: int, width: int, crop: bool
) -> None:
    rows, cols = (Axis(size, 32, 8, 4 if crop else 0) for size in (200, 100))
    tiles = noise(rows, cols, bands=2)
    everything = merge(RowBuffer(2, rows, cols, whole(rows, cols)), tiles)
    region = Region(top, min(top + height, 200), left, min(left + width, 100))
    found = merge(RowBuffer(2, rows, cols, region), tiles)
    expected = everything[:, region.top : region.bottom, region.left : region.right]
    assert found.tobytes() == expected.tobytes()


def mismatch_of(
    rows: Axis, cols: Axis, tiles: dict[tuple[int, int], Floats], regions: list[Region]
) -> Mismatch:
    total = Mismatch()
    for region in regions:
        band = RowBuffer(1, rows, cols, region)
        merge(band, tiles)
        total.merge(band.mismatches[0])
    return total


@settings(max_examples=30)
@given(
    st.integers(300, 700),
    st.sampled_from([(32, 8, 0), (64, 32, 0), (100, 30, 0), (64, 0, 0), (64, 20, 10), (80, 16, 4)]),
    st.sampled_from([BLOCK, 2 * BLOCK]),
    st.integers(0, 30),
)
def test_mismatch_of_parts_and_stripes_is_that_of_the_whole(
    size: int, tiling: tuple[int, int, int], step: int, first: int
) -> None:
    rows, cols = Axis(size, *tiling), Axis(size + 7, *tiling)
    tiles = noise(rows, cols)
    regions = [
        Region(top, min(top + step, rows.size), left, min(left + step, cols.size))
        for top in range(first, rows.size, step)
        for left in range(first, cols.size, step)
    ]
    once = mismatch_of(rows, cols, tiles, [Region(first, rows.size, first, cols.size)])
    assert mismatch_of(rows, cols, tiles, regions).to_json() == once.to_json()


@pytest.mark.parametrize("first", range(6))
def test_seam_of_cropped_tiles_on_the_edge_of_a_part_is_counted_once(first: int) -> None:
    rows = cols = Axis(610, 64, 8, 4)
    tiles = noise(rows, cols)
    seam = rows.starts[4] + 2 + first
    once = mismatch_of(rows, cols, tiles, [Region(0, 610, 0, 610)])
    pieces = [
        Region(top, bottom, left, right)
        for top, bottom in pairwise((0, seam, 610))
        for left, right in pairwise((0, seam, 610))
    ]
    assert mismatch_of(rows, cols, tiles, pieces).to_json() == once.to_json()


def test_mismatch_is_that_of_the_tiles_where_they_overlap() -> None:
    """Two tiles that differ by 3: so do all pixels that are compared."""
    rows, cols = Axis(32, 32, 8), Axis(56, 32, 8)
    band = RowBuffer(1, rows, cols, whole(rows, cols))
    merge(band, {(0, col): np.full((1, 32, 32), 3 * col, np.float32) for col in (0, 1)})
    found = band.mismatches[0]
    assert (found.mean, found.count) == (3, 8 * 32 / EVERY)


def test_mismatch_is_that_of_the_part_that_the_rows_are_in() -> None:
    rows, cols = Axis(1024, 32, 8), Axis(56, 32, 8)
    band = RowBuffer(1, rows, cols, whole(rows, cols), lambda row: row // 512)
    merge(band, noise(rows, cols))
    assert set(band.mismatches) == {0, 1}
    counts = [band.mismatches[part].count for part in (0, 1)]
    assert counts[0] == pytest.approx(counts[1], rel=0.1)


def test_invalid_pixels_have_no_mismatch() -> None:
    rows, cols = Axis(32, 32, 8), Axis(56, 32, 8)
    band = RowBuffer(1, rows, cols, whole(rows, cols))
    band.begin(np.zeros((32, 56), bool))
    for col in (0, 1):
        band.add(0, col, np.full((1, 32, 32), col, np.float32))
    assert band.mismatches[0].mean is None


def test_memory_does_not_grow_with_the_height() -> None:
    axes = [(Axis(size, 64, 16), Axis(500, 64, 16)) for size in (1_000, 100_000)]
    low, high = (RowBuffer(3, *both, whole(*both)) for both in axes)
    assert low.values.nbytes + low.strip.nbytes == high.values.nbytes + high.strip.nbytes
