"""Parts of a plan of a town: streets, patches of ground, solid bodies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from geotranslate.demo.cover import RGB, Cover
from geotranslate.demo.geometry import rectangle

STREET_WIDTH = 12.0
MAIN_WIDTH = 20.0
KERB_WIDTH = 1.5
SIDEWALK_WIDTH = 3.5
VERGE = STREET_WIDTH / 2 + KERB_WIDTH + SIDEWALK_WIDTH


@dataclass(frozen=True, slots=True)
class Patch:
    """A piece of ground of one cover; `angle` in radians is the direction of its furrows."""

    shape: BaseGeometry
    cover: Cover
    angle: float = 0.0


@dataclass(slots=True)
class Layout:
    """A town being planned.

    `patches` cover one another in order. `buildings` are on the map, `details` (cars, roof
    fixtures) are not. `trees` are arrays of (n, 4): x, y, crown radius, height.
    """

    patches: list[Patch] = field(default_factory=list)
    streets: list[BaseGeometry] = field(default_factory=list)
    buildings: list[Solid] = field(default_factory=list)
    details: list[Solid] = field(default_factory=list)
    trees: list[NDArray[np.float64]] = field(default_factory=list)


# Fills a plot of ground and writes what it built into the layout.
District = Callable[[Layout, Polygon, np.random.Generator], None]


def grown(
    points: NDArray[np.float64],
    radius: tuple[float, float],
    height: tuple[float, float],
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Turn points into trees whose crown and height grow together between two bounds."""
    age = rng.uniform(size=len(points))
    crown = radius[0] + age * (radius[1] - radius[0])
    return np.column_stack([points, crown, height[0] + age * (height[1] - height[0])])


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
