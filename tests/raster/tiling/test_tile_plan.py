"""Every tile is somebody's own, and plans are small."""

from __future__ import annotations

import pickle
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotranslate.raster.tiling.axis import Axis
from geotranslate.raster.tiling.region import Region
from geotranslate.raster.tiling.tile_plan import BLOCK, Plan, part_height


def plan_of(height: int, width: int, tiling: tuple[int, int, int], region: Region) -> Plan:
    rows, cols = Axis(height, *tiling), Axis(width, *tiling)
    return Plan(rows, cols, Fraction(1), region, 256)


@given(
    st.integers(1, 900),
    st.integers(1, 900),
    st.sampled_from([(32, 8, 0), (64, 32, 0), (64, 0, 0), (64, 20, 10), (80, 16, 4), (300, 9, 0)]),
    st.integers(1, 4),
    st.integers(0, 200),
)
def test_every_tile_is_owned_by_one_stripe_of_one_part(
    height: int, width: int, tiling: tuple[int, int, int], stripes: int, first: int
) -> None:
    left, top = min(first, width - 1), min(first, height - 1)
    plan = plan_of(height, width, tiling, Region(top, height, left, width))
    owned = []
    for part, rows in enumerate(plan.parts):
        before = len(owned)
        for region in plan.stripes(Region(rows.start, rows.stop, left, width), stripes):
            owned += list(product(*plan.owned(region)))
        assert plan.tiles_of(part) == len(owned) - before
    assert sorted(owned) == sorted(product(*plan.tiles_in(plan.region)))


@pytest.mark.parametrize("tile", [64, 256])
def test_plan_of_a_huge_scene_is_small_on_its_way_to_workers(tile: int) -> None:
    plan = plan_of(300_000, 300_000, (tile, 16, 0), Region(0, 300_000, 0, 300_000))
    total = sum(map(plan.tiles_of, range(len(plan.parts))))
    assert total == len(plan.rows) * len(plan.cols)
    sent = pickle.dumps(plan)
    assert len(sent) < 1000
    assert pickle.loads(sent) == plan


@pytest.mark.parametrize("side", [1_000, 10_000, 40_000, 300_000])
@pytest.mark.parametrize("tile", [64, 256, 512])
def test_parts_are_many_enough_to_share_and_not_too_small_to_pay(side: int, tile: int) -> None:
    height = part_height(side, tile)
    assert height % BLOCK == 0
    assert height >= 4 * tile
    assert height * side < 2 * max(2**22, 4 * tile * side)
