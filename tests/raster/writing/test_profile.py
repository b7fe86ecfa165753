from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.enums import ColorInterp

from geotranslate.errors import InvalidInputError
from geotranslate.raster.bandfacts import DTYPES
from geotranslate.raster.grid import Grid
from geotranslate.raster.opening import GroundControlPoints
from geotranslate.raster.writing.profile import OutputProfile, checked_tags
from tests.conftest import GRIDS
from tests.raster.writing.written import output

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
GROUND = st.builds(
    GroundControlPoints,
    st.lists(st.tuples(*[NUMBERS] * 5)).map(tuple),
    st.sampled_from([None, CRS.from_epsg(4326)]),
)
COLORS = st.tuples(*[st.integers(0, 255)] * 4)


@st.composite
def outputs(draw: st.DrawFn) -> OutputProfile:
    bands, dtype = draw(st.integers(1, 4)), draw(st.sampled_from(DTYPES))
    crs = draw(st.sampled_from([None, *map(CRS.from_epsg, (32633, 4326, 3035, 5773))]))
    transform = draw(st.sampled_from([Affine.identity(), *GRIDS.values()]))
    nodata = [None, 0, 7.0] + (["nan", "inf", -1e30, 0.1] if "float" in dtype else [])
    drawn = draw(st.sampled_from(nodata))
    colored = bands == 1 and dtype in ("uint8", "uint16")

    def each(kind: st.SearchStrategy[Any]) -> tuple[Any, ...]:
        return draw(st.sampled_from([0, bands]).flatmap(lambda n: st.tuples(*[kind] * n)))

    return OutputProfile(
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
def test_facts_survive_json_exactly(given: OutputProfile) -> None:
    text = json.dumps(given.to_json(), allow_nan=False)
    back = OutputProfile.from_json(json.loads(text))
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
        ("colors", "color interpretation"),
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


def test_unknown_color_is_refused() -> None:
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


def test_lowest_float32_may_be_given_as_it_is_printed() -> None:
    lowest = float(np.finfo("float32").min)
    for printed in (-3.40282346638529e38, -3.4028235e38, lowest):
        assert output(nodata=printed, dtype="float32").marker == lowest
    with pytest.raises(InvalidInputError, match="float32 cannot hold"):
        output(nodata=-3.41e38, dtype="float32")


@pytest.mark.parametrize("dtype", [np.dtype("uint8"), np.uint8, "u1", "uint8"])
def test_dtype_of_numpy_is_its_name(dtype: Any) -> None:
    assert output(dtype=dtype).dtype == "uint8"


def test_values_of_numpy_and_rasterio_become_plain() -> None:
    facts = output(
        bands=2,
        dtype=np.float32,
        nodata=np.int16(-1),
        band_names=("a", None),
        units=[None, "m"],
        scales=np.array([0.5, 2], "float32"),
        offsets=np.array([1, 2]),
        colors=[ColorInterp.red, "nir"],
        tags={"epoch": 3, 5: np.float32(0.5), "none": None},
    )
    assert (facts.band_names, facts.units) == (("a", ""), ("", "m"))
    assert (facts.scales, facts.offsets) == ((0.5, 2.0), (1.0, 2.0))
    assert facts.colors == ("red", "nir")
    assert facts.tags == {"epoch": "3", "5": "0.5", "none": "None"}
    json.dumps(facts.to_json(), allow_nan=False)
    table = output(colormap={np.uint8(1): np.array([1, 2, 3, 4])}).colormap
    assert table == {1: (1, 2, 3, 4)}
    json.dumps(output(colormap=table).to_json())


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"band_names": [1, 2]}, "band_names has 1; give a text for every band"),
        ({"units": [1, 2]}, "units has 1; give a text for every band"),
        ({"scales": [1, None]}, "scales has None; give a finite number for every band"),
        ({"offsets": [1, float("nan")]}, "offsets has nan; give a finite number"),
        ({"scales": 2}, "scales is 2; give one scale for each of the 2 bands"),
        ({"colors": [1, 2]}, "colors has 1; give names of rasterio's ColorInterp"),
        ({"tags": "epoch=3"}, "tags is 'epoch=3'; give a dict"),
        ({"nodata": "nan"}, r"nodata is 'nan'; give a number, float\('nan'\) for NaN"),
        ({"nodata": True}, "nodata is True; give a number"),
        ({"dtype": 7}, "dtype is 7; give one of"),
        ({"bands": 1, "colormap": [1]}, r"colormap is \[1\]; give a dict"),
        ({"bands": 1, "colormap": {"a": (1, 2, 3, 4)}}, "colormap maps 'a'"),
        ({"bands": 1, "colormap": {1: 2}}, "colormap maps 1 to 2"),
        ({"bands": 1, "colormap": {1: "abcd"}}, "colormap maps 1 to 'abcd'"),
    ],
)
def test_values_that_are_none_are_said(facts: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        output(**{"bands": 2, **facts})


def test_tags_that_cannot_be_text_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"^tags is a dict with too many digits; give text"):
        checked_tags({"count": 10**5000})
