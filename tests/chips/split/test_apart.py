from __future__ import annotations

from collections.abc import Sequence

import geopandas as gpd
import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.crs import CRS
from shapely import area, box, intersection, polygons, union_all
from shapely.geometry.base import BaseGeometry

from geotranslate.chips.chip import covered as covered_pixels
from geotranslate.chips.split.apart import (
    LEAST_LEFT,
    GroundShares,
    hide_validation,
    keep_apart,
    share_of_tests,
)
from geotranslate.chips.split.methods import Split, split_pairs
from geotranslate.chips.vectors.area import footprints
from geotranslate.errors import InvalidInputError
from geotranslate.raster.grid import Grid

UTM = CRS.from_epsg(32633)
SIDE = 12


def hidden(split: Split, grids: Sequence[Grid], buffer: float = 0.0, area: object = None) -> Split:
    def valid(position: int) -> NDArray[np.bool_]:
        return np.ones((grids[position].height, grids[position].width), bool)

    return hide_validation(split, footprints(grids), grids, valid, buffer, area)


def pixels(grid: Grid) -> NDArray[np.object_]:
    """Return the outlines of all pixels `(rows, cols)`."""
    rows, cols = np.mgrid[: grid.height, : grid.width]
    corners = [(0, 0), (1, 0), (1, 1), (0, 1)]
    points = [np.stack(grid.transform @ (cols + x, rows + y), axis=-1) for x, y in corners]
    return polygons(np.stack(points, axis=-2))


def shown(split: Split, grids: Sequence[Grid], position: int) -> NDArray[np.bool_]:
    mask = split.masks.get(position)
    size = (grids[position].height, grids[position].width)
    return np.ones(size, bool) if mask is None else ~mask.hidden


def line(count: int, stride: int, size: int = SIDE) -> list[Grid]:
    place = Affine(2, 0, 500_000, 0, -2, 5_000_000)
    return [Grid(UTM, place @ Affine.translation(i * stride, 0), size, size) for i in range(count)]


@st.composite
def chips(draw: st.DrawFn) -> list[Grid]:
    """Return chips of one CRS that lie, turn and resolve anyhow, on a grid or not, or as in it."""
    aligned = draw(st.booleans())
    found = []
    for _ in range(draw(st.integers(2, 8))):
        if aligned:
            place = Affine.translation(draw(st.integers(0, 30)) * 2.0, draw(st.integers(0, 9)) * 2)
            place = place @ Affine.scale(2, -2)
        else:
            place = Affine.translation(draw(st.floats(0, 60)), draw(st.floats(0, 20)))
            place = place @ Affine.rotation(draw(st.sampled_from([0, 90, 33, 121.5])))
            place = place @ Affine.scale(draw(st.sampled_from([1, 2, 3.7])), -2)
        crs = None if aligned else UTM
        found.append(Grid(crs, Affine.translation(500_000, 5_000_000) @ place, SIDE, SIDE))
    crs = draw(st.sampled_from([UTM, None]))
    return [Grid(crs, grid.transform, grid.height, grid.width) for grid in found]


@settings(max_examples=100)
@given(
    chips(),
    st.integers(0, 99),
    st.sampled_from([0, 0.7, 5]),
    st.sampled_from(["auto", "random", "block"]),
    st.integers(0, 3),
)
def test_no_target_pixel_of_validation_or_test_ground_is_learned_from(
    grids: list[Grid], seed: int, buffer: float, method: str, tests: int
) -> None:
    outlines = list(footprints(grids))
    chosen = split_pairs(len(grids), 0.3, seed, outlines, method=method, buffer=buffer)
    kept = chosen.train[1 : 1 + tests]
    train = tuple(i for i in chosen.train if i not in kept)
    chosen = Split(train, chosen.validation, kept, kept)
    try:
        split = hidden(chosen, grids, buffer)
    except InvalidInputError as error:
        assert "none is left to train on" in str(error)
        return
    held = union_all([outlines[i].buffer(buffer, 64) for i in split.validation + kept])
    assert sorted(split.train + split.validation + split.left_out) == list(range(len(grids)))
    assert (split.validation, split.tests) == (chosen.validation, kept)
    for position in split.train:
        learned = shown(split, grids, position)
        assert learned.mean() >= LEAST_LEFT
        share = area(intersection(pixels(grids[position]), held)) / outlines[position].area
        assert share[learned].max() * SIDE**2 < 1e-5
        # And no more is hidden than has to be.
        further = union_all([outlines[i].buffer(buffer * 1.002) for i in split.held])
        assert (area(intersection(pixels(grids[position]), further)) > 0)[~learned].all()


@given(st.integers(2, 40), st.integers(1, 20), st.integers(0, 99), st.floats(0.05, 0.5))
def test_ground_outside_validation_is_trained_on_whatever_the_stride(
    count: int, stride: int, seed: int, share: float
) -> None:
    grids = line(count, stride)
    outlines = footprints(grids)
    chosen = split_pairs(count, share, seed, list(outlines))
    try:
        split = hidden(chosen, grids)
    except InvalidInputError:
        assert (count - 1) * stride < SIDE
        return
    assert GroundShares.of(split, outlines).lost <= LEAST_LEFT
    learned = sum(shown(split, grids, i).sum() for i in split.train)
    assert learned >= LEAST_LEFT * SIDE**2


def test_pairs_that_keep_too_little_are_left_out_by_their_valid_pixels() -> None:
    grids = line(3, 9)
    outlines = footprints(grids)
    ends = Split((0, 2), (1,))
    assert hidden(ends, grids) == ends
    for valid_columns, left_out in ((1, ()), (0, (2,))):
        valid = np.ones((SIDE, SIDE), bool)
        valid[:, 9 + valid_columns :] = False
        valid = valid if valid_columns else valid & (np.arange(SIDE) < 3)
        split = hide_validation(
            ends, outlines, grids, lambda i, v=valid: v if i == 2 else np.ones_like(v)
        )
        assert split.left_out == left_out


@pytest.mark.parametrize("angle", [0, 33])
def test_pixels_of_chips_that_only_touch_validation_ground_are_not_looked_at(
    monkeypatch: pytest.MonkeyPatch, angle: float
) -> None:
    seen: list[float] = []

    def covered(area: BaseGeometry, height: int, width: int) -> NDArray[np.bool_]:
        seen.append(area.area)
        return covered_pixels(area, height, width)

    monkeypatch.setattr("geotranslate.chips.split.apart.covered", covered)
    turned = Affine.rotation(angle) @ Affine.scale(0.15)
    grids = [
        Grid(UTM, Affine.translation(5e5, 5e6) @ turned @ Affine.translation(x, y), SIDE, SIDE)
        for x in range(0, 5 * SIDE, SIDE)
        for y in range(0, 5 * SIDE, SIDE)
    ]
    others = tuple(i for i in range(25) if i != 12)
    assert hidden(Split(others, (12,)), grids).masks == {}
    assert not seen
    moved = Affine.translation(0.01, 0.01)
    grids[12] = Grid(UTM, grids[12].transform @ moved, SIDE, SIDE)
    # Only the three chips on this side of it are overlapped.
    assert len(hidden(Split(others, (12,)), grids).masks) == len(seen) == 3


def test_further_area_is_hidden_without_its_buffer() -> None:
    grids = line(3, SIDE)
    left, _, right, top = grids[0].footprint.bounds
    split = hidden(Split((0, 1), (2,)), grids, 4, box(left, top - 6, right, top))
    expected = np.ones((SIDE, SIDE), bool)
    expected[:3] = False
    np.testing.assert_array_equal(shown(split, grids, 0), expected)
    np.testing.assert_array_equal(shown(split, grids, 1)[0], np.arange(SIDE) < SIDE - 2)


def test_shares_are_those_of_the_ground() -> None:
    grids = line(6, 6)
    outlines = footprints(grids)
    split = hidden(Split((0, 1, 2, 4), (5,), (3,)), grids, buffer=4)
    shares = GroundShares.of(split, outlines)
    # 42 columns: 12 validate, and 2 more are in the buffer.
    assert (shares.training, shares.validation) == pytest.approx((28 / 42, 12 / 42), rel=1e-9)
    assert shares.lost == pytest.approx(2 / 30)
    assert str(shares) == "66.7% training, 28.6% validation, 4.8% neither"


@pytest.mark.parametrize("buffer", [0.0, 5.0])
def test_chips_of_which_both_sides_are_learned_from_are_left_out(buffer: float) -> None:
    grids = line(8, 6)
    outlines = footprints(grids)
    split = keep_apart(Split((0, 1, 2, 3, 4, 5, 6), (7,)), outlines, buffer)
    assert split.left_out == ((5, 6) if buffer else (6,))
    assert not split.masks


def test_a_thousand_pairs_are_divided_without_loss() -> None:
    place = Affine(2, 0, 500_000, 0, -2, 5_000_000)
    grids = [
        Grid(UTM, place @ Affine.translation(64 * col, 64 * row), 256, 256)
        for row in range(20)
        for col in range(50)
    ]
    frame: gpd.GeoSeries = footprints(grids)
    chosen = split_pairs(len(grids), 0.1, 42, list(frame))
    split = hidden(chosen, grids)
    assert not split.left_out or len(split.left_out) < 20
    assert GroundShares.of(split, frame).lost < 0.01


def test_chips_that_all_overlap_cannot_be_kept_apart() -> None:
    grids = line(5, 1, size=100)
    with pytest.raises(InvalidInputError, match=r"Each of the 4 training chips lies on the ground"):
        hidden(Split((0, 1, 3, 4), (2,)), grids)


def test_equal_chips_are_not_trained_on_beside_each_other() -> None:
    grids = [line(1, 1)[0]] * 2 + line(9, 30)[7:]
    for seed in range(9):
        split = hidden(split_pairs(4, 0.25, seed, list(footprints(grids))), grids)
        assert not ({0, 1} & {*split.train} and {0, 1} & {*split.validation})


def test_shares_of_tests_are_those_of_their_ground() -> None:
    grids = line(5, 8)
    outlines = footprints(grids)
    chosen = Split((0, 1, 2), (4,), (3,), (3,))
    # 28 columns train, of which the tests show 4.
    assert share_of_tests(chosen, outlines) == pytest.approx(4 / 28)
    assert share_of_tests(Split((0, 1), (4,), (3,), (3,)), outlines) == 0
    shares = GroundShares.of(hidden(chosen, grids), outlines)
    assert str(shares) == "54.5% training, 27.3% validation, 18.2% tests, 0.0% neither"
    assert shares.lost == pytest.approx(0, abs=1e-9)
    apart = keep_apart(chosen, outlines)
    assert (apart.train, apart.left_out, apart.tests) == ((0, 1), (2, 3), (3,))
