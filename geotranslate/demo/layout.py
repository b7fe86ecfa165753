"""The parts a plan of a town is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from geotranslate.demo.cover import Cover
from geotranslate.demo.solids import Solid

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
