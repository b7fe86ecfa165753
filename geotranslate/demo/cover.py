"""What covers the ground, how the map colours it and how it looks from the air."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

RGB = tuple[int, int, int]


class Cover(Enum):
    """The kinds of ground; several may share a colour on the map."""

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
    KERB = auto()
    STREET = auto()
    MAIN = auto()
    MARKING = auto()
    BUILDING = auto()
    OUTLINE = auto()


@dataclass(frozen=True, slots=True)
class Material:
    """The look of a cover from the air.

    `palette` holds the RGB colours a patch draws one from, `mottle` and `grain` are the relative
    strengths of coarse and fine texture, `rows` that of parallel furrows, `variety` the relative
    spread of brightness between patches.
    """

    palette: tuple[RGB, ...]
    mottle: float
    grain: float
    rows: float = 0.0
    variety: float = 0.03


LAND_COLOUR: RGB = (242, 238, 230)
FIELD_COLOUR: RGB = (239, 235, 196)
ORCHARD_COLOUR: RGB = (205, 226, 170)
WOOD_COLOUR: RGB = (158, 199, 143)
PARK_COLOUR: RGB = (200, 236, 190)
YARD_COLOUR: RGB = (226, 219, 232)
WATER_COLOUR: RGB = (150, 199, 228)
CASING_COLOUR: RGB = (176, 172, 166)
STREET_COLOUR: RGB = (255, 255, 255)
MAIN_COLOUR: RGB = (252, 214, 112)
BUILDING_COLOUR: RGB = (206, 186, 168)
OUTLINE_COLOUR: RGB = (160, 136, 118)

MAP_COLOURS: dict[Cover, RGB] = {
    Cover.LAND: LAND_COLOUR,
    Cover.GARDEN: LAND_COLOUR,
    Cover.PAVEMENT: LAND_COLOUR,
    Cover.FIELD: FIELD_COLOUR,
    Cover.ORCHARD: ORCHARD_COLOUR,
    Cover.WOOD: WOOD_COLOUR,
    Cover.PARK: PARK_COLOUR,
    Cover.PITCH: PARK_COLOUR,
    Cover.PATH: PARK_COLOUR,
    Cover.YARD: YARD_COLOUR,
    Cover.PARKING: YARD_COLOUR,
    Cover.BANK: LAND_COLOUR,
    Cover.WATER: WATER_COLOUR,
    Cover.KERB: CASING_COLOUR,
    Cover.STREET: STREET_COLOUR,
    Cover.MAIN: MAIN_COLOUR,
    Cover.MARKING: MAIN_COLOUR,
    Cover.BUILDING: BUILDING_COLOUR,
    Cover.OUTLINE: OUTLINE_COLOUR,
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
    Cover.KERB: Material(((150, 148, 144),), 0.04, 0.04),
    Cover.STREET: Material(((112, 112, 114),), 0.05, 0.04),
    Cover.MAIN: Material(((96, 97, 101),), 0.04, 0.04),
    Cover.MARKING: Material(((206, 206, 200),), 0.02, 0.05),
    Cover.BUILDING: Material(((120, 112, 104),), 0.0, 0.0),
    Cover.OUTLINE: Material(((120, 112, 104),), 0.0, 0.0),
}
