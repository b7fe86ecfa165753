from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.warp import transform

from geotranslate.chips.split.apart import hide_validation
from geotranslate.chips.split.methods import SplitMethod, split_pairs
from geotranslate.chips.vectors.area import Ground, footprints
from geotranslate.errors import GridMismatchError, InvalidInputError
from geotranslate.raster.grid import Grid

DEGREES = CRS.from_epsg(4326)
SIDE = 32
LOCAL = CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1]]')


def maps(longitude: float, latitude: float) -> list[CRS]:
    """Return CRSs in which a place may be mapped."""
    if abs(latitude) > 80:
        return [CRS.from_epsg(code) for code in ((3995, 3413) if latitude > 0 else (3031, 3976))]
    zone = int((longitude + 180) // 6) % 60
    zones = [CRS.from_epsg(32601 + other % 60) for other in (zone, zone - 1, zone + 1)]
    return [DEGREES, *zones]


def chip(crs: CRS, longitude: float, latitude: float, metres: float) -> Grid:
    """Return a chip of about so many metres about a place."""
    if crs.is_geographic:
        high = metres / 111_000
        wide = high / np.cos(np.radians(latitude))
        corner = (longitude - wide / 2, latitude + high / 2)
    else:
        (x,), (y,) = transform(DEGREES, crs, [longitude], [latitude])
        high = wide = metres
        corner = (x - metres / 2, y + metres / 2)
    place = Affine.translation(*corner) @ Affine.scale(wide / SIDE, -high / SIDE)
    return Grid(crs, place, SIDE, SIDE)


def overlap(one: Grid, other: Grid, pixels: NDArray[np.bool_] | None = None) -> bool:
    """Tell whether points of one grid lie well inside another, found pixel by pixel."""
    steps = np.linspace(0.001, 0.999, 25 if pixels is None else 65) * SIDE
    cols, rows = np.meshgrid(steps, steps)
    if pixels is not None:
        learned = pixels[rows.astype(int), cols.astype(int)]
        cols, rows = cols[learned], rows[learned]
    xs, ys = one.transform @ (cols, rows)
    points = transform(one.crs, DEGREES, xs.ravel(), ys.ravel())
    longitudes, latitudes = np.array(points)
    if other.crs == DEGREES:
        longitudes -= 360 * np.round((longitudes - other.transform.c) / 360)
        moved = (longitudes, latitudes)
    else:
        moved = np.array(transform(DEGREES, other.crs, longitudes, latitudes))
    cols, rows = ~other.transform @ tuple(np.asarray(moved))
    edge = 0.1 if pixels is None else 0.01
    inside = (np.minimum(cols, rows) > edge) & (np.maximum(cols, rows) < SIDE - edge)
    return bool(inside.any())


@st.composite
def scattered(draw: st.DrawFn) -> list[Grid]:
    """Return chips in several CRSs about one place, or two on opposite sides of the Earth."""
    longitude = draw(st.sampled_from([180.0, -179.95, 0.0, 177.0, 30.0, -90.0]))
    latitude = draw(st.sampled_from([0.0, 60.0, -75.0, 89.95, -89.95, 45.0]))
    places = [(longitude, latitude)]
    if draw(st.booleans()):
        places.append(((longitude + 360) % 360 - 180, -latitude))
    return [
        chip(draw(st.sampled_from(maps(*place))), *near, draw(st.sampled_from([4000, 9000])))
        for place in places
        for _ in range(draw(st.integers(3, 6)))
        for near in [
            (
                place[0] + draw(st.floats(-0.1, 0.1)) / max(np.cos(np.radians(place[1])), 0.02),
                np.clip(place[1] + draw(st.floats(-0.1, 0.1)), -89.99, 89.99),
            )
        ]
    ]


@settings(max_examples=40)
@given(scattered(), st.integers(0, 9), st.sampled_from(["auto", "random", "block"]))
def test_no_validation_ground_is_learned_from_whatever_the_maps_and_wherever_on_earth(
    grids: list[Grid], seed: int, method: SplitMethod
) -> None:
    outlines = list(footprints(grids))
    found = {tuple(pair) for pair in Ground(outlines).overlaps().tolist()}
    for a, one in enumerate(grids):
        for b, other in enumerate(grids):
            if a != b and overlap(one, other):
                assert (a, b) in found
    chosen = split_pairs(len(grids), 0.3, seed, outlines, method=method)
    try:
        split = hide_validation(
            chosen, footprints(grids), grids, lambda _: np.ones((SIDE, SIDE), bool)
        )
    except InvalidInputError as error:
        assert "none is left to train on" in str(error)
        return
    for a in split.train:
        mask = split.masks.get(a)
        learned = np.ones((SIDE, SIDE), bool) if mask is None else ~mask.hidden
        near = [b for b in split.validation if outlines[a].intersects(outlines[b])]
        assert not any(overlap(grids[a], grids[b], learned) for b in near)


@given(st.floats(-180, 180), st.floats(-85, 85))
def test_outlines_in_several_crs_are_in_metres_about_their_middle(
    longitude: float, latitude: float
) -> None:
    grids = [chip(crs, longitude, latitude, 5000) for crs in maps(longitude, latitude)[:2]]
    outlines = footprints(grids)
    # Polar and UTM maps scale by some percent.
    np.testing.assert_allclose(outlines.area / 5000**2, 1, atol=0.1)
    assert np.abs(outlines.total_bounds).max() < 10_000


def test_chips_on_both_sides_of_the_180th_meridian_are_as_far_apart_as_they_are() -> None:
    east = chip(CRS.from_epsg(32660), 179.95, 10, 4000)
    west = chip(CRS.from_epsg(32601), -179.95, 10, 4000)
    one, other = footprints([east, west])
    gap = 0.1 * 111_320 * np.cos(np.radians(10)) - 4000
    assert one.distance(other) == pytest.approx(gap, rel=0.01)


def test_degrees_beyond_180_are_the_same_ground_as_before() -> None:
    one, other = chip(DEGREES, 180.01, 0, 4000), chip(DEGREES, -179.99, 0, 4000)
    assert len(Ground(list(footprints([one, other]))).overlaps()) == 2


def test_chips_in_one_crs_keep_it() -> None:
    grids = [chip(CRS.from_epsg(32633), 15, 50, 4000), chip(CRS.from_epsg(32633), 15.1, 50, 4000)]
    outlines = footprints(grids)
    assert outlines.crs == "EPSG:32633"
    assert [*outlines] == [grid.footprint for grid in grids]
    halves = [Grid(DEGREES, Affine(1, 0, left, 0, -1, 90), 180, 180) for left in (0, 180)]
    assert footprints(halves).crs == "EPSG:4326"


def test_chips_of_half_the_world_are_outlined_in_degrees() -> None:
    world = Grid(DEGREES, Affine(1, 0, -180, 0, -1, 90), 180, 360)
    outlines = footprints([world, chip(CRS.from_epsg(32633), 15, 50, 4000)])
    assert outlines.crs == "EPSG:4326"
    assert len(Ground(list(outlines)).overlaps()) == 2


def test_crs_without_a_way_to_the_others_is_named() -> None:
    here = chip(CRS.from_epsg(32633), 15, 50, 4000)
    site = Grid(LOCAL, here.transform, SIDE, SIDE)
    assert len(footprints([site, site])) == 2
    with pytest.raises(
        GridMismatchError, match=r"differ in CRS \(EPSG:32633 and LOCAL_CS.* no way"
    ):
        footprints([here, site])
