"""Districts around the homes: works, fields, woods and parks."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import shapely
from shapely import LineString, Polygon

from geotranslate.demo.cover import Cover
from geotranslate.demo.geometry import (
    along,
    blob,
    grid,
    oriented_box,
    partition,
    rectangle,
    scatter,
)
from geotranslate.demo.homes import lay_homes
from geotranslate.demo.layout import VERGE, District, Layout, Patch, grown
from geotranslate.demo.solids import FLAT_ROOFS, Solid, car, weathered


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
        grey = int(rng.choice([96, 150, 236]))
        length, width = rng.uniform(4, 11), rng.uniform(3, 5)
        layout.details.append(
            Solid(x, y, hall.angle, length, width, hall.eaves + 3, (grey, grey, grey))
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


DISTRICTS: dict[District, float] = {
    lay_homes: 0.44,
    lay_fields: 0.21,
    lay_works: 0.12,
    lay_wood: 0.13,
    lay_park: 0.10,
}
