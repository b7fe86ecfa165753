"""SSIM, MS-SSIM and the universal image quality index in every window of a piece of a scene."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from geotranslate.evaluation.windows import Core

Array: TypeAlias = "NDArray[np.float64]"
Mask: TypeAlias = "NDArray[np.bool_]"

WINDOW, SIGMA = 11, 1.5
STABILITY = (0.01, 0.03)
"""K1 and K2 of Wang et al. 2004."""
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the scales, of Wang et al. 2003."""
SQUARE = 8
"""Side of the windows of the universal image quality index, px."""
CONSTANT = 1e-12
"""Share of the squares below which a variance is rounding error."""


@dataclass(frozen=True)
class WindowMap:
    """A measure of all windows, each at the pixel in its middle."""

    name: str
    scale: int
    """Number of halvings of the scene."""
    values: Array
    """`(bands, rows, cols)` of the counted pixels, 0 where no window counts."""
    counted: Mask
    """Whether a window counts, `(rows, cols)`: it lies in the scene and has no invalid pixel."""

    def at(self, mask: Mask) -> Mask:
        """Return a mask of the counted pixels of the scene, `(rows, cols)`, at this scale."""
        step = 2**self.scale
        rows, cols = self.counted.shape
        # Of the pixels that were averaged, the one below and to the right of their middle decides.
        return mask[step // 2 :: step, step // 2 :: step][:rows, :cols]

    def cut(self, rows: slice, cols: slice) -> WindowMap:
        """Return the windows in the middle of pixels that begin at multiples of 16."""
        at = tuple(
            slice(each.start >> self.scale, each.stop >> self.scale) for each in (rows, cols)
        )
        return WindowMap(
            self.name, self.scale, self.values[:, at[0], at[1]], self.counted[at[0], at[1]]
        )


def similarity_maps(
    prediction: Array, reference: Array, valid: Mask, core: Core, ranges: Sequence[float]
) -> Iterator[WindowMap]:
    """Yield the measures of all windows in the middle of a piece of a scene.

    They are `ssim` at the first scale, `contrast` at all scales but the last, `ssim` at the last,
    and `uqi`.

    Args:
        prediction: `(bands, rows, cols)` of what was read.
        reference: The same.
        valid: `(rows, cols)`.
        core: The window that was read.
        ranges: For each band the range of its values.
    """
    pair, gap = np.where(valid, np.stack([prediction, reference]), 0), ~valid
    size = int(core.inside.height), int(core.inside.width)
    row, col = core.offset
    yield _uqi_map(pair, gap, (row, col), size)
    for scale in range(len(SCALE_WEIGHTS)):
        place, extent = (row >> scale, col >> scale), (size[0] >> scale, size[1] >> scale)
        yield from _ssim_maps(pair, gap, place, extent, ranges, scale)
        pair, gap = _halved(pair, gap)


def _ssim_maps(
    pair: Array,
    gap: Mask,
    place: tuple[int, int],
    size: tuple[int, int],
    ranges: Sequence[float],
    scale: int,
) -> Iterator[WindowMap]:
    part = _Part.around(gap.shape, place, size, (WINDOW // 2, WINDOW // 2))
    counted = part.pasted(_whole(part.cut(gap), WINDOW)[None])[0] > 0
    bands = pair.shape[1]
    ssim, contrast = np.zeros((2, bands, *size))
    for band in range(bands) if counted.any() else ():
        found = _ssim(part.cut(pair[0, band]), part.cut(pair[1, band]), ranges[band])
        for kept, values in zip((ssim, contrast), found, strict=True):
            kept[band] = np.where(counted, part.pasted(values[None])[0], 0)
    last = scale == len(SCALE_WEIGHTS) - 1
    if scale == 0 or last:
        yield WindowMap("ssim", scale, ssim, counted)
    if not last:
        yield WindowMap("contrast", scale, contrast, counted)


def _uqi_map(pair: Array, gap: Mask, place: tuple[int, int], size: tuple[int, int]) -> WindowMap:
    part = _Part.around(gap.shape, place, size, (SQUARE // 2, SQUARE // 2 - 1))
    counted = part.pasted(_whole(part.cut(gap), SQUARE)[None])[0] > 0
    values = np.zeros((pair.shape[1], *size))
    for band in range(len(values)) if counted.any() else ():
        found = part.pasted(_uqi(part.cut(pair[0, band]), part.cut(pair[1, band]))[None])[0]
        values[band] = np.where(counted, found, 0)
    return WindowMap("uqi", 0, values, counted)


@dataclass(frozen=True)
class _Part:
    """The pixels that the windows of a core depend on, and the place of the windows in the core."""

    rows: slice
    cols: slice
    top: int
    left: int
    size: tuple[int, int]

    @classmethod
    def around(
        cls,
        shape: tuple[int, ...],
        place: tuple[int, int],
        size: tuple[int, int],
        reach: tuple[int, int],
    ) -> _Part:
        """Return the part of what was read that a core depends on.

        Args:
            shape: Rows and columns that were read.
            place: First row and column of the core.
            size: Rows and columns of the core.
            reach: Pixels of a window before and behind its middle.
        """
        spans = []
        for axis in (0, 1):
            first = max(place[axis] - reach[0], 0)
            spans.append(slice(first, min(place[axis] + size[axis] + reach[1], shape[axis])))
        top, left = (spans[axis].start + reach[0] - place[axis] for axis in (0, 1))
        return cls(spans[0], spans[1], top, left, size)

    def cut(self, image: Any) -> Any:
        """Return the part of an image `(rows, cols)`."""
        return image[self.rows, self.cols]

    def pasted(self, windows: NDArray[Any]) -> Array:
        """Return values of the windows `(bands, rows, cols)` at their place in the core."""
        found = np.zeros((len(windows), *self.size))
        rows, cols = windows.shape[1:]
        found[:, self.top : self.top + rows, self.left : self.left + cols] = windows
        return found


def _whole(gap: Mask, side: int) -> Mask:
    """Return for each window of an image whether it has no gap."""
    rows, cols = (max(size - side + 1, 0) for size in gap.shape)
    if not rows or not cols or not gap.any():
        return np.ones((rows, cols), bool)
    across = np.logical_or.reduce([gap[:, i : i + cols] for i in range(side)])
    return ~np.logical_or.reduce([across[i : i + rows] for i in range(side)])


def _halved(pair: Array, gap: Mask) -> tuple[Array, Mask]:
    """Return the means of 2 x 2 px; a last odd row or column is left out."""
    rows, cols = (size // 2 * 2 for size in gap.shape)
    means: Array = pair[..., :rows:2, :cols:2] + pair[..., :rows:2, 1:cols:2]
    means += pair[..., 1:rows:2, :cols:2] + pair[..., 1:rows:2, 1:cols:2]
    gaps = gap[:rows:2, :cols:2] | gap[:rows:2, 1:cols:2]
    gaps |= gap[1:rows:2, :cols:2] | gap[1:rows:2, 1:cols:2]
    return np.where(gaps, 0, means / 4), gaps


def _ssim(x: Array, y: Array, peak: float) -> tuple[Array, Array]:
    """Return SSIM and its contrast and structure term in every window of two images."""
    first, second = ((k * peak) ** 2 for k in STABILITY)
    mean_x, mean_y = _blurred(x), _blurred(y)
    both, apart = mean_x * mean_y, mean_x**2 + mean_y**2
    # The variance of a constant image is rounding error, which may be below 0.
    spread = np.maximum(_blurred(x * x + y * y) - apart, 0)
    with np.errstate(invalid="ignore", divide="ignore"):  # a range of 0
        contrast = (2 * (_blurred(x * y) - both) + second) / (spread + second)
        return (2 * both + first) / (apart + first) * contrast, contrast


def _gaussian() -> tuple[float, ...]:
    weights = [math.exp(-0.5 * (i / SIGMA) ** 2) for i in range(WINDOW // 2 + 1)]
    total = 2 * sum(weights) - weights[0]
    return tuple(weight / total for weight in weights)


WEIGHTS = _gaussian()
"""Weights of a pixel and of those on both sides of it."""


def _blurred(image: Array) -> Array:
    """Return Gaussian means of all windows of an image, along one axis after the other."""
    half = WINDOW // 2
    for axis in (0, 1):
        size = image.shape[axis] - 2 * half
        found = _along(image, axis, half, size) * WEIGHTS[0]
        pair = np.empty_like(found)
        for step in range(1, half + 1):
            before, behind = (_along(image, axis, half + way * step, size) for way in (-1, 1))
            np.add(before, behind, out=pair)
            pair *= WEIGHTS[step]
            found += pair
        image = found
    return image


def _along(image: Array, axis: int, first: int, size: int) -> Array:
    """Return `size` rows or columns of an image from the first one on."""
    return image[first : first + size] if axis == 0 else image[:, first : first + size]


def _uqi(x: Array, y: Array) -> Array:
    """Return the universal image quality index of every window of two images.

    After Wang and Bovik 2002, the product of likeness of the means and of likeness of the
    variations, either of which is 1 if it is 0 in both images.
    """
    mean_x, mean_y, square_x, square_y, product = (
        _summed(image) / SQUARE**2 for image in (x, y, x * x, y * y, x * y)
    )
    variance_x, variance_y = square_x - mean_x**2, square_y - mean_y**2
    flat_x, flat_y = variance_x <= CONSTANT * square_x, variance_y <= CONSTANT * square_y
    spread = np.where(flat_x, 0, variance_x) + np.where(flat_y, 0, variance_y)
    shared = np.where(flat_x | flat_y, 0, product - mean_x * mean_y)
    return _likeness(mean_x * mean_y, mean_x**2 + mean_y**2) * _likeness(shared, spread)


def _likeness(product: Array, squares: Array) -> Array:
    return np.where(squares == 0, 1, 2 * product / np.where(squares == 0, 1, squares))


def _summed(image: Array) -> Array:
    """Return the sums of all windows of the index."""
    for axis in (0, 1):
        for step in (1, 2, 4):
            size = image.shape[axis] - step
            image = _along(image, axis, 0, size) + _along(image, axis, step, size)
    return image
