"""`evaluate_raster` on other grids, with zones, error rasters and wrong arguments."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from geotranslate import evaluate_raster
from geotranslate.errors import (
    GeotranslateError,
    GridMismatchError,
    InvalidInputError,
    OutputExistsError,
    RasterFileError,
    UnknownMeasureError,
)
from tests.conftest import GRIDS, NORTH_UP, WriteRaster
from tests.evaluation.conftest import images

WritePair = Callable[..., tuple[Path, Path]]


def evaluated(pair: tuple[Any, Any], **options: Any) -> Any:
    return evaluate_raster(*pair, **{"progress": False, "classes": False} | options)


@pytest.mark.parametrize("window", [64, 176])
@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:32633", Affine.translation(499_901, 5_000_007) @ Affine.scale(3, -3)),
        ("EPSG:3857", Affine.translation(1_669_700, 5_645_750) @ Affine.scale(2.6, -2.6)),
    ],
)
def test_a_reference_on_another_grid_is_aligned(
    write_raster: WriteRaster, crs: str, transform: Affine, window: int
) -> None:
    ours, theirs = images((1, 300, 260), "uint16")
    prediction = write_raster("prediction.tif", ours[:, :150, :200])
    reference = write_raster("reference.tif", theirs, crs=crs, transform=transform)
    result = evaluated((prediction, reference), window_size=window)
    with (
        rasterio.open(prediction) as grid,
        rasterio.open(reference) as dataset,
        WarpedVRT(
            dataset,
            crs=grid.crs,
            transform=grid.transform,
            height=150,
            width=200,
            resampling=Resampling.bilinear,
            add_alpha=True,
        ) as warped,
    ):
        truth, alpha = warped.read(1).astype(float), warped.read(2) > 0
    expected = abs(ours[0, :150, :200].astype(float) - truth)[alpha].mean()
    assert 0 < alpha.sum() == result["count"]
    # One cell holds the whole scene here.
    assert result["mae"] == pytest.approx(expected, rel=1e-9)


def test_reading_of_another_grid_does_not_depend_on_the_windows(write_raster: WriteRaster) -> None:
    ours, theirs = images((1, 540, 600), "float32")
    move = Affine.translation(3, -4) @ NORTH_UP @ Affine.scale(0.9)
    paths = write_raster("a.tif", ours), write_raster("b.tif", theirs, transform=move)
    found = [evaluated(paths, window_size=size, block_size=64) for size in (512, 192)]
    assert dict(found[1]) == pytest.approx(dict(found[0]), rel=1e-9)


@pytest.mark.parametrize("kind", list(GRIDS))
def test_zones_are_measured_by_the_centers_of_their_pixels(
    write_pair: WritePair, kind: str
) -> None:
    transform = GRIDS[kind]
    ours, theirs = images((2, 120, 150), "uint16")
    paths = write_pair((ours, theirs), transform=transform, nodata=0)
    corners = {
        "left": [(-5, -5), (70.6, -5), (70.6, 130), (-5, 130)],
        "corner": [(100, 100), (150, 100), (150, 120), (100, 120)],
        "slanted": [(3.2, 4.7), (80.3, 40), (20, 100)],
        "elsewhere": [(400, 400), (450, 400), (450, 450)],
    }
    shapes = [shapely.Polygon([transform @ each for each in at]) for at in corners.values()]
    layer = gpd.GeoDataFrame({"name": list(corners), "mae": 0}, geometry=shapes, crs=32633)
    found = evaluated(paths, zones=layer, window_size=48, block_size=32)
    again = evaluated(paths, zones=layer, window_size=160, block_size=32)
    assert found.zones["name"].tolist() == list(corners)
    error = ours.astype(float) - theirs
    for (name, at), (_, row) in zip(corners.items(), found.zones.iterrows(), strict=True):
        y, x = np.indices((120, 150)) + 0.5
        inside = shapely.contains_xy(shapely.Polygon(at), x, y)
        assert row["count"] == 2 * inside.sum()
        if name == "elsewhere":
            assert math.isnan(row["mae"]) and math.isnan(row["mae_low"])
            continue
        chosen = error[:, inside]
        assert row["mae"] == pytest.approx(abs(chosen).mean(), rel=1e-9)
        assert row["rmse"] == pytest.approx(math.sqrt((chosen**2).mean()), rel=1e-9)
    for measure in found:
        assert found.zones[measure].to_numpy() == pytest.approx(
            again.zones[measure].to_numpy(), rel=1e-9, nan_ok=True
        )
    low, mae, high = (found.zones.loc[0, name] for name in ("mae_low", "mae", "mae_high"))
    assert low < mae < high


def test_zones_may_overlap_and_have_another_crs(write_pair: WritePair, tmp_path: Path) -> None:
    paths = write_pair(images((1, 90, 90)))
    scene = shapely.box(500_000, 4_999_820, 500_180, 5_000_000)
    layer = gpd.GeoDataFrame(geometry=[scene.buffer(9), scene.buffer(5)], crs=32633).to_crs(4326)
    layer.to_file(tmp_path / "zones.gpkg")
    result = evaluated(paths, zones=tmp_path / "zones.gpkg")
    for name in ("mae", "ssim", "uqi", "count"):
        assert result.zones[name].tolist() == pytest.approx([result[name]] * 2, rel=1e-9)


@pytest.mark.parametrize("kind", ["signed", "absolute"])
def test_the_error_raster_lies_on_the_grid_of_the_prediction(
    write_raster: WriteRaster, tmp_path: Path, kind: Any
) -> None:
    ours, theirs = images((2, 300, 340), "uint8")
    valid = np.random.default_rng(0).random((300, 340)) > 0.3
    paths = (
        write_raster("a.tif", ours, transform=GRIDS["rotated"]),
        write_raster("b.tif", theirs, transform=GRIDS["rotated"], valid=valid, names=("x", "y")),
    )
    output = tmp_path / "error.tif"
    found = evaluated(paths, error=output, error_kind=kind, window_size=80)
    assert found.error == output
    with rasterio.open(output) as dataset:
        assert dataset.transform == GRIDS["rotated"] and dataset.crs.to_epsg() == 32633
        assert dataset.dtypes == ("float32",) * 2 and dataset.descriptions == ("x", "y")
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert "minus" in dataset.tags()["GEOTRANSLATE_ERROR"] or kind == "absolute"
        data = dataset.read()
    error = ours.astype(float) - theirs
    expected = np.where(valid, error if kind == "signed" else abs(error), np.nan)
    np.testing.assert_array_equal(data, expected.astype("float32"))
    assert not list(tmp_path.glob(".error*"))
    with pytest.raises(OutputExistsError, match="overwrite"):
        evaluated(paths, error=output)
    with pytest.raises(InvalidInputError, match="which is read in this evaluation"):
        evaluated(paths, error=paths[0], overwrite=True)


def test_text_tables_json_and_drawing(write_pair: WritePair) -> None:
    paths = write_pair(images((2, 80, 80)))
    zones = gpd.GeoDataFrame(
        {"name": ["a"]}, geometry=[shapely.box(500_010, 4_999_900, 500_100, 4_999_990)], crs=32633
    )
    result = evaluated(paths, zones=zones)
    text = str(result)
    for word in (
        "95% interval",
        "band 2",
        "skill_over_constant",
        "zone",
        "median of the reference",
    ):
        assert word in text
    assert "<table>" in result._repr_html_() and repr(result).startswith("Evaluation({'mae'")
    values = json.loads(result.to_json())
    assert values["mae"] == result["mae"] and values["ms_ssim"] is None
    assert values["zones"][0]["name"] == "a" and "geometry" not in values["zones"][0]
    assert result.to_dict()["per_band"] == result.per_band
    display = result.plot(band=2)
    assert len(display.axes_) == 2 and display.figure_.get_suptitle() == "band 2"
    assert len(result) == len(dict(result))
    with pytest.raises(UnknownMeasureError, match="There is no measure 'MAE'; there are mae, rmse"):
        result["MAE"]
    with pytest.raises(InvalidInputError, match="band is 3; give a whole number"):
        result.plot(band=3)


def test_bands_of_the_reference_are_chosen_by_number_or_name(
    write_raster: WriteRaster, write_pair: WritePair
) -> None:
    ours, theirs = images((3, 40, 40))
    prediction = write_raster("a.tif", ours[:2])
    reference = write_raster("b.tif", theirs, names=("red", "green", "blue"))
    with pytest.raises(InvalidInputError, match=r"a.tif has 2 bands and .*b.tif 3; give"):
        evaluated((prediction, reference))
    result = evaluated((prediction, reference), reference_bands=["green", 1])
    assert list(result.per_band) == ["green", "red"]
    expected = abs(ours[:2].astype(float) - theirs[[1, 0]]).mean()
    assert result["mae"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"window_size": 100}, "window_size is 100; give a multiple of 16."),
        ({"window_size": 0}, "window_size is 0; give a whole number of at least 16 and"),
        ({"block_size": "x"}, "block_size is 'x'; give a whole number"),
        ({"error_kind": "x"}, "error_kind is 'x'; give one of signed, absolute."),
        ({"tolerance": 3}, "there is no palette; give the palette too."),
        ({"fitted_on": ("a", "b")}, "fitted_on is given without source"),
        ({"baseline": {"constant": "x"}}, "baseline has the name 'constant'"),
        ({"seed": -1}, "seed is -1"),
        ({"data_range": 0}, "data_range is 0.0; give a number above 0."),
        ({"data_range": (1, 2)}, "data_range has 2 values for 1 band"),
        ({"zones": 3}, "zones is 3; give a vector file"),
        ({"zones": gpd.GeoSeries([shapely.Point(0, 0)])}, "has rows of kind Point; give one"),
        (
            {"zones": gpd.GeoSeries([shapely.box(0, 0, 1, 1)])},
            "The zones have no CRS but the scene",
        ),
        ({"zones": gpd.GeoSeries([shapely.box(0, 0, 1, 1)], crs=32633)}, "No zone meets the scene"),
        ({"zones": gpd.GeoSeries([])}, "The layer of zones has no rows"),
        ({"progress": "no"}, "progress is 'no'; give True or False."),
        ({"classes": "x"}, "classes is 'x'; give True, False, a list"),
        ({"palette": "x"}, "palette is 'x'; give for each class"),
    ],
)
def test_wrong_arguments_end_in_a_sentence(
    write_pair: WritePair, options: dict[str, Any], sentence: str
) -> None:
    if "palette" in options:
        options = options | {"classes": None}
    with pytest.raises(InvalidInputError) as caught:
        evaluated(write_pair(images((1, 40, 40))), **options)
    assert sentence in str(caught.value)


def test_rasters_that_do_not_match_end_in_a_sentence(
    write_raster: WriteRaster, tmp_path: Path
) -> None:
    ours, theirs = images((1, 40, 40))
    prediction = write_raster("a.tif", ours)
    for options, sentence in (
        ({"crs": None}, "it has no CRS and the prediction has EPSG:32633"),
        ({"transform": NORTH_UP @ Affine.translation(999, 0)}, "does not overlap the prediction"),
    ):
        reference = write_raster("b.tif", theirs[:, :30], **options)
        with pytest.raises(GridMismatchError, match=sentence):
            evaluated((prediction, reference))
    valid = np.zeros((40, 40), bool)
    reference = write_raster("b.tif", theirs, valid=valid)
    with pytest.raises(InvalidInputError, match="have no valid pixel in common; check"):
        evaluated((prediction, reference))
    with pytest.raises(RasterFileError, match="cannot be opened as a raster"):
        evaluated((prediction, tmp_path / "missing.tif"))
    two = write_raster("two.tif", np.concatenate([ours, ours]))
    with pytest.raises(InvalidInputError, match=r"The baseline baseline, .*two.tif, has 2 bands"):
        evaluated((prediction, prediction), baseline=two)
    with pytest.raises(InvalidInputError, match=r"fitted_on, .*two.tif, has 2 bands"):
        evaluated((prediction, prediction), source=two, fitted_on=(two, two))
    with pytest.raises(InvalidInputError, match=r"fitted on 2 bands but .*a.tif has 1"):
        evaluated((prediction, prediction), source=prediction, fitted_on=(two, prediction))
    with pytest.raises(GeotranslateError, match="does not exist; create it first"):
        evaluated((prediction, prediction), error=tmp_path / "no" / "error.tif")
