"""Test-time augmentation: the mean of the translations of a tile in its eight orientations."""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from geotranslate.checks import shown
from geotranslate.chips.bands import Side
from geotranslate.errors import InvalidInputError
from geotranslate.raster.pipeline import SceneTiles

Tta: TypeAlias = "bool | Literal['std']"


class TileFunction(Protocol):
    """A function that translates batches, with its receptive field; see `Inference`."""

    @property
    def stride(self) -> int:
        """Factor by which tiles shrink inside the network, px."""

    @property
    def radius(self) -> int | None:
        """Radius of the receptive field, px; None for the whole tile."""

    def __call__(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Translate `(n, bands, rows, cols)`."""


@runtime_checkable
class TilePrescan(Protocol):
    """A function of tiles that measures the scene first; see `NeedsPrescan`."""

    @property
    def stride(self) -> int:
        """Factor by which tiles shrink inside the network, px."""

    @property
    def radius(self) -> int | None:
        """Radius of the receptive field, px; None for the whole tile."""

    def prescan(self, scene: SceneTiles) -> TileFunction:
        """Measure the scene, and return the function of its tiles."""


class Symmetric:
    """Mean of the translations of a tile in its eight orientations, each rotated back.

    The result has no preferred direction: a rotated tile has the rotated translation.

    Args:
        apply: Function that translates batches.
        spread: Whether to add a band with the standard deviation of the eight translations, in the
            target's units, averaged over the bands.
        transposed: Function for tiles turned by 90 degrees, if it is another one.
    """

    any_shape = True

    def __init__(
        self,
        apply: TileFunction,
        *,
        spread: bool = False,
        transposed: TileFunction | None = None,
    ) -> None:
        self.apply, self.spread = apply, spread
        self.transposed = apply if transposed is None else transposed
        self.stride, self.radius = apply.stride, apply.radius

    def __call__(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Translate `(n, bands, rows, cols)`, one orientation after the other."""
        first = self._turned(batch, 0, mirrored=False).astype(np.float64)
        # Differences from the first, so that the mean of equal values is exactly that value.
        total, squares = np.zeros_like(first), np.zeros_like(first)
        for turns, mirrored in [(n, m) for n in range(4) for m in (False, True)][1:]:
            difference = self._turned(batch, turns, mirrored=mirrored) - first
            total += difference
            squares += difference**2
        mean = (first + total / 8).astype(np.float32)
        if not self.spread:
            return mean
        variance = np.maximum(squares / 8 - (total / 8) ** 2, 0)
        deviation = np.sqrt(variance).mean(axis=1, keepdims=True, dtype=np.float64)
        return np.concatenate([mean, deviation.astype(np.float32)], axis=1)

    def _turned(self, batch: NDArray[Any], turns: int, *, mirrored: bool) -> NDArray[np.float32]:
        seen = np.rot90(batch, turns, (-2, -1))
        seen = seen[..., ::-1] if mirrored else seen
        apply = self.transposed if turns % 2 else self.apply
        translated = apply(np.ascontiguousarray(seen))
        translated = translated[..., ::-1] if mirrored else translated
        return np.rot90(translated, -turns, (-2, -1))


def check_tta(tta: object, target: Side) -> None:
    """Check a test-time augmentation.

    Raises:
        InvalidInputError: `tta` is not True, False or "std", or the targets are classes.
    """
    if not isinstance(tta, bool | str) or tta not in (False, True, "std"):
        raise InvalidInputError(f'tta is {shown(tta)}; give True, False or "std".')
    if tta and target.classes is not None:
        raise InvalidInputError(
            "tta averages translations, but the targets are classes, whose numbers have no "
            "mean; translate without it."
        )
