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
    shift: Shift = measured(scene).whole if options.shift == "auto" else options.shift
    if not any(shift):
        return scene, (0.0, 0.0)
    if scene.grid.crs is None:
        raise InvalidInputError(
            f"shift is {options.shift!r}, but {scene.source.name} has no CRS, so that its target "
            "cannot be moved on the ground; assign the CRS, for example with rio edit-info, or "
            "leave shift out."
        )
    distance = on_ground(shift, scene.grid)
    return replace(scene, target=scene.target.moved(distance, scene.grid, stack)), shift


def measured(scene: Scene) -> Registration:
    """Measure the shift of a scene's target over windows spread over it."""
    classes = (
        scene.source.options.resampling == Resampling.nearest,
        scene.target.options.resampling == Resampling.nearest,
    )
    return register(_windows(scene), classes, scene.grid)


def _windows(scene: Scene) -> Iterator[ComparedPair]:
    side = min(SIDE, scene.grid.height, scene.grid.width)
    corners = [
        (top, left)
        for top in range(0, scene.grid.height - side + 1, side)
        for left in range(0, scene.grid.width - side + 1, side)
    ]
    for i in spread(len(corners), WINDOWS):
        top, left = corners[i]
        window = Window(left, top, side, side)
        yield ComparedPair(f"{top}, {left}", scene.source.read(window), scene.target.read(window))
