"""Shapes, lines and points on the ground, in pixels, and divisions of ground."""

from __future__ import annotations

import math

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import LineString, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.ops import split


def rectangle(x: float, y: float, angle: float, length: float, width: float) -> Polygon:
    """Return a turned rectangle around a point."""
    ahead = np.array([math.cos(angle), math.sin(angle)]) * length / 2
    aside = np.array([-math.sin(angle), math.cos(angle)]) * width / 2
    corners = [ahead + aside, ahead - aside, -ahead - aside, aside - ahead]
    return Polygon([(x + dx, y + dy) for dx, dy in corners])


def oriented_box(shape: BaseGeometry) -> tuple[NDArray[np.float64], float, float, float]:
    """Return the center, angle, length and width of the tightest rectangle around a shape."""
    corners = shapely.get_coordinates(shapely.minimum_rotated_rectangle(shape))
    sides = np.diff(corners[:3], axis=0)
    lengths = np.hypot(sides[:, 0], sides[:, 1])
    longer = int(lengths.argmax())
    angle = math.atan2(sides[longer, 1], sides[longer, 0])
    return corners[:4].mean(axis=0), angle, float(lengths.max()), float(lengths.min())


def partition(
    shape: BaseGeometry, longest: float, widest: float, rng: np.random.Generator
) -> list[Polygon]:
    """Cut a shape in two again and again until no piece is longer or wider than allowed."""
    pending = list(shapely.get_parts(shape))
    pieces: list[Polygon] = []
    while pending:
        piece = pending.pop()
        if piece.area < 0.1 * longest * widest:
            continue
        center, angle, length, width = oriented_box(piece)
        if length <= longest:
            if width <= widest:
                pieces.append(piece)
                continue
            angle, length = angle + math.pi / 2, width
        angle += rng.normal(0, 0.03)
        step = np.array([math.cos(angle), math.sin(angle)])
        middle = center + step * length * rng.uniform(-0.12, 0.12)
        reach = np.array([-step[1], step[0]]) * 4 * longest
        halves = list(split(piece, LineString([middle - 4 * reach, middle + 4 * reach])).geoms)
        (pending if len(halves) > 1 else pieces).extend(halves)
    return pieces


def blob(x: float, y: float, radius: float, rng: np.random.Generator) -> Polygon:
    """Draw a round shape with a smooth, wavering outline."""
    turn = np.linspace(0, 2 * math.pi, 60, endpoint=False)
    waves = [rng.normal(0, 0.25 / k) * np.cos(k * turn + rng.uniform(0, 7)) for k in (2, 3, 4, 5)]
    reach = radius * np.maximum(1 + np.sum(waves, axis=0), 0.4)
    return Polygon(np.column_stack([x + reach * np.cos(turn), y + reach * np.sin(turn)]))


def meander(
    start: tuple[float, float], stop: tuple[float, float], swing: float, rng: np.random.Generator
) -> LineString:
    """Draw a line that sways to either side on its way between two points."""
    reach = math.dist(start, stop)
    share = np.linspace(0, 1, max(int(reach / 12), 2))
    sway = sum(
        rng.uniform(0.6, 1) * np.sin(2 * math.pi * share * reach / length + rng.uniform(0, 7))
        for length in (430.0, 790.0)
    )
    step = (np.array(stop) - start) / reach
    path = np.array(start) + np.outer(share * reach, step)
    return LineString(path + np.outer(swing / 2 * sway, [-step[1], step[0]]))


def scatter(shape: BaseGeometry, spacing: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return (n, 2) points strewn over a shape, on average one per `spacing` squared."""
    left, top, right, bottom = shape.bounds
    columns, rows = np.arange(left, right, spacing), np.arange(top, bottom, spacing)
    points = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    points = points + rng.uniform(0, spacing, points.shape)
    shapely.prepare(shape)
    return points[shapely.contains_xy(shape, points)]


def along(shape: BaseGeometry, spacing: float) -> NDArray[np.float64]:
    """Return (n, 2) points at even distances along a line."""
    distances = np.arange(spacing / 2, shape.length, spacing)
    return shapely.get_coordinates(shapely.line_interpolate_point(shape, distances))


def grid(shape: BaseGeometry, angle: float, ahead: float, aside: float) -> NDArray[np.float64]:
    """Return (n, 2) points of a turned grid of two spacings that lie in a shape."""
    (x, y), _, length, width = oriented_box(shape)
    reach = (length + width) / 2
    u, v = np.meshgrid(np.arange(-reach, reach, ahead), np.arange(-reach, reach, aside))
    cos, sin = math.cos(angle), math.sin(angle)
    points = np.column_stack([(x + u * cos - v * sin).ravel(), (y + u * sin + v * cos).ravel()])
    return points[shapely.contains_xy(shape, points)]
