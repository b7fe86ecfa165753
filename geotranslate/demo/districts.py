"""Districts of a town, with their buildings, fields, parks and trees."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LineString, Polygon

from geotranslate.demo.geometry import (
    along,
    blob,
    grid,
    oriented_box,
    partition,
    rectangle,
    scatter,
)
from geotranslate.demo.layout import (
    FLAT_ROOFS,
    ROOFS,
    VERGE,
    Cover,
    District,
    Layout,
    Patch,
    Solid,
    car,
    grown,
    weathered,
)


def lay_works(layout: Layout, plot: Polygon, rng: np.random.Generator) -> None:
    """Fill a district with halls, offices and schools on paved ground with parked cars."""
    layout.patches.append(Patch(plot.buffer(-VERGE), Cover.YARD))
    for lot in partition(plot.buffer(-VERGE - 2), 190, 140, rng):
        ground = lot.buffer(-2)
        layout.patches.append(Patch(ground, Cover.YARD))
        (x, y), angle, length, width = oriented_box(ground)
        ahead = np.array([math.cos(angle), math.sin(angle)])
        share = rng.uniform(0.5, 0.62)
        middle = np.array([x, y]) - ahead * length * (0.96 - share) / 2
        size = length * share, width * rng.uniform(0.6, 0.84), rng.uniform(12, 20)
        pitch = float(rng.choice([0.0, 0.0, 0.12]))
        hall = Solid(middle[0], middle[1], angle, *size, weathered(FLAT_ROOFS, rng), pitch)
        _lay_hall(layout, lot, hall, rng)
        x, y = np.array([x, y]) + ahead * length * (share * 0.5 + 0.02)
        _lay_parking(
            layout, rectangle(x, y, angle, length * (0.9 - share), width * 0.84), ground, rng
        )
        edge = along(lot.exterior, 20)
        edge = edge[rng.uniform(size=len(edge)) < 0.4]
        layout.trees.append(grown(edge, (3.5, 6), (7, 13), rng))


def _lay_hall(layout: Layout, lot: Polygon, hall: Solid, rng: np.random.Generator) -> None:
    """Build the largest hall that fits, with vents and skylights on its roof."""
    while not lot.contains(hall.footprint):
        hall = replace(hall, length=hall.length * 0.85, width=hall.width * 0.85)
        if hall.width < 20:
            return
    layout.buildings.append(hall)
    for x, y in scatter(hall.footprint.buffer(-9), 26, rng):
        gray = int(rng.choice([96, 150, 236]))
        length, width = rng.uniform(4, 11), rng.uniform(3, 5)
        layout.details.append(
            Solid(x, y, hall.angle, length, width, hall.eaves + 3, (gray, gray, gray))
        )


def _lay_parking(layout: Layout, area: Polygon, ground: Polygon, rng: np.random.Generator) -> None:
    """Pave a car park and fill some of its bays."""
    shape = area.intersection(ground)
    layout.patches.append(Patch(shape, Cover.PARKING))
    _, angle, _, _ = oriented_box(area)
    bays = grid(shape.buffer(-4), angle, 17, 6)
    taken = rng.uniform(size=len(bays)) < rng.uniform(0.3, 0.8)
    layout.details += [car(x, y, angle, rng) for x, y in bays[taken]]


def lay_fields(layout: Layout, plot: Polygon, rng: np.random.Generator) -> None:
    """Fill a district with strips of crops and orchards, some with a hedge around."""
    ground = plot.buffer(-VERGE - 2)
    layout.patches.append(Patch(ground, Cover.FIELD))
    for strip in partition(ground, 300, 110, rng):
        parcel = strip.buffer(-1.5)
        _, angle, _, _ = oriented_box(strip)
        orchard = rng.uniform() < 0.18
        layout.patches.append(Patch(parcel, Cover.ORCHARD if orchard else Cover.FIELD, angle))
        if orchard:
            rows = grid(parcel.buffer(-4), angle, 13, 13)
            layout.trees.append(grown(rows, (3.6, 4.8), (5, 7), rng))
        elif rng.uniform() < 0.45:
            hedge = along(strip.exterior, 4)
            hedge = hedge + rng.normal(0, 0.8, hedge.shape)
            layout.trees.append(grown(hedge, (2.2, 4.2), (3, 8), rng))


def lay_wood(layout: Layout, plot: Polygon, rng: np.random.Generator) -> None:
    """Fill a district with a closed canopy of trees."""
    ground = plot.buffer(-VERGE - 26).buffer(22)
    layout.patches.append(Patch(ground, Cover.WOOD))
    layout.trees.append(grown(scatter(ground.buffer(-3), 8.5, rng), (4.5, 9), (12, 22), rng))


def lay_park(layout: Layout, plot: Polygon, rng: np.random.Generator) -> None:
    """Fill a district with lawns, paths, groups of trees, a pond and a playing field."""
    ground = plot.buffer(-VERGE)
    layout.patches.append(Patch(ground, Cover.PARK))
    (x, y), angle, length, width = oriented_box(ground)
    ahead = np.array([math.cos(angle), math.sin(angle)]) * length / 4
    pond = blob(x + ahead[0], y + ahead[1], width * rng.uniform(0.15, 0.2), rng)
    start = rng.uniform(0, 1)
    ends = [ground.exterior.interpolate((start + i / 5) % 1, normalized=True) for i in range(5)]
    hub = ground.centroid
    loop = blob(hub.x, hub.y, width * 0.34, rng)
    paths = shapely.union_all([loop.exterior, *[LineString([hub, end]) for end in ends]])
    layout.patches.append(Patch(paths.buffer(2).intersection(ground), Cover.PATH))
    size = min(width * 0.66, 150), min(length * 0.36, 96)
    pitch = rectangle(x - ahead[0], y - ahead[1], angle + math.pi / 2, *size)
    if ground.contains(pitch):
        layout.patches.append(Patch(pitch, Cover.PITCH, angle))
        layout.patches.append(Patch(pitch.buffer(-4).exterior.buffer(0.7), Cover.PATH))
    layout.patches.append(Patch(pond.intersection(ground), Cover.WATER))
    groves = scatter(ground, 60, rng)
    grove = shapely.union_all(shapely.buffer(shapely.points(groves), 18)).intersection(ground)
    layout.trees.append(grown(scatter(grove, 11, rng), (4, 9), (9, 20), rng))
    layout.trees.append(grown(scatter(ground, 38, rng), (3, 7), (6, 16), rng))


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
    center = np.array(lot.centroid.coords[0])
    gate = shapely.get_coordinates(shapely.shortest_line(lot.centroid, garden.exterior))[1]
    depth = math.dist(center, gate)
    facing = (gate - center) / max(depth, 1e-6)
    angle = math.atan2(facing[1], facing[0]) + math.pi / 2 + rng.normal(0, 0.03)
    house = _house(lot, center + facing * max(depth - 19, 0) * 0.8, angle, rng)
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
    color = weathered(FLAT_ROOFS if flat else ROOFS, rng)
    room = lot.buffer(-1.5)
    for scale in (1.0, 0.88, 0.76):
        house = Solid(
            place[0], place[1], angle, length * scale, width * scale, eaves, color, pitch, hipped
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
    color = weathered(FLAT_ROOFS, rng) if flat else house.color
    pitch = 0.0 if flat else house.pitch * 0.8
    wing = Solid(x, y, house.angle + math.pi / 2, 14, 10, 5, color, pitch)
    if lot.contains(wing.footprint):
        layout.buildings.append(wing)


def _lay_flats(layout: Layout, garden: Polygon, rng: np.random.Generator) -> None:
    """Put long blocks of flats on a lawn with trees."""
    layout.patches.append(Patch(garden, Cover.GARDEN))
    for lot in partition(garden, 120, 60, rng):
        (x, y), angle, length, width = oriented_box(lot)
        pitch = float(rng.choice([0.0, 0.5]))
        color = weathered(ROOFS if pitch else FLAT_ROOFS, rng)
        flats = Solid(x, y, angle, length - 22, min(25.0, width - 16), 22, color, pitch, True)
        if flats.width > 14 and garden.contains(flats.footprint):
            layout.buildings.append(flats)
    layout.trees.append(grown(scatter(garden, 19, rng), (3, 7.5), (6, 17), rng))


DISTRICTS: dict[District, float] = {
    lay_homes: 0.44,
    lay_fields: 0.21,
    lay_works: 0.12,
    lay_wood: 0.13,
    lay_park: 0.10,
}
