"""Choice of the pixel size at which an image enters a network."""

from __future__ import annotations

from geotranslate.chips.bands import DataCard
from geotranslate.errors import InvalidInputError
from geotranslate.prediction.imageinference import ImageInference
from geotranslate.prediction.resampling import Resampling, Resolution, checked_resolution
from geotranslate.raster.grid import Grid
from geotranslate.raster.ground import ground_of

MOST_DIFFERENCE = 1.05
"""Ratio of pixel sizes up to which images are not resampled by default."""
LEAST_DIFFERENCE = 1.001
"""Ratio of pixel sizes up to which images are never resampled."""
MOST_RATIO = 32.0
"""Largest ratio of pixel sizes."""


def find_resampling(
    name: str,
    grid: Grid | None,
    size: tuple[int, int],
    inference: ImageInference,
    resolution: Resolution,
) -> Resampling | None:
    """Return the resampling of an image to the pixel size at which it is translated.

    Args:
        name: Name of the image in messages.
        grid: Its grid; None for an array.
        size: Its rows and columns.
        inference: The inference that translates it.
        resolution: Argument of `predict_raster`.

    Returns:
        The resampling, or None for an image that enters the network as it is.

    Raises:
        InvalidInputError: The pixel sizes of the image or of the training are needed but unknown,
            or differ too much.
    """
    wanted = checked_resolution(resolution)
    if wanted == "source":
        return None
    ratios = (
        _to_meters(grid, wanted, name)
        if isinstance(wanted, float)
        else ratios_to_training(grid, inference.card)
    )
    if wanted == "auto" and (ratios is None or not _differs(grid, size, inference.card)):
        return None
    if ratios is None:
        raise InvalidInputError(
            f"resolution is 'training', but the pixel size in training is not known beside the "
            f"one of {name}: the model's card or the image does not tell it. Give the pixel size "
            "in meters, or 'source' to translate the image as it is."
        )
    across, down = ratios
    if max(across, down, 1 / across, 1 / down) > MOST_RATIO:
        if wanted == "auto":
            return None
        raise InvalidInputError(
            f"resolution is {resolution!r}, for which each pixel of {name} becomes {across:.3g} x "
            f"{down:.3g}; give one that is at most {MOST_RATIO:g} times finer or coarser."
        )
    if max(across, down, 1 / across, 1 / down) <= LEAST_DIFFERENCE:
        return None
    # Steps hold whole pixels of the translation too.
    return Resampling.of(across, down, inference.stride, whole=inference.card.factor.denominator)


def ratios_to_training(grid: Grid | None, card: DataCard) -> tuple[float, float] | None:
    """Return the pixels in training for each pixel of an image, along rows and along columns.

    They follow from the sizes on the ground, or else from `resize_to`, by which chips without
    known ground were resampled.

    Args:
        grid: Grid of the image; None for an array.
        card: Card of the training data.

    Returns:
        The ratios, or None if they are unknown.
    """
    here = None if grid is None else ground_of(grid)
    if here is None or card.ground_size is None:
        return card.resize_ratio
    return here[0] / card.ground_size[0], here[1] / card.ground_size[1]


def _differs(grid: Grid | None, size: tuple[int, int], card: DataCard) -> bool:
    """Tell whether an image has another pixel size than the training by a few percent or more.

    In degrees, pixels have other sizes at other latitudes: one place with the size of the training
    is enough. An image without known ground whose sides are `resize_to` was resampled already.
    """
    if card.ground_size is None or grid is None or ground_of(grid) is None:
        return size != (card.resize_to, card.resize_to) and _far(card.resize_ratio)
    places = (ground_of(grid, down) for down in (0.0, 0.5, 1.0))
    return all(
        here is None or _far((here[0] / card.ground_size[0], here[1] / card.ground_size[1]))
        for here in places
    )


def _far(ratios: tuple[float, float] | None) -> bool:
    return ratios is not None and any(
        not 1 / MOST_DIFFERENCE <= ratio <= MOST_DIFFERENCE for ratio in ratios
    )


def _to_meters(grid: Grid | None, meters: float, name: str) -> tuple[float, float]:
    here = None if grid is None else ground_of(grid)
    if here is None:
        raise InvalidInputError(
            f"resolution is {meters:g} meters, but {name} has no CRS that tells the size of its "
            "pixels on the ground; give 'training' or 'source'."
        )
    return here[0] / meters, here[1] / meters
