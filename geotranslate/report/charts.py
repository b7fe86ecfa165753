"""Geometry of the drawings of a page: learning curves and the map of the split."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import shapely
from rasterio.crs import CRS
from shapely.geometry.base import BaseGeometry

from geotranslate.chips.layouts.base import TEST, TRAIN, VALIDATION
from geotranslate.chips.split import GroundShares, Split
from geotranslate.raster.grid import Grid
from geotranslate.report.coordinates import name_of

WIDTH, HEIGHT = 280.0, 130.0
"""Size of the plotted area of a curve."""
MAP = 360.0
"""Longest side of a map."""
SIMPLIFIED = 0.2
"""Distance by which outlines on a map may be simplified."""
LEFT_OUT = "left out"


@dataclass(frozen=True)
class Tick:
    """A tick of an axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Curve:
    """A column of the progress table over the epochs."""

    name: str
    points: str
    """Points of the line, as SVG writes them."""
    ticks: tuple[Tick, ...]
    """Ticks of the axis of values."""
    epochs: int
    last: str
    extremes: str
    """Smallest and largest value in words."""
    dot: tuple[float, float] | None
    """Place of the only value; None for several."""
    width: float = WIDTH
    height: float = HEIGHT


@dataclass(frozen=True)
class Area:
    """Ground on a map."""

    name: str
    kind: str
    """Class of its colors in the style sheet."""
    path: str
    """Its outline, as SVG writes it."""


@dataclass(frozen=True)
class SplitMap:
    """A map of the ground of training and validation, and of scenes."""

    caption: str
    areas: tuple[Area, ...]
    width: float
    height: float


def curves_of(history: Sequence[Mapping[str, float]]) -> tuple[Curve, ...]:
    """Return a curve for every column of a progress table."""
    names = dict.fromkeys(name for row in history for name in row)
    found = (_curve(name, [row.get(name, math.nan) for row in history]) for name in names)
    return tuple(curve for curve in found if curve is not None)


def _curve(name: str, values: Sequence[float]) -> Curve | None:
    known = [(epoch, value) for epoch, value in enumerate(values) if math.isfinite(value)]
    if not known:
        return None
    numbers = [value for _, value in known]
    ticks = nice_ticks(min(numbers), max(numbers))
    low, high = min(ticks[0], *numbers), max(ticks[-1], *numbers)

    def height_of(value: float) -> float:
        return HEIGHT * (1 - (value - low) / (high - low))

    step = WIDTH / max(len(values) - 1, 1)
    points = " ".join(f"{epoch * step:.1f},{height_of(value):.1f}" for epoch, value in known)
    return Curve(
        name,
        points,
        tuple(Tick(round(height_of(tick), 1), f"{tick:.6g}") for tick in ticks),
        len(values),
        f"{numbers[-1]:.4g}",
        f"from {min(numbers):.4g} to {max(numbers):.4g}",
        (known[0][0] * step, height_of(numbers[0])) if len(known) == 1 else None,
    )


def nice_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return round numbers that cover a range, at most `most` and at least two."""
    if not high > low:
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    rough = (high - low) / (most - 2)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def split_map(
    title: str,
    outlines: Any,
    split: Split,
    scenes: Sequence[tuple[str, Grid]],
) -> SplitMap:
    """Return a map of the parts of a split and of scenes.

    Args:
        title: Words before the caption, "" for none.
        outlines: Outlines of the chips, a GeoSeries.
        split: The split.
        scenes: Names and grids of scenes, which are drawn if they are in a known CRS.
    """
    shapes = outlines.to_numpy()
    grounds = ground_by_part(outlines, split)
    crs = outlines.crs
    footprints = [
        (name, grid.footprint_in(crs))
        for name, grid in scenes
        if crs is not None and grid.crs is not None
    ]
    bounds = shapely.total_bounds([*shapes, *(outline for _, outline in footprints)])
    scale = MAP / (max(bounds[2] - bounds[0], bounds[3] - bounds[1]) or 1.0)
    areas = [
        Area(name, name.replace(" ", "-"), _path(ground, bounds, scale))
        for name, ground in grounds.items()
        if not ground.is_empty
    ]
    areas += [Area(name, "scene", _path(outline, bounds, scale)) for name, outline in footprints]
    place = name_of(None if crs is None else CRS.from_wkt(crs.to_wkt()))
    shares = GroundShares.of(split, outlines)
    caption = f"{f'{title}: ' if title else ''}{shares} of the ground ({place})"
    return SplitMap(
        caption,
        tuple(areas),
        float((bounds[2] - bounds[0]) * scale),
        float((bounds[3] - bounds[1]) * scale),
    )


def ground_by_part(outlines: Any, split: Split) -> dict[str, BaseGeometry]:
    """Return the ground of the parts of a split, without overlap, in the CRS of the outlines."""
    shapes = outlines.to_numpy()
    parts = {VALIDATION: split.validation, TEST: split.tests, TRAIN: split.train}
    taken: BaseGeometry = shapely.Polygon()
    found: dict[str, BaseGeometry] = {}
    for name, positions in parts.items():
        ground = shapely.union_all(shapes[list(positions)])
        if name == TRAIN and split.hidden is not None:
            ground = ground.difference(split.hidden)
        found[name] = ground.difference(taken)
        taken = taken.union(ground)
    found[LEFT_OUT] = shapely.union_all(shapes).difference(taken)
    return {name: found[name] for name in (TRAIN, VALIDATION, TEST, LEFT_OUT)}


def _path(shape: BaseGeometry, bounds: Any, scale: float) -> str:
    """Return the outlines of an area in the pixels of a map whose north is up."""
    moved = shapely.transform(shape, lambda at: (at - bounds[[0, 3]]) * [scale, -scale])
    rings = []
    for polygon in shapely.get_parts(moved.simplify(SIMPLIFIED)):
        if polygon.geom_type != "Polygon":
            continue
        for ring in (polygon.exterior, *polygon.interiors):
            points = " L".join(f"{x:.1f} {y:.1f}" for x, y in shapely.get_coordinates(ring)[:-1])
            rings.append(f"M{points}Z")
    return "".join(rings)
