"""Warnings about scenes that differ from the training data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError  # what transforming raises is not public
from rasterio.errors import CRSError, RasterioError
from rasterio.windows import Window

from geotranslate.checks import class_list
from geotranslate.chips.bands import DataCard, Side, parsed_crs
from geotranslate.errors import warn
from geotranslate.prediction.resampling import Resampling
from geotranslate.raster.grid import Grid
from geotranslate.raster.ground import ground_size, latitude_of
from geotranslate.raster.reader import RasterReader

MOST_DIFFERENCE = 1.2
"""Ratio of pixel sizes up to which there is no warning."""
FAR = 5.0
"""Scaled value beyond which a pixel is far outside the training range, which is -1 to 1."""
FAR_SHARE = 0.05
"""Share of the pixels beyond which there is a warning."""


def warn_if_unlike(
    source: RasterReader, card: DataCard, resampling: Resampling | None = None
) -> list[str]:
    """Warn if a scene differs from the training data, and return the warnings.

    Warns about a missing CRS, other pixel sizes, another dtype, and values or classes outside of
    the training data. Values are sampled in a few small windows. Unknown facts are not compared.

    Args:
        source: The scene.
        card: Card of the training data.
        resampling: The way to the pixel size of the training, if the scene is resampled.
    """
    name = source.short_name
    found = (
        _no_crs(source, name),
        _other_pixels(source.grid, card, name)
        if resampling is None
        else _blurred(resampling, name),
        _other_dtype(source, card.source, name),
        _other_values(_sampled(source), source, card.source, name),
    )
    said = [sentence for sentence in found if sentence]
    for sentence in said:
        warn(sentence)
    return said


def _no_crs(source: RasterReader, name: str) -> str | None:
    if source.grid.crs is not None or source.dataset.gcps[0]:
        return None
    return f"{name} has no CRS, so the output has none either."


def _other_pixels(grid: Grid, card: DataCard, name: str) -> str | None:
    if grid.crs is None or not card.crs or card.resolution is None:
        return None
    try:
        latitude = latitude_of(grid)
        here = ground_size(grid.resolution, grid.crs, latitude)
        there = ground_size(card.resolution, parsed_crs(card.crs), latitude)
    except (CRSError, RasterioError, CPLE_BaseError):
        return None
    if here is None or there is None or min(there) <= 0:
        return None
    ratios = [one / other for one, other in zip(here, there, strict=True)]
    if 1 / MOST_DIFFERENCE <= min(ratios) and max(ratios) <= MOST_DIFFERENCE:
        return None
    return (
        f"{name} has pixels of {_meters(here)} but the model was trained on {_meters(there)}, so "
        "it sees things in another size than it knows. Give that size as resolution "
        "(--resolution), or resample the scene first, for example with gdalwarp -tr."
    )


def _blurred(resampling: Resampling, name: str) -> str | None:
    ratio = max(resampling.ratios)
    if ratio <= MOST_DIFFERENCE:
        return None
    return (
        f"{name} is enlarged {ratio:.2g} times before it is translated, which adds none of the "
        "finer details that the model knows from training."
    )


def _meters(sides: tuple[float, float]) -> str:
    texts = [f"{side:.3g}" for side in sides]
    return f"{texts[0]} m" if texts[0] == texts[1] else f"{texts[0]} x {texts[1]} m"


def _other_dtype(source: RasterReader, side: Side, name: str) -> str | None:
    both = (np.dtype(source.dtype), np.dtype(side.dtype))
    if both[0] == both[1] or all(dtype.kind == "f" for dtype in both):
        return None
    return (
        f"{name} is {source.dtype} but the model was trained on {side.dtype}; its values are taken "
        "as they are. If they have another unit, convert the scene first."
    )


def _sampled(source: RasterReader) -> NDArray[np.float32]:
    """Return the valid values `(bands, pixels)` of nine small windows."""
    size = 64
    found = []
    for row in _spots(source.grid.height, size):
        for col in _spots(source.grid.width, size):
            height, width = min(size, source.grid.height), min(size, source.grid.width)
            data, valid = source.read(Window(col, row, width, height))
            found.append(data[:, valid])
    return np.concatenate(found, axis=1)


def _other_values(
    values: NDArray[np.float32], source: RasterReader, side: Side, name: str
) -> str | None:
    if not values.shape[1]:
        return None
    if side.classes is not None:
        return _other_classes(values[0], side.class_numbers, name)
    far = _far(values, side)
    # A scene may lack layers that no training chip lacks.
    for band in sorted(set(range(side.bands)) - set(side.fixed_bands)):
        if np.mean(far[band]) > FAR_SHARE:
            low, high = values[band].min(), values[band].max()
            named = source.band_names[band]
            return (
                f"{name} holds values far outside of those that the model was trained on: band "
                f"{source.indexes[band]}{f' ({named})' if named else ''} ranges from {low:.6g} to "
                f"{high:.6g}, in training from "
                f"{side.limits[0][band]:.6g} to {side.limits[1][band]:.6g}. Check that it "
                "has the same units and scale."
            )
    for band, numbers in enumerate(side.class_bands or ()):
        # Where the layer is missing, it holds the fill value.
        held = values[band][values[band] != side.fill[band]]
        said = _other_classes(held, numbers, f"The band {side.band_names[band]} of {name}")
        if said:
            return said
    return None


def _far(values: NDArray[np.float32], side: Side) -> NDArray[np.bool_]:
    """Tell which values `(bands, pixels)` lie more than two training ranges outside of training."""
    if side.scaling.bounded:
        return np.abs(side.scaling.scale(values[:, :, None])[:, :, 0]) > FAR
    low, high = np.array(side.limits)[..., None]
    beyond = (FAR - 1) / 2 * (high - low)
    return (values < low - beyond) | (values > high + beyond)


def _other_classes(values: NDArray[np.float32], numbers: Sequence[int], name: str) -> str | None:
    unseen = [value for value in np.unique(values).tolist() if value not in numbers]
    if not unseen or not numbers:
        return None
    return (
        f"{name} holds {class_list(unseen)}, which the model has not seen in training; its "
        f"classes are {class_list(numbers)}. Such pixels are translated as if nothing "
        "was known of them. Give them the numbers of classes that the model knows, or train on "
        "chips that hold them."
    )


def _spots(length: int, size: int) -> set[int]:
    return {max(0, (length - size) * step // 2) for step in range(3)}
