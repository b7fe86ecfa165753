"""Shifts of targets against their sources, measured and undone as chips are exported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

from rasterio.enums import Resampling
from rasterio.windows import Window

from geotranslate.chips.export.exportoptions import ExportOptions
from geotranslate.chips.export.scene_sides import Scene
from geotranslate.chips.registration import (
    ComparedPair,
    Registration,
    Shift,
    gathered,
    on_ground,
    register,
    spread,
)
from geotranslate.errors import InvalidInputError

SIDE = 256
"""Side of the windows that are compared, px."""
WINDOWS = 150
"""Largest number of windows that are compared."""


def without_shift(scene: Scene, options: ExportOptions, stack: ExitStack) -> tuple[Scene, Shift]:
    """Return a scene whose target is read where its source shows the same, and the shift undone.

    A measured shift is rounded to whole pixels, and is 0 unless it is certain, so that values stay
    as they are.

    Args:
        scene: The scene.
        options: Options of the export.
        stack: Exit stack that closes the warped view.

    Raises:
        InvalidInputError: There is a shift to undo, but the scene has no CRS.
        RasterFileError: A side cannot be read.
    """
    shift: Shift = _measured_shift(scene) if options.shift == "auto" else options.shift
    if not any(shift):
        return scene, (0.0, 0.0)
    if scene.grid.crs is None:
        raise InvalidInputError(
            f"shift is {options.shift!r}, but {scene.source.name} has no CRS, so that its target "
            "cannot be moved on the ground; assign the CRS, for example with rio edit-info, or "
            "leave shift out."
        )
    distance = on_ground(shift, scene.grid)
    return replace(scene, target=scene.target.moved(distance, scene.target_grid, stack)), shift


def _measured_shift(scene: Scene) -> Shift:
    """Return the measured shift in whole pixels of the coarser side, as source pixels."""
    rows, cols = measured(scene).whole
    return rows * scene.factor.denominator, cols * scene.factor.denominator


def measured(scene: Scene) -> Registration:
    """Measure the shift of a scene's target, in pixels of the coarser side."""
    classes = (
        scene.source.options.resampling == Resampling.nearest,
        scene.target.options.resampling == Resampling.nearest,
    )
    grid = scene.grid if scene.factor >= 1 else scene.target_grid
    return register(_windows(scene, classes), classes, grid)


def _windows(scene: Scene, classes: tuple[bool, bool]) -> Iterator[ComparedPair]:
    factor = scene.factor
    side = min(SIDE, scene.grid.height, scene.grid.width)
    side = side // factor.denominator * factor.denominator
    corners = [
        (top, left)
        for top in range(0, scene.grid.height - side + 1, side)
        for left in range(0, scene.grid.width - side + 1, side)
    ]
    for i in spread(len(corners), WINDOWS):
        top, left = corners[i]
        places = (int(edge * factor) for edge in (left, top, side, side))
        source = scene.source.read(Window(left, top, side, side))
        target = scene.target.read(Window(*places))
        yield ComparedPair(
            f"{top}, {left}",
            gathered(source, factor.denominator, classes=classes[0]),
            gathered(target, factor.numerator, classes=classes[1]),
        )
