"""The plan of a town: main roads, districts between them, streets and buildings."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import compress
from typing import TypeVar

import numpy as np
import shapely
import shapely.affinity
from numpy.typing import NDArray
from shapely import LineString, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.ops import polygonize

from geotranslate.demo.districts import DISTRICTS
from geotranslate.demo.geometry import meander, partition, scatter
from geotranslate.demo.layout import (
    CURB_WIDTH,
    MAIN_WIDTH,
    SIDEWALK_WIDTH,
    STREET_WIDTH,
    Cover,
    District,
    Layout,
    Patch,
    car,
    grown,
)

BANK_WIDTH = 16.0
MAIN_SPACING = 700

_Shape = TypeVar("_Shape", bound=BaseGeometry)


def plan_town(size: int, rng: np.random.Generator) -> Layout:
    """Plan a town: main roads and a river first, then districts between them.

    Args:
        size: rows and columns of the ground to cover.
        rng: source of randomness.

    Returns:
        The whole plan, its patches in the order in which they hide one another.
    """
    layout = Layout()
    mains, rivers = _arteries(size, rng)
    bend = _bend(rng)
    water = shapely.union_all([_river_shape(river, rng) for river in rivers])
    frame = shapely.box(-60, -60, size + 60, size + 60)
    network = shapely.union_all([*mains, frame.exterior])
    layout.patches.append(Patch(frame, Cover.LAND))
    quarters = polygonize(shapely.get_parts(network.intersection(frame)))
    plots = [plot for quarter in quarters for plot in partition(quarter, 380, 300, rng)]
    for plot, fill in zip(plots, _uses(plots, rng), strict=True):
        ground = bend(plot)
        layout.streets.append(ground.exterior)
        fill(layout, ground, rng)
    mains, water = [bend(main) for main in mains], bend(water)
    bank = water.buffer(BANK_WIDTH)
    meadow = bank.difference(_ground(layout, Cover.WOOD))
    layout.patches += [Patch(meadow, Cover.BANK), Patch(water, Cover.WATER)]
    layout.trees.append(grown(scatter(meadow, 17, rng), (3, 8), (5, 18), rng))
    streets = shapely.union_all(layout.streets).difference(bank)
    network = shapely.union_all(mains)
    _pave(layout, streets, network)
    _settle(layout, frame)
    _drive(layout, streets.difference(network.buffer(MAIN_WIDTH)), STREET_WIDTH / 4, 130, rng)
    _drive(layout, network, MAIN_WIDTH / 4, 60, rng)
    return layout


def _arteries(size: int, rng: np.random.Generator) -> tuple[list[LineString], list[LineString]]:
    """Return the courses of the main roads and of the rivers."""
    count = max(1, round(size / MAIN_SPACING))
    spacing = size / count
    tilt = rng.uniform(-0.28, 0.28)

    def course(offset: float, swing: float, *, upright: bool) -> LineString:
        ends = [(-0.5 * size, offset), (1.5 * size, offset)]
        start, stop = [(y, x) for x, y in ends] if upright else ends
        line = meander(start, stop, swing, rng)
        return shapely.affinity.rotate(
            line, tilt + rng.uniform(-0.06, 0.06), origin=(size / 2, size / 2), use_radians=True
        )

    offsets = [(i + 0.2 + rng.uniform(-0.08, 0.08)) * spacing for i in range(count)]
    mains = [course(offset, 0.05 * spacing, upright=False) for offset in offsets]
    mains += [course(offset + 0.3 * spacing, 0.05 * spacing, upright=True) for offset in offsets]
    rivers = [
        course((i + 0.62) * spacing, 0.14 * spacing, upright=False)
        for i in range(count // 2, count, 2)
    ]
    return mains, rivers


def _river_shape(course: LineString, rng: np.random.Generator) -> BaseGeometry:
    """Widen a river's course, here more and there less."""
    points = shapely.get_coordinates(course)
    phase = np.arange(len(points))
    half = 19 + 4 * np.sin(phase / 9 + rng.uniform(0, 7)) + 2 * np.sin(phase / 3.7)
    step = np.gradient(points, axis=0)
    side = np.column_stack([-step[:, 1], step[:, 0]]) / np.hypot(*step.T)[:, None] * half[:, None]
    return Polygon(np.concatenate([points + side, (points - side)[::-1]])).buffer(0)


def _bend(rng: np.random.Generator) -> Callable[[_Shape], _Shape]:
    """Return a smooth distortion of the plane, which makes straight streets curve."""
    phase = rng.uniform(0, 7, (2, 2))

    def sway(points: NDArray[np.float64]) -> NDArray[np.float64]:
        turned = points[:, ::-1]
        swing = 15 * np.sin(turned / 95 + phase[0]) + 9 * np.sin((turned + points) / 77 + phase[1])
        return points + swing

    return lambda shape: shapely.transform(shapely.segmentize(shape, 20), sway)


def _uses(plots: list[Polygon], rng: np.random.Generator) -> list[District]:
    """Give every plot a use, each use spread evenly over the whole town."""
    fills = list(DISTRICTS)
    centers = np.array([plot.centroid.coords[0] for plot in plots])
    nearest = np.full((len(plots), len(fills)), 1e4)
    weight = np.sqrt([DISTRICTS[fill] for fill in fills])
    chosen = np.zeros(len(plots), dtype=int)
    for plot in rng.permutation(len(plots)):
        # A use that is far from here, for its share of the ground, is the one missing here.
        chosen[plot] = int((nearest[plot] * weight).argmax())
        distance = np.hypot(*(centers - centers[plot]).T)
        nearest[:, chosen[plot]] = np.minimum(nearest[:, chosen[plot]], distance)
    return [fills[index] for index in chosen]


def _pave(layout: Layout, streets: BaseGeometry, network: BaseGeometry) -> None:
    """Lay streets and, over them, the network of main roads."""
    # Neighboring blocks repeat each other's edges: many lines are quicker to widen one by one.
    carriageway = shapely.union_all(
        shapely.buffer(shapely.get_parts(streets.simplify(0.3)), STREET_WIDTH / 2)
    )
    artery = network.buffer(MAIN_WIDTH / 2)
    casing = carriageway.union(artery).buffer(CURB_WIDTH)
    layout.patches += [
        Patch(network.buffer(MAIN_WIDTH / 2 + SIDEWALK_WIDTH), Cover.PAVEMENT),
        Patch(casing, Cover.CURB),
        Patch(carriageway, Cover.STREET),
        Patch(artery, Cover.MAIN),
        Patch(_dashes(network, 7, 16), Cover.MARKING),
    ]


def _drive(
    layout: Layout, lines: BaseGeometry, side: float, spacing: float, rng: np.random.Generator
) -> None:
    """Send cars along lines, each on its right-hand side."""
    for line in shapely.get_parts(shapely.line_merge(lines)):
        places = rng.uniform(4, max(line.length - 4, 5), rng.poisson(line.length / spacing))
        for place in places:
            start, stop = shapely.get_coordinates(
                shapely.line_interpolate_point(line, [place - 2, place + 2])
            )
            if rng.uniform() < 0.5:
                start, stop = stop, start
            angle = math.atan2(*(stop - start)[::-1])
            x, y = (start + stop) / 2 + side * np.array([-math.sin(angle), math.cos(angle)])
            layout.details.append(car(x, y, angle, rng))


def _dashes(lines: BaseGeometry, dash: float, period: float) -> BaseGeometry:
    """Break lines into dashes."""
    strokes = []
    for line in shapely.get_parts(lines):
        starts = np.arange(0, line.length - dash, period)
        tips = [shapely.line_interpolate_point(line, starts + shift) for shift in (0, dash)]
        strokes.append(shapely.linestrings(np.stack([shapely.get_coordinates(t) for t in tips], 1)))
    return shapely.multilinestrings(np.concatenate(strokes))


def _settle(layout: Layout, frame: Polygon) -> None:
    """Take away what would stand in the water or on a road, and put buildings on the ground."""
    barred = _ground(layout, Cover.BANK, Cover.WATER, Cover.CURB)
    shapely.prepare(barred)
    footprints = np.array([building.footprint for building in layout.buildings])
    free = frame.contains(footprints) & ~shapely.intersects(barred, footprints)
    layout.buildings = list(compress(layout.buildings, free))
    gone = shapely.union_all([barred, *footprints[~free]])
    shapely.prepare(gone)
    layout.details = [d for d in layout.details if not shapely.contains_xy(gone, d.x, d.y)]
    homes = shapely.union_all(footprints[free])
    layout.patches += [Patch(homes, Cover.BUILDING), Patch(homes.boundary, Cover.OUTLINE)]
    treeless = _ground(layout, Cover.WATER, Cover.CURB, Cover.PATH, Cover.PITCH)
    closed = treeless.union(homes.buffer(3))
    shapely.prepare(closed)
    trees = np.concatenate(layout.trees)
    layout.trees = [trees[~shapely.contains_xy(closed, trees[:, :2])]]


def _ground(layout: Layout, *covers: Cover) -> BaseGeometry:
    """Return all ground that patches of some covers were laid on."""
    return shapely.union_all([patch.shape for patch in layout.patches if patch.cover in covers])
