from __future__ import annotations

import math

import geopandas as gpd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import box

from geotranslate.chips.split import Split
from geotranslate.report.charts import (
    HEIGHT,
    WIDTH,
    curves_of,
    ground_by_part,
    nice_ticks,
    split_map,
)


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_ticks_are_few_and_cover_the_range(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    if 0 < high - low < 1e-6 * max(abs(low), abs(high)):
        return
    ticks = nice_ticks(low, high)
    slack = (ticks[-1] - ticks[0]) * 1e-6
    assert 2 <= len(ticks) <= 6
    assert ticks[0] <= low + slack and ticks[-1] >= high - slack


def test_curves_have_a_point_for_each_known_value() -> None:
    rows = [{"loss": 3.0}, {"loss": 1.0, "mae": math.nan}, {"loss": 2.0, "mae": 4.0}]
    loss, mae = curves_of(rows)
    points = [tuple(map(float, each.split(","))) for each in loss.points.split()]
    assert [x for x, _ in points] == [0, WIDTH / 2, WIDTH]
    heights = [y for _, y in points]
    assert heights[0] < heights[2] < heights[1] and all(0 <= y <= HEIGHT for y in heights)
    assert (loss.last, mae.last, loss.dot) == ("2", "4", None)
    assert mae.dot is not None and mae.dot[0] == WIDTH
    assert curves_of([]) == () == curves_of([{"a": math.nan}])


def test_grounds_do_not_overlap_and_hidden_ground_is_no_training_ground() -> None:
    outlines = gpd.GeoSeries([box(x, 0, x + 2, 2) for x in (0, 1, 4, 6)], crs=32633)
    split = Split((0, 3), (1,), (2,), hidden=box(1, 0, 3, 2))
    found = ground_by_part(outlines, split)
    assert {name: ground.area for name, ground in found.items()} == pytest.approx(
        {"train": 6, "val": 4, "test": 0, "left out": 4}
    )
    drawn = split_map("source", outlines, split, [])
    assert [area.name for area in drawn.areas] == ["train", "val", "left out"]
    assert "EPSG:32633" in drawn.caption and drawn.caption.startswith("source: ")
    assert drawn.width / drawn.height == pytest.approx(4)
