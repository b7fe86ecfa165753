"""Structural similarity: SSIM and MS-SSIM."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW, SIGMA = 11, 1.5
STABILITY = (0.01, 0.03)
"""K1 and K2 of Wang et al. 2004."""
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the scales, of Wang et al. 2003."""


class Structure:
    """SSIM and MS-SSIM over windows without an invalid pixel.

    `ssim` after Wang et al. 2004 (doi:10.1109/TIP.2003.819861): Gaussian windows of 11 x 11 px with
    sigma 1.5, K1 = 0.01, K2 = 0.03, moments of the population. It is the mean over all windows that
    lie inside an image and are valid throughout; torchmetrics fills those that reach over its edge
    by reflection and counts them too. `ms_ssim` after Wang et al. 2003
    (doi:10.1109/ACSSC.2003.1292216): the product over five scales, each averaged from the former by
    2 x 2 px, of the mean contrast and structure term (of SSIM in the coarsest scale), at least 0,
    to the power of its weight. It is the mean over images with a valid window in every scale, which
    needs 176 px or more. Both are the mean over the bands, and NaN where there is no such window.

    Args:
        ranges: For each band the range of its values, in the target's units.
        multiscale: Whether to compute `ms_ssim`.
    """

    names = ("ssim", "ms_ssim")

    def __init__(self, ranges: Sequence[float], *, multiscale: bool = True) -> None:
        self.ranges, self.scales = ranges, len(SCALE_WEIGHTS) if multiscale else 1
        self._ssim: Tensor | float = 0.0
        self._ms_ssim: Tensor | float = 0.0

    def add(self, prediction: Tensor, target: Tensor, valid: Tensor) -> None:
        """Add float64 `(n, bands, rows, cols)` in target units, `valid` `(n, 1, rows, cols)`."""
        if min(target.shape[-2:]) < WINDOW:
            return
        pair, gap = torch.stack([prediction, target]), ~valid
        contrasts, complete = [], valid.new_ones(len(valid))
        for scale in range(self.scales):
            pair = pair.masked_fill(gap, 0)
            whole = _without(gap)
            windows = whole.sum((1, 2, 3))
            maps = _maps(pair[0], pair[1], self.ranges)
            ssim, contrast = (torch.where(whole, each, 0).sum((2, 3)) for each in maps)
            if scale == 0:
                self._ssim = self._ssim + _with_count(ssim, windows)
            last = scale == len(SCALE_WEIGHTS) - 1
            contrasts.append((ssim if last else contrast) / windows[:, None])
            complete = complete & (windows > 0)
            if scale + 1 == self.scales or min(gap.shape[-2:]) // 2 < WINDOW:
                break
            pair = F.avg_pool2d(pair.flatten(0, 1), 2).unflatten(0, (2, len(gap)))
            gap = F.max_pool2d(gap.float(), 2) > 0
        if len(contrasts) == len(SCALE_WEIGHTS):
            weights = target.new_tensor(SCALE_WEIGHTS)[:, None, None]
            product = (torch.stack(contrasts).relu() ** weights).prod(0)
            product = torch.where(complete[:, None], product, 0)
            self._ms_ssim = self._ms_ssim + _with_count(product, complete)

    def per_band(self) -> list[dict[str, float]]:
        """Return the measures of every band."""
        columns = [self._means(self._ssim), self._means(self._ms_ssim)]
        return [dict(zip(self.names, row, strict=True)) for row in zip(*columns, strict=True)]

    def overall(self) -> dict[str, float]:
        """Return the mean of the bands."""
        bands = self.per_band()
        return {name: sum(band[name] for band in bands) / len(bands) for name in self.names}

    def _means(self, sums: Tensor | float) -> list[float]:
        if not isinstance(sums, Tensor) or not sums[-1]:
            return [math.nan] * len(self.ranges)
        return (sums[:-1] / sums[-1]).tolist()


def _without(gap: Tensor) -> Tensor:
    """Return for each window inside the image whether it has no gap."""
    across = F.max_pool2d(gap.float(), (1, WINDOW), stride=1)
    return F.max_pool2d(across, (WINDOW, 1), stride=1) == 0


def _with_count(scores: Tensor, counts: Tensor) -> Tensor:
    """Return the sums of `(n, bands)`, followed by the sum of the counts."""
    return torch.cat([scores.sum(0), counts.sum(0, keepdim=True).to(scores)])


def _maps(x: Tensor, y: Tensor, ranges: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Return SSIM and its contrast and structure term in every window."""
    peaks = x.new_tensor(ranges)[:, None, None]
    first, second = ((k * peaks) ** 2 for k in STABILITY)
    mean_x, mean_y, squares, product = _blurred(torch.stack([x, y, x * x + y * y, x * y]))
    both, apart = mean_x * mean_y, mean_x**2 + mean_y**2
    # The variance of a constant image is rounding error, which may be below 0.
    contrast = (2 * (product - both) + second) / ((squares - apart).clamp(min=0) + second)
    return (2 * both + first) / (apart + first) * contrast, contrast


def _blurred(images: Tensor) -> Tensor:
    """Return Gaussian means of all windows that lie inside, along both axes in turn."""
    half = WINDOW // 2
    weights = [math.exp(-0.5 * (i / SIGMA) ** 2) for i in range(half + 1)]
    total = 2 * sum(weights) - weights[0]
    for axis in (-1, -2):
        size = images.shape[axis] - 2 * half
        # Several times as fast on a CPU as a convolution of float64.
        means = images.narrow(axis, half, size) * (weights[0] / total)
        for i in range(1, half + 1):
            sides = (images.narrow(axis, half + step, size) for step in (-i, i))
            means.add_(sum(sides), alpha=weights[i] / total)
        images = means
    return images
