"""`prepare_data` and what it returns meet any value of any option."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path
from typing import Any

import geopandas as gpd
import matplotlib.pyplot as plt
import numpy as np
import pytest
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from geotranslate import arcgis, prepare_data
from geotranslate.data.loaders import PairLoaders
from geotranslate.errors import InvalidInputError, RasterFileError
from tests.conftest import NORTH_UP, WriteRaster, values
from tests.wrong_values import UNPRINTABLE, WRONG, only_our_errors

OPTIONS = [name for name in inspect.signature(prepare_data).parameters if name != "path"]
HUGE = st.sampled_from([2**14, 2**20, 2**31, 2**40, 10**9, 10**12, 1e12])
VALUES = WRONG | HUGE | UNPRINTABLE | HUGE.map(lambda value: [value]) | st.just(("auto", "AtoB"))


@pytest.fixture
def places(write_raster: WriteRaster, tmp_path: Path) -> Path:
    """Return a folder with pairs, two sides that are none, and two rasters."""
    for number in range(4):
        for side in ("pairs/images", "pairs/images2", "sides/A", "sides/B"):
            place = NORTH_UP @ Affine.translation(12 * number, 0)
            data = values((2, 12, 12), "uint8", number)
            write_raster(f"{side}/{number}.tif", data, transform=place)
    for name in ("a", "b"):
        write_raster(f"{name}.tif", values((2, 24, 24), "uint8"))
    return tmp_path


def found(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if not path.name.startswith(".geotranslate")}


def prepare(places: Path, kind: str, options: dict[str, Any]) -> PairLoaders | None:
    """Prepare a kind of data, unless that ends in one of our sentences."""
    given: dict[str, Any] = {"path": places / kind, "num_workers": 0}
    if kind == "rasters":
        given |= {"path": places / "a.tif", "target": places / "b.tif", "chip_size": 8}
    data = None
    with warnings.catch_warnings(), only_our_errors():
        warnings.simplefilter("ignore")
        data = prepare_data(**(given | options))
    return data


def check(places: Path, kind: str, options: dict[str, Any]) -> None:
    before = found(places)
    prepare(places, kind, options)
    assert found(places) == before


KINDS = st.sampled_from(["pairs", "sides", "rasters"])
CASES = st.dictionaries(st.sampled_from(OPTIONS), VALUES, min_size=1, max_size=2)
FIXTURE = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=40, suppress_health_check=FIXTURE)
@given(KINDS, CASES)
def test_any_value_of_an_option_is_taken_or_refused(
    places: Path, kind: str, options: dict[str, Any]
) -> None:
    check(places, kind, options)


@pytest.mark.slow
@settings(max_examples=1000, suppress_health_check=FIXTURE)
@given(KINDS, CASES)
def test_a_thousand_values_are_taken_or_refused(
    places: Path, kind: str, options: dict[str, Any]
) -> None:
    check(places, kind, options)


@settings(max_examples=20, suppress_health_check=FIXTURE)
@given(VALUES, st.none() | st.just("raster"))
def test_any_path_is_taken_or_refused(places: Path, path: Any, target: str | None) -> None:
    for given_path in (path, [path], [places / "pairs", path]):
        options = {"path": given_path} | ({"target": places / "b.tif"} if target else {})
        check(places, "pairs", options)


@settings(max_examples=25, suppress_health_check=FIXTURE)
@given(KINDS, st.sampled_from(["rows", "max_n", "rgb_bands", "b", "show", "unique", "x"]), VALUES)
def test_any_argument_of_show_batch_is_taken_or_refused(
    places: Path, kind: str, name: str, value: Any
) -> None:
    data = prepare(places, kind, {})
    assert data is not None
    with only_our_errors():
        data.show_batch(**{name: value})
    plt.close("all")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("batch_size", 10**12),
        ("num_workers", 10**6),
        ("resize_to", 10**9),
        ("seed", 2**63),
        ("paired", "no"),
        ("paired", 0),
        ("split_column", ["split"]),
        ("split_column", None),
        ("source_scaling", np.zeros(3)),
        ("target_scaling", ["auto"]),
        ("direction", ["AtoB"]),
        ("chip_size", [8]),
        ("source_bands", np.array(1)),
        ("target", 5),
    ],
)
def test_sentence_names_the_option(places: Path, option: str, value: Any) -> None:
    options = {"split": gpd.GeoDataFrame(geometry=[box(0, 0, 1, 1)])} if "split" in option else {}
    named = "bands to use" if "bands" in option else option
    with pytest.raises(InvalidInputError, match=named):
        prepare_data(places / "pairs", **options, **{option: value})


def test_too_many_windows_are_refused_before_they_are_listed(
    write_raster: WriteRaster, places: Path
) -> None:
    large = write_raster("large.tif", np.zeros((1, 1000, 1000), "uint8"))
    with pytest.raises(InvalidInputError, match="998001 windows of 2 px at a stride of 1 px"):
        prepare_data(large, large, chip_size=2, stride=1)


def test_two_wrong_options_of_which_one_has_too_many_digits_end_in_a_sentence(
    places: Path,
) -> None:
    with pytest.raises(InvalidInputError, match=r"split is a tuple.*column an int with too many"):
        prepare_data(places / "pairs", split=("auto",), split_column=10**5000)


@pytest.mark.parametrize("kind", [str, lambda path: [path]], ids=["alone", "in a list"])
def test_names_that_are_too_long_are_names_of_nothing(kind: Any) -> None:
    with pytest.raises(RasterFileError, match="is not a folder; give the folder that holds"):
        prepare_data(kind("ä" * 300))
    with pytest.raises(RasterFileError, match="is not a folder; give the folder that holds"):
        arcgis.prepare_data(kind("ä" * 300))
