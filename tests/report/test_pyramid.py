from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from geotranslate.report.coloring import Coloring, Legend, color_of_numbers
from geotranslate.report.pyramid import Pyramid, halved
from tests.report.conftest import TILE, TOP, small_tiles

GRAY = Coloring((0, 1, 2), (0.0,) * 3, (255.0,) * 3, None, Legend())


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    small_tiles(monkeypatch)


def pixels(height: int, width: int, channels: int = 4, seed: int = 0) -> np.ndarray:
    found = np.random.default_rng(seed).integers(0, 256, (height, width, channels)).astype("uint8")
    found[..., -1] = np.where(found[..., -1] > 60, 255, 0)
    return found


@pytest.mark.parametrize("size", [(7, 5), (8, 8), (1, 9), (5, 130)])
def test_halves_are_means_of_valid_pixels(size: tuple[int, int]) -> None:
    given = pixels(*size)
    found = halved(given, classes=False)
    assert found.shape == (-(-size[0] // 2), -(-size[1] // 2), 4)
    for row, col in np.ndindex(found.shape[:2]):
        block = given[2 * row : 2 * row + 2, 2 * col : 2 * col + 2].reshape(-1, 4)
        valid = block[block[:, 3] > 0]
        assert (found[row, col, 3] == 255) == bool(len(valid))
        if len(valid):
            assert np.abs(found[row, col, :3] - valid[:, :3].mean(0)).max() <= 0.5
    assert (halved(given, classes=True) == given[::2, ::2]).all()


@pytest.mark.parametrize("size", [(TOP, 30), (2 * TOP + 10, 70), (60, 3 * TOP)])
def test_levels_are_halves_of_each_other(size: tuple[int, int]) -> None:
    coloring = color_of_numbers(np.array([0, 1, 2]))
    given = np.random.default_rng(1).integers(0, 3, (*size, 2)).astype("uint8")
    given[..., 1] = 255
    pyramid = Pyramid(*size, 10**9)
    pyramid.add("a", coloring, lambda start, stop: given[start:stop])
    layer, level = pyramid.layers["a"], given
    for number in range(pyramid.coarsest):
        for row in range(0, level.shape[0], TILE):
            for col in range(0, level.shape[1], TILE):
                text = base64.b64decode(layer.tiles[number, row // TILE, col // TILE])
                found = np.asarray(Image.open(io.BytesIO(text)).convert("RGB"))
                expected = level[row : row + TILE, col : col + TILE]
                assert (found == coloring.colored(expected)[..., :3]).all()
        level = halved(level, classes=True)
    assert (layer.top == level).all() and max(level.shape[:2]) <= TOP


def test_the_finest_levels_are_dropped_until_the_rest_fits() -> None:
    height, width = 2 * TOP, 2 * TOP
    given = pixels(height, width)
    sizes = []
    for budget in (10**9, 100_000, 40_000, 9_000):
        pyramid = Pyramid(height, width, budget)
        for key in "ab":
            pyramid.add(key, GRAY, lambda start, stop: given[start:stop])
        pyramid.fit(budget)
        assert pyramid.bytes <= budget
        levels = {place[0] for each in pyramid.layers.values() for place in each.tiles}
        assert min(levels, default=pyramid.finest) >= pyramid.finest
        sizes.append(pyramid.bytes)
    assert sizes == sorted(sizes, reverse=True)


def test_tiles_without_a_valid_pixel_are_left_out() -> None:
    given = pixels(TOP + 10, TOP + 10)
    given[:TILE, :TILE, 3] = 0
    pyramid = Pyramid(TOP + 10, TOP + 10, 10**9)
    pyramid.add("a", GRAY, lambda start, stop: given[start:stop])
    assert (0, 0, 0) not in pyramid.layers["a"].tiles and (0, 0, 1) in pyramid.layers["a"].tiles
