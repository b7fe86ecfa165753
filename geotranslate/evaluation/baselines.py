"""Simple translations that a model is compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from rasterio.enums import Resampling
from rasterio.windows import Window

from geotranslate.checks import shown
from geotranslate.chips.stacking import as_raster
from geotranslate.errors import InvalidInputError
from geotranslate.evaluation.scenesample import SIDE, sampled, sampling_step
from geotranslate.evaluation.similarity import Array, Mask
from geotranslate.evaluation.windows import AlignedReader, Lattice, Values
from geotranslate.raster.reader import RasterReader

ALIKE = 1e-6
"""Share of the largest singular value below which combinations of bands are rounding errors."""


@dataclass(frozen=True)
class LinearMap:
    """A linear map from the bands of a source to those of a target, pixel by pixel."""

    weights: Array
    """`(bands of the target, bands of the source)`."""
    offsets: Array
    """`(bands of the target,)`."""
    ground: str
    """The ground that it was fitted on, in words."""

    @classmethod
    def fitted(cls, source: Array, target: Array, ground: str) -> LinearMap:
        """Fit it by least squares to pixels `(bands, pixels)`."""
        center, middle = source.mean(1), target.mean(1)
        sides = (source - center[:, None]).T, (target - middle[:, None]).T
        # Bands that are alike share their weight, whatever their rounding errors are.
        weights = np.linalg.lstsq(*sides, rcond=ALIKE)[0].T
        return cls(weights, middle - weights @ center, ground)

    def __call__(self, source: Array) -> Array:
        """Translate `(bands, rows, cols)`."""
        found: Array = np.tensordot(self.weights, source, 1) + self.offsets[:, None, None]
        return found


@dataclass(frozen=True)
class Rival:
    """A baseline: its translation of a window."""

    name: str
    words: str
    """The baseline in words."""
    read: Callable[[Window], Values]
    """Returns values `(bands, rows, cols)` and their validity."""

    def errors(self, window: Window, reference: Array, valid: Mask) -> tuple[Array, Mask]:
        """Return absolute errors in a window, and where there are any."""
        values, known = self.read(window)
        both = valid & known
        return np.where(both, np.abs(np.where(known, values, 0) - reference), 0), both


def constant_rival(values: Array) -> Rival:
    """Return the baseline that is the reference's median in every band."""

    def read(window: Window) -> Values:
        size = int(window.height), int(window.width)
        return np.broadcast_to(values[:, None, None], (len(values), *size)), np.ones(size, bool)

    shown_values = ", ".join(f"{value:.4g}" for value in values)
    return Rival("constant", f"the median of the reference, {shown_values}", read)


def raster_rival(name: str, reader: AlignedReader, words: str) -> Rival:
    """Return the baseline that is a raster."""
    return Rival(name, words, reader.read)


def linear_rival(source: AlignedReader, linear: LinearMap, *, in_sample: bool) -> Rival:
    """Return the baseline that is a linear map of the source."""

    def read(window: Window) -> Values:
        values, known = source.read(window)
        return linear(np.where(known, values, 0)), known

    name = "linear_in_sample" if in_sample else "linear"
    return Rival(name, f"a linear map of the source's bands, fitted on {linear.ground}", read)


def fitted_elsewhere(
    pair: object,
    chosen: tuple[Sequence[int | str] | None, Sequence[int | str] | None],
    bands: int,
) -> LinearMap:
    """Return the linear map between a source and a target of other ground.

    Args:
        pair: The two rasters.
        chosen: Bands of source and target; None for all.
        bands: Number of bands that the target has to have.

    Raises:
        InvalidInputError: They are no two rasters, have other bands, or have no valid pixel in
            common.
    """
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise InvalidInputError(
            f"fitted_on is {shown(pair)}; give a source and a target of other ground."
        )
    with ExitStack() as stack:
        source = stack.enter_context(RasterReader(as_raster(pair[0]), chosen[0]))
        grid, method = source.grid, Resampling.bilinear
        target = AlignedReader(pair[1], grid, chosen[1], method, stack, "the source")
        if target.bands != bands:
            raise InvalidInputError(
                f"The target of fitted_on, {target.original.name}, has {target.bands} bands and "
                f"the reference {bands}; give a target of the same kind."
            )
        step = sampling_step(grid.height, grid.width)
        found = []
        for core in Lattice(grid.height, grid.width, SIDE, SIDE).cores(halo=0):
            (values, known), (wanted, valid) = (
                source.read(core.inside, "float64"),
                target.read(core.inside),
            )
            both = np.concatenate([values, wanted])
            found.append(sampled(core.inside, step, both, known & valid))
        pixels = np.concatenate(found, axis=1)
        if not pixels.size:
            raise InvalidInputError(
                f"{source.name} and {target.original.name} of fitted_on have no valid pixel in "
                "common; give two rasters of one place."
            )
        name = f"{source.name} and {target.original.name}"
        return LinearMap.fitted(pixels[: source.bands], pixels[source.bands :], name)
