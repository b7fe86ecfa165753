"""Classes by number and by color equal scikit-learn's scores."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    cohen_kappa_score,
    confusion_matrix,
    f1_score,
    jaccard_score,
    precision_score,
    recall_score,
)

from geotranslate import evaluate_raster
from geotranslate.errors import InvalidInputError
from tests.conftest import NORTH_UP, WriteRaster, raster_writer

WritePair = Callable[..., tuple[Path, Path]]
COLORS = [(0, 0, 0), (250, 10, 10), (20, 230, 40)]


def maps(rows: int, cols: int, classes: int, seed: int = 0) -> tuple[Any, Any]:
    """Return a prediction and a reference `(1, rows, cols)` of classes."""
    chance = np.random.default_rng(seed)
    truth = chance.integers(0, classes, (1, -(-rows // 8), -(-cols // 8)))
    truth = truth.repeat(8, 1).repeat(8, 2)[:, :rows, :cols]
    wrong = chance.random(truth.shape) < 0.2
    ours = np.where(wrong, chance.integers(0, classes, truth.shape), truth)
    return ours.astype("uint8"), truth.astype("uint8")


def evaluated(pair: tuple[Any, Any], **options: Any) -> Any:
    return evaluate_raster(*pair, progress=False, **options)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(1, 90),
    cols=st.integers(1, 90),
    classes=st.integers(1, 6),
    window=st.integers(1, 6),
    gaps=st.sampled_from([0, 0.2]),
)
def test_scores_are_those_of_scikit_learn(
    tmp_path: Path, rows: int, cols: int, classes: int, window: int, gaps: float
) -> None:
    ours, theirs = maps(rows, cols, classes, seed=rows)
    valid = np.random.default_rng(cols).random((rows, cols)) >= gaps
    valid[0, 0] = True
    write = raster_writer(tmp_path)
    paths = write("a.tif", ours), write("b.tif", theirs, valid=valid)
    result = evaluated(paths, classes=True, window_size=16 * window, block_size=32)
    said, true = ours[0, valid], theirs[0, valid]
    kept: dict[str, Any] = {"average": "macro", "zero_division": 0}
    expected = {
        "accuracy": accuracy_score(true, said),
        "kappa": cohen_kappa_score(true, said) if len({*true, *said}) > 1 else math.nan,
        "precision": precision_score(true, said, **kept),
        "recall": recall_score(true, said, **kept),
        "f1": f1_score(true, said, **kept),
        "iou": jaccard_score(true, said, **kept),
        "left_out": 0,
        "count": len(true),
    }
    assert dict(result) == pytest.approx(expected, rel=1e-9, nan_ok=True)
    assert (
        result.confusion[:, :-1] == confusion_matrix(true, said, labels=np.unique([*true, *said]))
    ).all()
    assert not result.confusion[:, -1].any()
    for label, score in zip(
        result.per_class, f1_score(true, said, average=None, zero_division=0), strict=True
    ):
        assert result.per_class[label]["f1"] == pytest.approx(score)


def test_chosen_classes_are_named_and_others_left_out(
    write_pair: WritePair, tmp_path: Path
) -> None:
    ours, theirs = maps(64, 80, 4)
    names = {2: "water", 1: "forest"}
    error = tmp_path / "error.tif"
    zone = shapely.box(500_000, 4_999_900, 500_080, 5_000_000)
    zones = gpd.GeoDataFrame(geometry=[zone], crs=32633)
    result = evaluated(
        write_pair((ours, theirs)), classes=names, error=error, zones=zones, block_size=16
    )
    known = np.isin(theirs[0], (1, 2))
    said, true = ours[0, known], theirs[0, known]
    counts = confusion_matrix(true, said, labels=[2, 1, 0, 3])
    assert list(result.per_class) == ["water", "forest"]
    assert (result.confusion == np.c_[counts[:2, :2], counts[:2, 2:].sum(1)]).all()
    assert result["left_out"] == (~known).sum() and result["count"] == known.sum()
    merged = np.where(np.isin(said, (1, 2)), said, 9)
    assert result["kappa"] == pytest.approx(cohen_kappa_score(true, merged))
    with rasterio.open(error) as dataset:
        assert dataset.nodata == 255 and dataset.dtypes == ("uint8",)
        expected = np.where(known, ours[0] != theirs[0], 255)
        assert (dataset.read(1) == expected).all()
    inside = known[:50, :40], (ours[0] == theirs[0])[:50, :40]
    row = result.zones.iloc[0]
    assert row["accuracy"] == pytest.approx(inside[1][inside[0]].mean())
    both = known[:50, :40] & (theirs[0, :50, :40] == 2)
    either = known[:50, :40] & ((theirs[0, :50, :40] == 2) | (ours[0, :50, :40] == 2))
    hits = (both & inside[1]).sum()
    assert row["iou_water"] == pytest.approx(hits / either.sum())
    assert row["f1_water"] == pytest.approx(2 * hits / (hits + either.sum()))
    assert row["accuracy_low"] < row["accuracy"] < row["accuracy_high"]
    assert "kappa" in result.zones
    assert result.plot().axes_.get_xlabel() == "prediction"
    assert "water" in str(result)


def test_classes_are_found_out_as_in_prepare_data(write_pair: WritePair) -> None:
    pair = maps(40, 40, 3)
    assert "kappa" in evaluated(write_pair(pair))
    assert "mae" in evaluated(write_pair(pair), classes=False)
    assert "mae" in evaluated(write_pair((pair[0].astype("float32"), pair[1])))


def colored(labels: NDArray[Any], noise: int = 0) -> NDArray[Any]:
    colors = np.array(COLORS)[labels[0]].transpose(2, 0, 1)
    chance = np.random.default_rng(0)
    return (colors + chance.integers(0, noise + 1, colors.shape)).astype("uint8")


def test_a_palette_turns_colors_into_classes(write_raster: WriteRaster) -> None:
    ours, theirs = maps(60, 70, 3)
    expected = evaluated(
        (write_raster("a.tif", ours), write_raster("b.tif", theirs)), classes=[0, 1, 2]
    )
    prediction = write_raster("c.tif", colored(ours, noise=4))
    for reference in (write_raster("d.tif", colored(theirs)), write_raster("b.tif", theirs)):
        result = evaluated((prediction, reference), palette=COLORS)
        assert dict(result) == dict(expected)
        assert (result.confusion == expected.confusion).all()
    palette = {n + 5: color for n, color in enumerate(COLORS)}
    paths = prediction, write_raster("d.tif", colored(theirs))
    named = evaluated(paths, palette=palette, classes={5: "x", 6: "y", 7: "z"})
    assert dict(named) == dict(expected) and list(named.per_class) == ["x", "y", "z"]


def test_colors_beyond_the_tolerance_are_of_no_class(write_raster: WriteRaster) -> None:
    ours, theirs = maps(60, 70, 3)
    said, true = colored(ours), colored(theirs)
    said[:, :10] = 128
    true[:, 5:20, :30] = 90
    paths = write_raster("c.tif", said), write_raster("d.tif", true)
    result = evaluated(paths, palette=COLORS, tolerance=50)
    assert result["left_out"] == 15 * 30
    assert result.confusion[:, -1].sum() == 10 * 70 - 5 * 30
    known = np.ones((60, 70), bool)
    known[5:20, :30] = False
    right = (ours == theirs)[0] & known
    right[:10] = False
    assert result["accuracy"] == pytest.approx(right.sum() / known.sum())
    assert evaluated(paths, palette=COLORS)["left_out"] == 0


def test_another_grid_of_classes_is_read_by_nearest_neighbor(write_raster: WriteRaster) -> None:
    _, theirs = maps(64, 64, 4)
    fine = theirs.repeat(3, 1).repeat(3, 2)
    reference = write_raster("b.tif", theirs, transform=NORTH_UP @ NORTH_UP.scale(3))
    result = evaluated((write_raster("a.tif", fine), reference))
    assert (result["accuracy"], result["count"]) == (1, 9 * 64 * 64)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"classes": [1.5]}, "a class of classes is 1.5; give a whole number"),
        ({"classes": [1, 1]}, "give at most 256 classes, each once"),
        ({"classes": [9]}, "has one of the classes 9; give the classes of the reference"),
        ({"classes": True, "source": "x.tif"}, "source is given for classes"),
        ({"palette": [(0, 0, 0)], "classes": False}, "classes is False but a palette is given"),
        ({"palette": [(0, 0)], "classes": [1]}, "give the same classes in both"),
        ({"palette": [(0, 0)], "tolerance": -1}, "tolerance is -1"),
        ({"palette": []}, "palette is []; give for each class"),
        ({"palette": [(0, 0), 1]}, "give for each class its values"),
    ],
)
def test_wrong_classes_end_in_a_sentence(
    write_pair: WritePair, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        evaluated(write_pair(maps(40, 40, 3)), **options)
    assert sentence in str(caught.value)


def test_rasters_without_classes_end_in_a_sentence(write_raster: WriteRaster) -> None:
    many = np.arange(1600, dtype="uint16").reshape(1, 40, 40)
    path = write_raster("many.tif", many)
    with pytest.raises(InvalidInputError, match="more than 256 different values or fractions"):
        evaluated((path, path), classes=True)
    two = write_raster("two.tif", np.concatenate([many, many]))
    with pytest.raises(InvalidInputError, match=r"has 2 bands and .* 1; give one band of class"):
        evaluated((two, path), classes=True)
    with pytest.raises(InvalidInputError, match=r"palette has colors of 3 values but .* 2 bands"):
        evaluated((two, path), palette=COLORS)
