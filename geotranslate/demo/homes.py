"""Districts people live in: houses with gardens and blocks of flats."""

from __future__ import annotations

import math

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LineString, Polygon

from geotranslate.demo.cover import Cover
from geotranslate.demo.geometry import along, oriented_box, partition, scatter
from geotranslate.demo.layout import VERGE, Layout, Patch, grown
from geotranslate.demo.solids import FLAT_ROOFS, ROOFS, Solid, car, weathered


def lay_homes(layout: Layout, plot: Polygon, rng: np.random.Generator) -> None:
    """Fill a district with blocks of houses or of flats between streets."""
    for block in partition(plot, 240, 112, rng):
        layout.streets.append(block.exterior)
        layout.patches.append(Patch(block, Cover.PAVEMENT))
        garden = block.buffer(-VERGE - 2).buffer(2)
        if garden.area < 900 or garden.geom_type != "Polygon":
            continue
        if rng.uniform() < 0.16:
            _lay_flats(layout, garden, rng)
        else:
            for lot in partition(garden, 62, 42, rng):
                _lay_lot(layout, lot, garden, rng)
        avenue = along(garden.exterior, 24)
        avenue = avenue[rng.uniform(size=len(avenue)) < rng.choice([0.15, 0.4, 0.75])]
        layout.trees.append(grown(avenue, (4.0, 6.5), (9, 15), rng))


def _lay_lot(layout: Layout, lot: Polygon, garden: Polygon, rng: np.random.Generator) -> None:
    """Build a house that faces the street, its drive, its shed and its garden."""
    layout.patches.append(Patch(lot, Cover.GARDEN))
    centre = np.array(lot.centroid.coords[0])
    gate = shapely.get_coordinates(shapely.shortest_line(lot.centroid, garden.exterior))[1]
    depth = math.dist(centre, gate)
    facing = (gate - centre) / max(depth, 1e-6)
    angle = math.atan2(facing[1], facing[0]) + math.pi / 2 + rng.normal(0, 0.03)
    house = _house(lot, centre + facing * max(depth - 19, 0) * 0.8, angle, rng)
    if house is None:
        layout.trees.append(grown(scatter(lot, 14, rng), (4, 7), (8, 16), rng))
        return
    layout.buildings.append(house)
    side = np.array([-facing[1], facing[0]]) * rng.choice([-0.3, 0.3]) * house.length
    drive = LineString([np.array([house.x, house.y]) + side, gate + side + 2 * facing])
    layout.patches.append(Patch(drive.buffer(3.2, cap_style="flat"), Cover.PAVEMENT))
    if rng.uniform() < 0.45:
        x, y = gate + side - 7 * facing
        layout.details.append(car(x, y, angle + math.pi / 2, rng))
    if rng.uniform() < 0.4:
        _lay_wing(layout, lot, house, facing, rng)
    if rng.uniform() < 0.4:
        hedge = along(lot.buffer(-1.5).exterior, 3.5)
        layout.trees.append(grown(hedge, (1.8, 2.6), (2.5, 4), rng))
    layout.trees.append(grown(scatter(lot, rng.choice([16, 22, 30]), rng), (2, 6.5), (3, 15), rng))


def _house(
    lot: Polygon, place: NDArray[np.float64], angle: float, rng: np.random.Generator
) -> Solid | None:
    """Return a house at a place of a lot, as large as fits, or None if none fits."""
    length, width = rng.uniform(22, 32), rng.uniform(16, 21)
    flat, hipped = rng.uniform() < 0.1, bool(rng.uniform() < 0.35)
    if rng.uniform() < 0.25:
        angle += math.pi / 2
    eaves, pitch = rng.uniform(7, 12), 0.0 if flat else rng.uniform(0.55, 0.95)
    colour = weathered(FLAT_ROOFS if flat else ROOFS, rng)
    room = lot.buffer(-1.5)
    for scale in (1.0, 0.88, 0.76):
        house = Solid(
            place[0], place[1], angle, length * scale, width * scale, eaves, colour, pitch, hipped
        )
        if room.contains(house.footprint):
            return house
    return None


def _lay_wing(
    layout: Layout,
    lot: Polygon,
    house: Solid,
    facing: NDArray[np.float64],
    rng: np.random.Generator,
) -> None:
    """Add a lower wing or a shed behind a house."""
    back = np.array([house.x, house.y]) - facing * rng.choice([house.width * 0.5, 26])
    shift = np.array([-facing[1], facing[0]]) * rng.uniform(-0.25, 0.25) * house.length
    x, y = back + shift
    flat = bool(rng.uniform() < 0.4)
    colour = weathered(FLAT_ROOFS, rng) if flat else house.colour
    pitch = 0.0 if flat else house.pitch * 0.8
    wing = Solid(x, y, house.angle + math.pi / 2, 14, 10, 5, colour, pitch)
    if lot.contains(wing.footprint):
        layout.buildings.append(wing)


def _lay_flats(layout: Layout, garden: Polygon, rng: np.random.Generator) -> None:
    """Put long blocks of flats on a lawn with trees."""
    layout.patches.append(Patch(garden, Cover.GARDEN))
    for lot in partition(garden, 120, 60, rng):
        (x, y), angle, length, width = oriented_box(lot)
        pitch = float(rng.choice([0.0, 0.5]))
        colour = weathered(ROOFS if pitch else FLAT_ROOFS, rng)
        flats = Solid(x, y, angle, length - 22, min(25.0, width - 16), 22, colour, pitch, True)
        if flats.width > 14 and garden.contains(flats.footprint):
            layout.buildings.append(flats)
    layout.trees.append(grown(scatter(garden, 19, rng), (3, 7.5), (6, 17), rng))
