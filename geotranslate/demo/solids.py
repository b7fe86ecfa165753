"""What stands on the ground with straight walls: houses, halls and cars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from shapely import Polygon

from geotranslate.demo.cover import RGB
from geotranslate.demo.geometry import rectangle

ROOFS: tuple[RGB, ...] = (
    (164, 98, 76),
    (148, 86, 68),
    (174, 114, 90),
    (122, 84, 66),
    (104, 78, 66),
    (112, 112, 118),
    (92, 94, 102),
    (150, 104, 84),
)
FLAT_ROOFS: tuple[RGB, ...] = (
    (196, 194, 190),
    (186, 184, 182),
    (158, 160, 166),
    (172, 162, 148),
    (208, 206, 202),
    (140, 156, 170),
)
CARS: tuple[RGB, ...] = (
    (230, 230, 230),
    (30, 32, 36),
    (70, 74, 82),
    (150, 30, 30),
    (40, 66, 120),
    (176, 178, 182),
)


@dataclass(frozen=True, slots=True)
class Solid:
    """A box with a roof, in pixels; `angle` in radians, `pitch` the roof's slope, 0 if flat."""

    x: float
    y: float
    angle: float
    length: float
    width: float
    eaves: float
    colour: RGB
    pitch: float = 0.0
    hipped: bool = False

    @property
    def footprint(self) -> Polygon:
        """Return the ground the solid stands on."""
        return rectangle(self.x, self.y, self.angle, self.length, self.width)


def weathered(palette: tuple[RGB, ...], rng: np.random.Generator) -> RGB:
    """Draw a colour and let it weather a little."""
    red, green, blue = np.array(palette[rng.integers(len(palette))]) * rng.normal(1, 0.07)
    return int(red), int(green), int(blue)


def car(x: float, y: float, angle: float, rng: np.random.Generator) -> Solid:
    """Return a car of any colour."""
    return Solid(x, y, angle, 8.5, 4.0, 2.6, weathered(CARS, rng))
