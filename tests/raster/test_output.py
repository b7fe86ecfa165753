from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS

from geotranslate.errors import InvalidInputError
from geotranslate.raster.dtypes import DTYPES
from geotranslate.raster.grid import Grid
from geotranslate.raster.output import Output
from geotranslate.raster.points import GroundPoints
from tests.conftest import GRIDS
from tests.raster.written import output

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
GROUND = st.builds(
    GroundPoints,
    st.lists(st.tuples(*[NUMBERS] * 5)).map(tuple),
    st.sampled_from([None, CRS.from_epsg(4326)]),
)
COLORS = st.tuples(*[st.integers(0, 255)] * 4)


@st.composite
def outputs(draw: st.DrawFn) -> Output:
    bands, dtype = draw(st.integers(1, 4)), draw(st.sampled_from(DTYPES))
    crs = draw(st.sampled_from([None, *map(CRS.from_epsg, (32633, 4326, 3035, 5773))]))
    transform = draw(st.sampled_from([Affine.identity(), *GRIDS.values()]))
    nodata = [None, 0, 7.0] + (["nan", "inf", -1e30, 0.1] if "float" in dtype else [])
    drawn = draw(st.sampled_from(nodata))
    colored = bands == 1 and dtype in ("uint8", "uint16")

    def each(kind: st.SearchStrategy[Any]) -> tuple[Any, ...]:
        return draw(st.sampled_from([0, bands]).flatmap(lambda n: st.tuples(*[kind] * n)))

    return Output(
        Grid(crs, transform, 3, 4),
        bands,
        dtype,
        None if drawn is None else float(drawn),
        masked=draw(st.booleans()),
        categorical=draw(st.booleans()),
        band_names=each(st.text()),
        colors=each(st.sampled_from(["red", "nir", "undefined", "Cb"])),
        scales=each(NUMBERS),
        offsets=each(NUMBERS),
        units=each(st.text()),
        colormap=draw(st.dictionaries(st.integers(0, 255), COLORS)) if colored else None,
        gcps=draw(st.none() | GROUND),
        rpcs=draw(st.dictionaries(st.text(), st.text())),
        tags=draw(st.dictionaries(st.text(), st.text())),
    )


@given(outputs())
def test_facts_survive_json_exactly(given: Output) -> None:
    text = json.dumps(given.to_json(), allow_nan=False)
    back = Output.from_json(json.loads(text))
    assert json.dumps(back.to_json()) == text
    assert back.grid == given.grid
    assert repr(back.nodata) == repr(given.nodata)
    names = ("bands", "dtype", "masked", "categorical", "colormap", "gcps", "rpcs", "tags")
    per_band = ("band_names", "colors", "scales", "offsets", "units")
    for name in (*names, *per_band):
        assert getattr(back, name) == getattr(given, name)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("nodata", [None, 7.0])
def test_invalid_pixels_have_one_mark(dtype: str, masked: bool, nodata: float | None) -> None:
    facts = output(dtype=dtype, masked=masked, nodata=nodata)
    by_nan = masked and nodata is None and dtype.startswith("float")
    assert (facts.marker is not None and np.isnan(facts.marker)) == by_nan
    if nodata is not None:
        assert facts.marker == nodata
    assert facts.has_mask == (masked and nodata is None and not dtype.startswith("float"))


@pytest.mark.parametrize(
    ("nodata", "dtype"),
    [(-1, "uint8"), (256, "uint8"), (0.5, "int16"), (float("nan"), "uint16"), (1e39, "float32")],
)
def test_nodata_that_does_not_fit_is_refused(nodata: float, dtype: str) -> None:
    sentence = rf"nodata is {nodata:g}, which {dtype} cannot hold; give another nodata"
    with pytest.raises(InvalidInputError, match=sentence.replace("+", r"\+")):
        output(nodata=nodata, dtype=dtype)


@pytest.mark.parametrize("dtype", ["complex64", "rgb", "float16", "uint64"])
def test_dtype_that_is_not_written_is_refused(dtype: str) -> None:
    with pytest.raises(InvalidInputError, match=f"dtype is '{dtype}'; give one of uint8, int8"):
        output(dtype=dtype)


@pytest.mark.parametrize(
    ("name", "noun"),
    [
        ("band_names", "name"),
        ("colors", "colour interpretation"),
        ("scales", "scale"),
        ("offsets", "offset"),
        ("units", "unit"),
    ],
)
@pytest.mark.parametrize("given", [("a",), ("a", "b", "c"), "ab"])
def test_facts_for_another_number_of_bands_are_refused(name: str, noun: str, given: Any) -> None:
    sentence = rf"{name} is .*; give one {noun} for each of the 2 bands of the output, or none\."
    with pytest.raises(InvalidInputError, match=sentence):
        output(bands=2, **{name: given})


def test_unknown_colour_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="colors has 'pink'; give names of rasterio's"):
        output(colors=("pink",))


@pytest.mark.parametrize("facts", [{"bands": 2}, {"dtype": "int16"}, {"dtype": "float32"}])
def test_colormap_where_none_can_be_is_refused(facts: dict[str, Any]) -> None:
    sentence = "colormap is given for .* bands of .*; only one band of uint8 or uint16"
    with pytest.raises(InvalidInputError, match=sentence):
        output(colormap={1: (1, 2, 3, 255)}, **facts)


@pytest.mark.parametrize(
    "colormap", [{256: (1, 2, 3, 255)}, {-1: (1, 2, 3, 255)}, {1: (1, 2, 3)}, {1: (1, 2, 300, 0)}]
)
def test_colormap_that_does_not_fit_is_refused(colormap: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"colormap maps .* to \(1, 2, .*; give for values"):
        output(colormap=colormap)
