"""Resampling of tiles to the pixel size of the training and of translations back."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from geotranslate.checks import number, shown
from geotranslate.errors import InvalidInputError
from geotranslate.raster.reader import reflected

Resolution: TypeAlias = "float | Literal['auto', 'training', 'source']"

CLOSE = 2e-3
"""Relative error of a ratio of pixel sizes that is accepted to keep the steps small."""


def checked_resolution(value: object) -> Resolution:
    """Return a pixel size in meters as a float, or the name of a choice.

    Raises:
        InvalidInputError: It is neither.
    """
    if isinstance(value, str):
        if value in ("auto", "training", "source"):
            return cast("Resolution", value)
        raise InvalidInputError(
            f"resolution is {shown(value)}; give 'auto', 'training', 'source' or a pixel size in "
            "meters."
        )
    return number("resolution", value, above=0)


@dataclass(frozen=True, slots=True)
class Resampling:
    """Ratio of pixel sizes: `step` pixels of a scene become whole pixels of the training.

    Pixels are interpolated as in training: bilinear with antialiasing, or nearest for classes.
    Weights depend on the place of a pixel within a step alone, so that an image shifted by a step
    has the same values to the last bit.
    """

    step: int
    """Pixels of the scene along either axis."""
    rows: int
    """Rows in training for `step` rows of the scene, a multiple of the network's stride."""
    cols: int
    """Columns in training for `step` columns of the scene."""

    @classmethod
    def of(cls, across: float, down: float, stride: int, *, whole: int = 1) -> Resampling:
        """Return the resampling with small steps that is close to some ratios.

        Args:
            across: Pixels in training for each pixel of the scene, along rows.
            down: The same along columns.
            stride: Factor by which images shrink inside the network.
            whole: Number of which the step is a multiple.
        """
        enough = math.ceil(stride / (2 * min(across, down) * CLOSE)) + 1
        steps = whole * np.arange(1, enough + 1)
        counts = [np.maximum(np.rint(steps * f / stride), 1) * stride for f in (down, across)]
        errors = np.maximum(
            *(abs(n / (steps * f) - 1) for n, f in zip(counts, (down, across), strict=True))
        )
        first = int(np.argmax(errors <= CLOSE))
        # A slightly larger step may be exact.
        near = errors[first : first + 1 + steps[first] // 50]
        at = first + int(np.argmin(near))
        return cls(int(steps[at]), int(counts[0][at]), int(counts[1][at]))

    @property
    def ratios(self) -> tuple[float, float]:
        """Pixels in training for each pixel of the scene, along rows and along columns."""
        return self.cols / self.step, self.rows / self.step

    @property
    def transposed(self) -> Resampling:
        """The resampling of images whose rows and columns are swapped."""
        return Resampling(self.step, self.cols, self.rows)

    def radius(self, radius: int | None) -> int | None:
        """Return the radius in pixels of the scene, given a network's in pixels of the training."""
        if radius is None:
            return None
        return max(math.ceil((max(1, f) + radius) / f + max(1, 1 / f)) + 1 for f in self.ratios)

    def side(self, tile: int) -> int:
        """Return the longer side in training of a tile of the scene, px."""
        return -(-tile // self.step) * max(self.rows, self.cols)

    def forth(self, image: NDArray[Any], *, nearest: bool) -> NDArray[Any]:
        """Return `(n, bands, rows, cols)` in the pixel size of the training.

        The image is extended by reflection to whole steps first.
        """
        rows, cols = (
            reflected(0, -(-size // self.step) * self.step, size) for size in image.shape[-2:]
        )
        whole = image
        if (len(rows), len(cols)) != image.shape[-2:]:
            whole = image[..., rows[:, None], cols]
        down = resampled(whole, -2, self.step, self.rows, nearest=nearest)
        return resampled(down, -1, self.step, self.cols, nearest=nearest)

    def back(self, image: NDArray[Any], size: tuple[int, int], *, nearest: bool) -> NDArray[Any]:
        """Return an image in the pixel size of the scene, cut to rows and columns."""
        down = resampled(image, -2, self.rows, self.step, nearest=nearest)
        both = resampled(down, -1, self.cols, self.step, nearest=nearest)
        return both[..., : size[0], : size[1]]


def resampled(
    image: NDArray[Any], axis: int, before: int, after: int, *, nearest: bool
) -> NDArray[Any]:
    """Return an image with `after` pixels for every `before` pixels along an axis.

    The result is the one of `torch.nn.functional.interpolate` with `mode="bilinear"` and
    `antialias=True`, or with `mode="nearest-exact"`, up to rounding. Pixels are added in the same
    order everywhere.

    Args:
        image: `(n, bands, rows, cols)`; the axis has a multiple of `before` pixels.
        axis: -2 for rows or -1 for columns.
        before: Pixels of the image in a step.
        after: Pixels of the result in a step.
        nearest: Whether to take the nearest pixel, for classes.
    """
    if before == after:
        return image
    size = image.shape[axis]
    common = math.gcd(before, after)
    before, after = before // common, after // common
    if nearest:
        centers = np.arange(size // before * after)
        return image.take((2 * centers + 1) * before // (2 * after), axis)
    places, weights = _taps(size, before, after)
    shape = (-1, 1) if axis == -2 else (-1,)
    total: NDArray[Any] | None = None
    for place, weight in zip(places, weights, strict=True):
        share = image.take(place, axis)
        share *= weight.reshape(shape)
        if total is None:
            total = share
        else:
            total += share
    assert total is not None
    return total


@functools.lru_cache(maxsize=64)
def _taps(size: int, before: int, after: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the pixels that each pixel of the result is the weighted mean of, and their weights.

    Returns:
        Places and weights `(taps, pixels of the result)`.
    """
    ratio = before / after
    support = max(ratio, 1.0)
    # Offsets within one step, which repeat in all others.
    centers = (np.arange(after) + 0.5) * ratio
    firsts = np.floor(centers - support + 0.5).astype(np.int64)
    taps = np.arange(math.ceil(2 * support) + 1)
    offsets = firsts + taps[:, None]
    distances = np.abs(offsets + 0.5 - centers) / support
    shares = np.where(distances < 1 - 1e-9, 1 - distances, 0)
    steps = size // before
    places = (offsets[:, None] + (np.arange(steps) * before)[:, None]).reshape(len(taps), -1)
    weights = np.tile(shares, (1, steps))
    weights = np.where((places >= 0) & (places < size), weights, 0)
    weights = (weights / weights.sum(axis=0)).astype(np.float32)
    used = weights.any(axis=1)
    return np.clip(places, 0, size - 1)[used], weights[used]
