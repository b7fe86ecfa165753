from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from geotranslate.raster.merge import RowBand
from geotranslate.raster.tiles import Axis


def merge(image: NDArray[np.float32], tile: int, overlap: int, block: int) -> NDArray[np.float32]:
    """Cut an image into tiles and merge them again."""
    bands, height, width = image.shape
    rows, cols = Axis(height, tile, overlap), Axis(width, tile, overlap)
    padded = np.pad(image, ((0, 0), (0, rows.padded - height), (0, cols.padded - width)))
    band = RowBand(bands, rows, cols, block)
    done = []
    for row, top in enumerate(rows.starts):
        for col, left in enumerate(cols.starts):
            band.add(row, col, padded[:, top : top + tile, left : left + tile])
        done.append(band.finished(row))
    assert all(part.shape[1] % block == 0 for part in done[:-1])
    return np.concatenate(done, axis=1)


@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.integers(1, 32),
    st.floats(0, 0.5),
    st.integers(1, 40),
)
def test_tiles_of_an_image_merge_into_the_image_to_the_last_bit(
    height: int, width: int, tile: int, share: float, block: int
) -> None:
    image = np.random.default_rng(height).normal(size=(2, height, width)).astype(np.float32) * 1e4
    merged = merge(image, tile, int(tile * share), block)
    assert merged.tobytes() == image.tobytes()


@pytest.mark.parametrize("overlap", [0, 3, 8])
def test_merge_equals_the_weighted_mean_over_the_whole_image(overlap: int) -> None:
    rows, cols = Axis(61, 16, overlap), Axis(45, 16, overlap)
    chance = np.random.default_rng(0)
    band = RowBand(1, rows, cols, 8)
    total, weight = np.zeros((61, 45)), np.zeros((61, 45))
    done = []
    for row, top in enumerate(rows.starts):
        for col, left in enumerate(cols.starts):
            tile = chance.normal(size=(1, 16, 16)).astype(np.float32)
            band.add(row, col, tile)
            at = np.s_[top : top + 16, left : left + 16]
            window = np.outer(rows.window(row), cols.window(col))
            if not overlap:
                window = window * (weight[at] == 0)
            total[at] += window * tile[0]
            weight[at] += window
        done.append(band.finished(row))
    np.testing.assert_allclose(np.concatenate(done, axis=1)[0], total / weight, atol=1e-5)


def test_memory_does_not_grow_with_the_height() -> None:
    low, high = (RowBand(3, Axis(size, 64, 16), Axis(500, 64, 16), 32) for size in (1_000, 100_000))
    assert low.band.nbytes + low.strip.nbytes == high.band.nbytes + high.strip.nbytes
