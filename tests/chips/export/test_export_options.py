from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.enums import Resampling

from geotranslate.chips.export.exportoptions import ExportOptions
from geotranslate.errors import InvalidInputError


@given(st.integers(1, 2**20), st.none() | st.integers(1, 2**20))
def test_step_is_the_stride_or_the_side_of_a_tile(tile_size: int, stride: int | None) -> None:
    options = ExportOptions(tile_size=tile_size, stride=stride)
    assert options.steps == 2 * (tile_size if stride is None else stride,)
    assert options.size == (tile_size, tile_size)


def test_sides_and_steps_may_differ() -> None:
    options = ExportOptions(tile_size=[20, 30], stride=(5, 6))
    assert (options.size, options.steps) == ((20, 30), (5, 6))
    assert ExportOptions(tile_size=(20, 30)).steps == (20, 30)


@pytest.mark.parametrize("value", [(1,), (1, 2, 3), (0, 3), ("a", 2), {"a": 1}, (1, 2.5), []])
@pytest.mark.parametrize("name", ["tile_size", "stride"])
def test_other_sizes_are_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=rf"{name}.* is .*; give "):
        ExportOptions(**{name: value})


@given(st.floats(1, 359))
def test_angles_are_all_multiples_below_a_full_turn(rotation_angle: float) -> None:
    angles = ExportOptions(rotation_angle=rotation_angle).angles
    assert angles[0] == 0
    assert angles[-1] < 360 <= angles[-1] + rotation_angle * (1 + 1e-9)
    assert ExportOptions().angles == [0.0]


@pytest.mark.parametrize("method", ["cubic", Resampling.cubic])
def test_method_is_given_by_name_or_as_it_is(method: Any) -> None:
    assert ExportOptions(resampling=method).method == Resampling.cubic
    assert ExportOptions().method is None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"overwrite": True, "append": True}, "overwrite and append exclude each other"),
        ({"rotation_angle": 0.5}, "rotation_angle is 0.5, by which every tile would be written"),
        ({"tile_size": 0}, "tile_size is 0"),
        ({"min_valid": 2}, "min_valid is 2"),
        ({"resampling": "best"}, "resampling is 'best'"),
        ({"progress": 1}, "progress is 1"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        ExportOptions(**options)
