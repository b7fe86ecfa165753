"""Separation of training and validation ground: masks in targets, or chips left out."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.warp import transform
from shapely import STRtree, box, disjoint, equals_exact, intersection, polygons, union_all
from shapely import transform as transform_points
from shapely.affinity import affine_transform
from shapely.geometry.base import BaseGeometry

from geotranslate.checks import shown
from geotranslate.chips.chip import EDGE, Mask, covered
from geotranslate.chips.split.methods import Split, grown
from geotranslate.chips.vectors import Ground
from geotranslate.errors import InvalidInputError
from geotranslate.raster.grid import Grid

LEAST_LEFT = 0.05
"""Smallest share of unhidden valid pixels of a training chip, as a step takes as long for few
pixels. It is below 1/16, the share of a chip that an overlap of three quarters leaves at a
corner."""
BENT = 0.01
"""Share of a pixel by which ground is grown after its transformation to another CRS."""

ValidPixels = Callable[[int], NDArray[np.bool_]]
"""Function from the position of a pair to its pixels `(rows, cols)` valid on both sides."""


@dataclass(frozen=True, slots=True)
class GroundShares:
    """Shares of the ground that chips cover, 0 to 1."""

    training: float
    validation: float
    neither: float
    tests: float = 0.0
    """Ground of tests that is not for validation."""

    @classmethod
    def of(cls, split: Split, outlines: gpd.GeoSeries) -> GroundShares:
        """Measure the ground of training, of validation, of tests, and of none of them."""
        shapes = outlines.to_numpy()
        whole, validation = union_all(shapes), union_all(shapes[list(split.validation)])
        training = union_all(shapes[list(split.train)])
        if split.hidden is not None:
            training = training.difference(split.hidden)
        tests = union_all(shapes[list(split.tests)]).difference(validation)
        trained, validated, tested = (
            float(part.area / whole.area) for part in (training, validation, tests)
        )
        return cls(trained, validated, max(0.0, 1 - trained - validated - tested), tested)

    @property
    def lost(self) -> float:
        """Share of the ground outside of validation and tests that is not used for training."""
        rest = self.training + self.neither
        return self.neither / rest if rest else 0.0

    def __str__(self) -> str:
        tests = f"{self.tests:.1%} tests, " if self.tests else ""
        return (
            f"{self.training:.1%} training, {self.validation:.1%} validation, {tests}"
            f"{self.neither:.1%} neither"
        )


def share_of_tests(split: Split, outlines: gpd.GeoSeries) -> float:
    """Return the share of the ground of training chips that chips for tests show too, 0 to 1."""
    if not (split.train and split.tests):
        return 0.0
    shapes = outlines.to_numpy()
    training, tests = (union_all(shapes[list(part)]) for part in (split.train, split.tests))
    return float(training.intersection(tests).area / training.area)


def keep_apart(split: Split, outlines: gpd.GeoSeries, buffer: float = 0.0) -> Split:
    """Leave out training pairs that share ground with validation or tests, or are too near.

    Use it if both sides of a chip contribute to training.

    Args:
        split: The split that was chosen.
        outlines: Outlines of the chips, in one CRS.
        buffer: Least distance between training chips and others in CRS units.

    Raises:
        InvalidInputError: None is left to train on, or the buffer is no distance.
    """
    _check_buffer(buffer)
    ground = Ground(list(outlines))
    near = ground.sharing(split.held)
    if buffer:
        near |= ground.within(split.held, buffer)
    return _without(split, near & set(split.train))


def hide_validation(
    split: Split,
    outlines: gpd.GeoSeries,
    grids: Sequence[Grid],
    valid: ValidPixels,
    buffer: float = 0.0,
    area: BaseGeometry | None = None,
) -> Split:
    """Hide the ground of validation and of tests in the targets of training pairs.

    A pixel is hidden if any part of it lies in the footprint of a pair for validation or tests,
    nearer to one than the buffer, or in the area. Pairs whose share of valid pixels that are
    not hidden is below `LEAST_LEFT` are left out.

    Args:
        split: The split that was chosen.
        outlines: Footprints of all pairs, in one CRS.
        grids: Grids of all pairs.
        valid: Function that returns valid pixels, called in threads for pairs near such ground.
        buffer: Least distance between training ground and such ground in CRS units.
        area: Further ground to hide, in the CRS of the outlines.

    Raises:
        InvalidInputError: None is left to train on, or the buffer is no distance.
    """
    _check_buffer(buffer)
    crs = None if outlines.crs is None else CRS.from_user_input(outlines.crs)
    shapes = outlines.to_numpy()
    held = [grown(_outline(grids[i], shapes[i], crs), buffer) for i in split.held]
    if area is not None and not area.is_empty:
        held.append(area)
    train = np.array(split.train)
    # One pixel more, as outlines in another CRS are straight where the ground bends.
    reach = [_pixel(grids[i], shapes[i]) for i in split.train]
    found = STRtree(held).query(shapes[train], predicate="dwithin", distance=reach)
    positions, places = train[found[0]], found[1]
    apart = _only_touching(positions, np.array(held, object)[places], grids, shapes)
    near: dict[int, list[int]] = {}
    for position, place in zip(positions[~apart].tolist(), places[~apart].tolist(), strict=True):
        near.setdefault(position, []).append(place)

    def look(position: int) -> tuple[Mask | None, bool]:
        ground = [held[i] for i in near[position]]
        hidden = _hidden(ground, crs, grids[position], shapes[position])
        if not hidden.any():
            return None, True
        left = int(np.count_nonzero(valid(position) & ~hidden))
        return Mask.of(hidden), left >= LEAST_LEFT * hidden.size

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        looks = dict(zip(near, threads.map(look, near), strict=True))
    kept = _without(split, [position for position, (_, enough) in looks.items() if not enough])
    masks = {
        position: mask for position, (mask, enough) in looks.items() if enough and mask is not None
    }
    return replace(kept, masks=masks, hidden=union_all(held))


def _only_touching(
    positions: NDArray[np.intp],
    ground: NDArray[np.object_],
    grids: Sequence[Grid],
    shapes: NDArray[np.object_],
) -> NDArray[np.bool_]:
    """Tell which chips share no pixel with some ground, as neighbors that only touch it.

    Outlines in another CRS than their grid are not told apart.

    Args:
        positions: Positions of the chips `(n,)`.
        ground: A shape for each.
        grids: Grids of all pairs.
        shapes: Outlines of all pairs.
    """
    chips, back = np.unique(positions, return_inverse=True)
    near = [grids[i] for i in chips]
    plain = equals_exact(polygons(_corners(near, 0.0)), shapes[chips])
    # Half of what a chip may be overlapped unnoticed: then no pixel is hidden in it.
    inside = polygons(_corners(near, EDGE / 2))
    found: NDArray[np.bool_] = plain[back] & disjoint(inside[back], ground)
    return found


def _corners(grids: Sequence[Grid], inset: float) -> NDArray[np.float64]:
    """Return the corners `(n, 4, 2)` of grids on the ground, inset by a share of a pixel."""
    places = np.array([grid.transform[:6] for grid in grids]).reshape(-1, 6, 1)
    width, height = (
        np.array([[getattr(grid, side)] for grid in grids], float).reshape(-1, 1)
        for side in ("width", "height")
    )
    a, b, c, d, e, f = places.swapaxes(0, 1)
    xs = np.where([False, True, True, False], width - inset, inset)
    ys = np.where([False, False, True, True], height - inset, inset)
    return np.stack([xs * a + ys * b + c, xs * d + ys * e + f], axis=-1)


def _check_buffer(buffer: float) -> None:
    if not 0 <= buffer < math.inf:
        raise InvalidInputError(f"buffer is {shown(buffer)}; give a distance of 0 or more.")


def _without(split: Split, lost: Iterable[int]) -> Split:
    """Return the split without some training pairs.

    Raises:
        InvalidInputError: It has no other ones.
    """
    lost = set(lost)
    train = tuple(i for i in split.train if i not in lost)
    if not train:
        others = "validation or test chips" if split.tests else "validation chips"
        raise InvalidInputError(
            f"Each of the {len(split.train)} training chips lies on the ground of {others} "
            "or within the buffer, but for too little to learn from, so none is left to train on; "
            "keep the two apart, export more chips, or lower val_split_pct or the buffer."
        )
    return replace(split, train=train, left_out=tuple(sorted({*split.left_out, *lost})))


def _outline(grid: Grid, outline: BaseGeometry, crs: CRS | None) -> BaseGeometry:
    """Return a footprint in another CRS, with points along its sides so that they may bend."""
    if outline == grid.footprint:
        return outline
    return _moved(grid.footprint.segmentize(4 * min(grid.resolution)), grid.crs, crs)


def _hidden(
    ground: Sequence[BaseGeometry], crs: CRS | None, grid: Grid, outline: BaseGeometry
) -> NDArray[np.bool_]:
    """Return the pixels of a grid that overlap some ground.

    Args:
        ground: Shapes in a CRS.
        crs: CRS of these shapes.
        grid: The pixels.
        outline: Their footprint in this CRS.
    """
    pixel = _pixel(grid, outline)
    left, bottom, right, top = outline.bounds
    frame = box(left - pixel, bottom - pixel, right + pixel, top + pixel)
    near = union_all(intersection(np.array(ground, object), frame))
    moved = outline != grid.footprint
    if moved:
        near = _moved(near.segmentize(pixel), crs, grid.crs, about=grid.footprint.centroid.x)
    a, b, c, d, e, f = (~grid.transform)[:6]
    pixels = affine_transform(near, [a, b, d, e, c, f])
    return covered(pixels.buffer(BENT) if moved else pixels, grid.height, grid.width)


def _pixel(grid: Grid, outline: BaseGeometry) -> float:
    """Return the side of a pixel in units of an outline's CRS."""
    return float((outline.area / (grid.height * grid.width)) ** 0.5)


def _moved(
    shape: BaseGeometry, crs: CRS | None, other: CRS | None, about: float | None = None
) -> BaseGeometry:
    """Return a shape with its points in another CRS; degrees within half a turn of a meridian."""

    def move(points: NDArray[np.float64]) -> NDArray[np.float64]:
        xs, ys = map(np.asarray, transform(crs, other, *points.T))
        if about is not None and other is not None and other.is_geographic:
            xs = xs - 360 * np.round((xs - about) / 360)
        return np.stack([xs, ys], axis=1)

    return transform_points(shape, move)
