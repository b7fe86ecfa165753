from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geotranslate.errors import InvalidInputError
from geotranslate.raster.pipeline.translate_options import ReadOptions, RunOptions
from geotranslate.raster.reader import RasterReader
from geotranslate.raster.tiling.overlap import TilingOptions
from geotranslate.raster.writing.profile import OutputOptions
from tests.conftest import WriteRaster, values


@pytest.mark.parametrize(
    ("kind", "options", "sentence"),
    [
        (RunOptions, {"batch_size": 0}, "batch_size is 0; give a whole number of at least 1."),
        (RunOptions, {"resume": "yes"}, "resume is 'yes'; give True or False."),
        (RunOptions, {"executor": 3}, "executor is int, which has no submit(); give a"),
        (RunOptions, {"part": "0/4"}, "part is '0/4'; give the share to compute"),
        (RunOptions, {"part": (5, 4)}, "part is (5, 4); give the share to compute"),
        (RunOptions, {"part_rows": 100}, "part_rows is 100; give a multiple of 256."),
        (RunOptions, {"max_memory": 0}, "max_memory is 0; give a whole number of at least 1."),
        (RunOptions, {"identity": {"model": 3}}, "identity is {'model': 3}; give a text, or a"),
        (TilingOptions, {"tile_size": 0}, "tile_size is 0; give a whole number of at least 1"),
        (TilingOptions, {"padding": -1}, "padding is -1; give a whole number of at least 0"),
        (TilingOptions, {"blend": None}, "blend is None; give 'auto', 'hann' or 'crop'."),
        (TilingOptions, {"scale": 0}, "scale is 0; give output pixels per source pixel"),
        (OutputOptions, {"bands": 0}, "bands_out is 0; give a whole number of at least 1"),
        (OutputOptions, {"bands": 1, "driver": "PNG"}, "driver is 'PNG'; give 'COG' or 'GTiff'."),
        (OutputOptions, {"bands": 1, "tags": "text"}, "tags is 'text'; give a dict from names"),
    ],
)
def test_options_check_themselves(kind: Any, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInputError, match=re.escape(sentence)):
        kind(**options)


@given(st.integers(1, 99), st.integers(0, 99))
def test_share_is_read_from_text_and_numbers(index: int, more: int) -> None:
    shares = index + more
    assert RunOptions(part=f"{index}/{shares}").share == (index, shares)
    assert RunOptions(part=(index, shares)).share == (index, shares)


def test_run_without_a_part_computes_all() -> None:
    assert RunOptions().share == (1, 1)


@given(st.integers(1, 64), st.integers(1, 64))
def test_scale_is_a_fraction_also_from_floats(output: int, source: int) -> None:
    factor = Fraction(output, source)
    assert TilingOptions(scale=factor).factor == factor
    assert TilingOptions(scale=output / source).factor == factor


def test_executor_is_taken() -> None:
    with ThreadPoolExecutor() as executor:
        assert RunOptions(executor=executor).executor is executor


def test_bands_box_and_fill_are_plain_on_a_raster(write_raster: WriteRaster) -> None:
    def box() -> Iterator[int]:
        yield from (0, 1, 2, 3)

    with RasterReader(write_raster("a.tif", values((3, 20, 30), "uint8")), [2, 3]) as reader:
        options = ReadOptions([2, 3], None, box(), [1, 2]).on(reader)  # type: ignore[arg-type]
    assert options == ReadOptions((2, 3), None, (0.0, 1.0, 2.0, 3.0), (1.0, 2.0))
