"""Parts of a plan of a town: covers, streets, patches of ground, solid bodies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from geotranslate.demo.geometry import rectangle

RGB = tuple[int, int, int]


class Cover(Enum):
    """The kinds of ground; several may share a color on the map."""

    LAND = auto()
    GARDEN = auto()
    PAVEMENT = auto()
    FIELD = auto()
    ORCHARD = auto()
    WOOD = auto()
    PARK = auto()
    PITCH = auto()
    PATH = auto()
    YARD = auto()
    PARKING = auto()
    BANK = auto()
    WATER = auto()
    CURB = auto()
    STREET = auto()
    MAIN = auto()
    MARKING = auto()
    BUILDING = auto()
    OUTLINE = auto()


@dataclass(frozen=True, slots=True)
class Material:
    """The look of a cover from the air.

    `palette` holds the RGB colors a patch draws one from, `mottle` and `grain` are the relative
    strengths of coarse and fine texture, `rows` the strength of parallel furrows, `variety` the
    relative spread of brightness between patches.
    """

    palette: tuple[RGB, ...]
    mottle: float
    grain: float
    rows: float = 0.0
    variety: float = 0.03


LAND_COLOR: RGB = (242, 238, 230)
FIELD_COLOR: RGB = (239, 235, 196)
ORCHARD_COLOR: RGB = (205, 226, 170)
WOOD_COLOR: RGB = (158, 199, 143)
PARK_COLOR: RGB = (200, 236, 190)
YARD_COLOR: RGB = (226, 219, 232)
WATER_COLOR: RGB = (150, 199, 228)
CASING_COLOR: RGB = (176, 172, 166)
STREET_COLOR: RGB = (255, 255, 255)
MAIN_COLOR: RGB = (252, 214, 112)
BUILDING_COLOR: RGB = (206, 186, 168)
OUTLINE_COLOR: RGB = (160, 136, 118)

MAP_COLORS: dict[Cover, RGB] = {
    Cover.LAND: LAND_COLOR,
    Cover.GARDEN: LAND_COLOR,
    Cover.PAVEMENT: LAND_COLOR,
    Cover.FIELD: FIELD_COLOR,
    Cover.ORCHARD: ORCHARD_COLOR,
    Cover.WOOD: WOOD_COLOR,
    Cover.PARK: PARK_COLOR,
    Cover.PITCH: PARK_COLOR,
    Cover.PATH: PARK_COLOR,
    Cover.YARD: YARD_COLOR,
    Cover.PARKING: YARD_COLOR,
    Cover.BANK: LAND_COLOR,
    Cover.WATER: WATER_COLOR,
    Cover.CURB: CASING_COLOR,
    Cover.STREET: STREET_COLOR,
    Cover.MAIN: MAIN_COLOR,
    Cover.MARKING: MAIN_COLOR,
    Cover.BUILDING: BUILDING_COLOR,
    Cover.OUTLINE: OUTLINE_COLOR,
}

_CROPS: tuple[RGB, ...] = (
    (184, 168, 124),
    (168, 154, 112),
    (136, 118, 98),
    (120, 104, 88),
    (106, 122, 74),
    (126, 136, 86),
    (176, 168, 98),
    (164, 156, 130),
)

MATERIALS: dict[Cover, Material] = {
    Cover.LAND: Material(((114, 118, 84),), 0.08, 0.08),
    Cover.GARDEN: Material(
        ((106, 114, 78), (98, 108, 72), (118, 120, 88), (110, 114, 80)), 0.09, 0.08, variety=0.09
    ),
    Cover.PAVEMENT: Material(((162, 158, 150),), 0.05, 0.04),
    Cover.FIELD: Material(_CROPS, 0.05, 0.05, rows=0.11, variety=0.05),
    Cover.ORCHARD: Material(((122, 128, 84), (128, 128, 88)), 0.06, 0.06),
    Cover.WOOD: Material(((62, 68, 44),), 0.12, 0.10),
    Cover.PARK: Material(((106, 128, 76),), 0.05, 0.05),
    Cover.PITCH: Material(((98, 128, 72),), 0.02, 0.03, rows=0.06),
    Cover.PATH: Material(((196, 180, 146),), 0.04, 0.04),
    Cover.YARD: Material(((164, 156, 146), (150, 144, 138), (172, 164, 150)), 0.07, 0.05),
    Cover.PARKING: Material(((104, 104, 108), (116, 116, 118)), 0.05, 0.04),
    Cover.BANK: Material(((112, 120, 80),), 0.10, 0.09),
    Cover.WATER: Material(((50, 76, 84),), 0.05, 0.02),
    Cover.CURB: Material(((150, 148, 144),), 0.04, 0.04),
    Cover.STREET: Material(((112, 112, 114),), 0.05, 0.04),
    Cover.MAIN: Material(((96, 97, 101),), 0.04, 0.04),
    Cover.MARKING: Material(((206, 206, 200),), 0.02, 0.05),
    Cover.BUILDING: Material(((120, 112, 104),), 0.0, 0.0),
    Cover.OUTLINE: Material(((120, 112, 104),), 0.0, 0.0),
}


STREET_WIDTH = 12.0
MAIN_WIDTH = 20.0
CURB_WIDTH = 1.5
SIDEWALK_WIDTH = 3.5
VERGE = STREET_WIDTH / 2 + CURB_WIDTH + SIDEWALK_WIDTH


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
    color: RGB
    pitch: float = 0.0
    hipped: bool = False

    @property
    def footprint(self) -> Polygon:
        """Return the ground the solid stands on."""
        return rectangle(self.x, self.y, self.angle, self.length, self.width)


def weathered(palette: tuple[RGB, ...], rng: np.random.Generator) -> RGB:
    """Draw a color and let it weather a little."""
    red, green, blue = np.array(palette[rng.integers(len(palette))]) * rng.normal(1, 0.07)
    return int(red), int(green), int(blue)


def car(x: float, y: float, angle: float, rng: np.random.Generator) -> Solid:
    """Return a car of any color."""
    return Solid(x, y, angle, 8.5, 4.0, 2.6, weathered(CARS, rng))
