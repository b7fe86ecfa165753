from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from geotranslate.prediction.tta import Symmetric
from tests.conftest import values


class Made:
    """A function of tiles that says how far it sees."""

    stride, radius = 8, 5

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        return self.function(batch).astype(np.float32)


def slanted(batch: NDArray[Any]) -> NDArray[Any]:
    """Answer with two bands that depend on where up and left are."""
    ramp = np.linspace(1, 3, batch.shape[-1]) + np.linspace(0, 5, batch.shape[-2])[:, None]
    return np.stack([batch[:, 0] * ramp, np.roll(batch[:, 0], 3, axis=-1)], axis=1)


@pytest.mark.parametrize("shape", [(1, 1, 8, 8), (3, 2, 16, 16), (2, 1, 5, 9)])
@pytest.mark.parametrize("spread", [False, True])
def test_functions_without_direction_come_out_as_they_are(
    shape: tuple[int, ...], spread: bool
) -> None:
    batch = values(shape, "float32")
    found = Symmetric(Made(lambda tiles: tiles * 3 - 1), spread=spread)(batch)
    np.testing.assert_array_equal(found[:, : shape[1]], (batch * 3 - 1).astype(np.float32))
    if spread:
        assert found.shape[1] == shape[1] + 1
        assert not found[:, -1].any()


@given(st.integers(0, 3), st.booleans(), st.integers(0, 99))
def test_the_result_turns_with_the_tile(turns: int, mirrored: bool, seed: int) -> None:
    def turn(tiles: NDArray[Any]) -> NDArray[Any]:
        turned = np.rot90(tiles, turns, (-2, -1))
        return turned[..., ::-1] if mirrored else turned

    batch = np.random.default_rng(seed).normal(size=(2, 1, 12, 12)).astype(np.float32)
    apply = Symmetric(Made(slanted), spread=True)
    np.testing.assert_allclose(apply(turn(batch)), turn(apply(batch)), rtol=1e-5, atol=1e-6)


def test_deviation_is_that_of_the_eight_translations_averaged_over_the_bands() -> None:
    batch = values((2, 1, 6, 6), "uint8").astype(np.float32)
    turned = [
        (lambda tiles, n=n, m=m: np.rot90(tiles[..., ::-1] if m else tiles, n, (-2, -1)))
        for n in range(4)
        for m in (False, True)
    ]
    back = [
        (lambda tiles, n=n, m=m: np.rot90(tiles, -n, (-2, -1))[..., :: -1 if m else 1])
        for n in range(4)
        for m in (False, True)
    ]
    eight = np.stack([b(slanted(t(batch))) for t, b in zip(turned, back, strict=True)])
    found = Symmetric(Made(slanted), spread=True)(batch)
    np.testing.assert_allclose(found[:, :2], eight.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found[:, 2], eight.std(axis=0).mean(axis=1), rtol=1e-4)


def test_it_sees_as_far_as_what_it_wraps() -> None:
    apply = Symmetric(Made(slanted))
    assert (apply.stride, apply.radius) == (8, 5)
