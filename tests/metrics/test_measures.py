from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from geotranslate.chips.bands.datacard import Side
from geotranslate.chips.bands.scaling import Scaling
from geotranslate.errors import InvalidInputError
from geotranslate.metrics.measures import Measures, ValidationMeasures
from geotranslate.metrics.scores import Metrics
from tests.metrics.cases import pair, side

SIDES = {
    "colors": side(3),
    "heights": side(1, "float32"),
    "bands": side(4, "uint16", scaling=Scaling.linear([0, 5, 10, 90], [4000, 800, 65, 9000])),
    "classes": side(1, "uint8", classes=(0, 3, 4, 7), scaling=Scaling.linear([0], [7])),
}
sides = st.sampled_from(sorted(SIDES))
sizes = st.sampled_from([(1, 1), (9, 30), (23, 17), (40, 31), (176, 180)])
gaps = st.sampled_from([0.0, 0.001, 0.05, 0.9])


def measured(known: Side, *batches: tuple[Tensor, Tensor]) -> Metrics:
    measures = Measures(known)
    for prediction, target in batches:
        measures.add(prediction, target)
    return measures.results()


def assert_same(one: Metrics, other: Metrics) -> None:
    close = {"rel": 1e-9, "abs": 1e-9, "nan_ok": True}
    assert dict(one) == pytest.approx(dict(other), **close)
    for ours, theirs in ((one.per_band, other.per_band), (one.per_class, other.per_class)):
        assert list(ours) == list(theirs)
        for name in ours:
            assert ours[name] == pytest.approx(theirs[name], **close)
    np.testing.assert_equal(one.confusion, other.confusion)


@settings(max_examples=25)
@given(
    name=sides,
    size=sizes,
    share=gaps,
    seed=st.integers(0, 99),
    junk=st.sampled_from([5, math.inf, math.nan]),
)
def test_invalid_pixels_never_change_a_number(
    name: str, size: tuple[int, int], share: float, seed: int, junk: float
) -> None:
    known = SIDES[name]
    prediction, target = pair((2, known.bands, *size), seed, gaps=share)
    spoiled = torch.where(target.isnan(), junk, prediction)
    partly = target.clone()
    partly[:, 1:] = torch.where(target[:, 1:].isnan(), 0.3, target[:, 1:])
    expected = measured(known, (prediction, target))
    assert measured(known, (spoiled, target)) == expected
    # A pixel that is invalid in one band is invalid.
    assert measured(known, (prediction, partly)) == expected


@settings(max_examples=25)
@given(name=sides, size=sizes, share=gaps, seed=st.integers(0, 99))
def test_identity_is_perfect(name: str, size: tuple[int, int], share: float, seed: int) -> None:
    known = SIDES[name]
    _, target = pair((2, known.bands, *size), seed, gaps=share)
    # What a raster of the dtype holds.
    values = known.scaling.unscale(target.numpy())
    if np.issubdtype(known.dtype, np.integer):
        values = np.rint(values)
    target = torch.from_numpy(known.scaling.scale(values))
    found = measured(known, (torch.nan_to_num(target), target))
    perfect = {
        **dict.fromkeys(("mae", "rmse", "bias", "sam", "ergas"), 0),
        **dict.fromkeys(
            ("r2", "ssim", "ms_ssim", "accuracy", "precision", "recall", "f1", "iou"), 1
        ),
        "psnr": math.inf,
    }
    for measures in (found, *found.per_band.values()):
        for key in perfect.keys() & measures.keys():
            value = measures[key]
            assert math.isnan(value) or value == pytest.approx(perfect[key], abs=1e-9), key
    if found["count"]:
        assert found["psnr"] == math.inf
        assert found["mae"] == 0
    if found.confusion is not None:
        assert found.confusion.trace() == found.confusion.sum() == found["count"]


@pytest.mark.slow
@settings(max_examples=25)
@given(name=sides, size=sizes, share=gaps, seed=st.integers(0, 99), data=st.data())
def test_order_and_batches_change_nothing(
    name: str, size: tuple[int, int], share: float, seed: int, data: st.DataObject
) -> None:
    known = SIDES[name]
    prediction, target = pair((4, known.bands, *size), seed, gaps=share)
    order = data.draw(st.permutations(range(4)))
    cut = data.draw(st.integers(1, 3))
    batches = [(prediction[part], target[part]) for part in (order[:cut], order[cut:])]
    assert_same(measured(known, (prediction, target)), measured(known, *batches))


@settings(max_examples=25)
@given(name=sides, size=sizes, share=gaps, seed=st.integers(0, 99))
def test_bands_combine_to_all(name: str, size: tuple[int, int], share: float, seed: int) -> None:
    known = SIDES[name]
    prediction, target = pair((2, known.bands, *size), seed, gaps=share)
    found = measured(known, (prediction, target))
    bands = list(found.per_band.values())

    def mean(key: str, power: int = 1) -> float:
        return float(np.mean([band[key] ** power for band in bands]))

    assert found["count"] == sum(band["count"] for band in bands)
    for key in {"mae", "bias", "ssim", "ms_ssim"} & found.keys():
        assert found[key] == pytest.approx(mean(key), nan_ok=True, rel=1e-9, abs=1e-9)
    assert found["rmse"] == pytest.approx(math.sqrt(mean("rmse", 2)), nan_ok=True)
    assert found["psnr_range"] == max(band["psnr_range"] for band in bands)


@given(name=sides, share=gaps, seed=st.integers(0, 99))
def test_a_band_is_what_it_is_alone(name: str, share: float, seed: int) -> None:
    known = SIDES[name]
    prediction, target = pair((2, known.bands, 20, 25), seed, gaps=share)
    found = measured(known, (prediction, target))
    for place, band in enumerate(found.per_band.values()):
        scaling = Scaling((known.scaling.knots[place],))
        alone = side(
            1, known.dtype, None if known.classes is None else known.classes.values, scaling
        )
        part = slice(place, place + 1)
        single = measured(alone, (prediction[:, part], target[:, part]))
        assert band == pytest.approx({key: single[key] for key in band}, nan_ok=True, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("colors", {"ssim", "ms_ssim", "sam", "ergas"}),
        ("heights", {"ssim", "ms_ssim"}),
        ("bands", {"ssim", "ms_ssim", "sam", "ergas"}),
        ("classes", {"accuracy", "precision", "recall", "f1", "iou"}),
    ],
)
def test_a_target_has_the_measures_that_mean_something(name: str, extra: set[str]) -> None:
    errors = {"mae", "rmse", "bias", "r2", "psnr", "psnr_range", "count"}
    known = SIDES[name]
    found = measured(known, pair((2, known.bands, 180, 180)))
    assert found.keys() == errors | extra
    assert not any(math.isnan(value) for value in found.values())


@given(name=sides, seed=st.integers(0, 99), data=st.data())
def test_chosen_measures_are_those_of_all(name: str, seed: int, data: st.DataObject) -> None:
    known = SIDES[name]
    batch = pair((2, known.bands, 20, 20), seed, gaps=0.01)
    whole = measured(known, batch)
    names = data.draw(st.lists(st.sampled_from(sorted(whole)), min_size=1))
    measures = Measures(known, names)
    measures.add(*batch)
    found = measures.results()
    assert {*names, "count"} <= {*found} <= {*names, "count", "psnr_range"}
    assert dict(found) == pytest.approx({key: whole[key] for key in found}, nan_ok=True)


@pytest.mark.parametrize("name", sorted(SIDES))
def test_epochs_are_followed_by_a_few_of_them(name: str) -> None:
    known = SIDES[name]
    batch = pair((2, known.bands, 30, 30), gaps=0.01)
    measures = ValidationMeasures(known)
    measures.add(*batch)
    found, whole = measures.results(), measured(known, batch)
    names = {"mae", "accuracy", "f1", "iou"} if known.classes else {"mae", "rmse", "psnr", "ssim"}
    assert names <= {*found} <= names | {"count", "psnr_range"}
    assert all(found[key] == whole[key] for key in found)


def test_classes_of_unknown_numbers_have_errors_alone() -> None:
    known = side(1, "uint16", classes=())
    measures = ValidationMeasures(known)
    measures.add(*pair((1, 1, 20, 20)))
    assert {*measures.results()} == {"mae", "rmse", "psnr", "psnr_range", "count"}
    assert not {"ssim", "iou"} & {*Measures(known).names}


def test_palette_gives_classes_to_colors() -> None:
    palette = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    colors = torch.tensor(palette, dtype=torch.float32)
    numbers = torch.randint(0, 3, (2, 15, 15), generator=torch.Generator().manual_seed(0))
    target = colors[numbers].movedim(-1, 1) / 127.5 - 1
    measures = Measures(side(3), ["iou", "accuracy"], palette)
    measures.add(target * 0.4, target)
    measures.add(target.roll(1, 1), target)
    found = measures.results()
    assert found["accuracy"] == 0.5
    assert [*found.per_class] == ["255, 0, 0", "0, 255, 0", "0, 0, 255"]
    count = numbers.flatten().bincount()
    assert found.confusion.diagonal().tolist() == count.tolist()


@pytest.mark.parametrize(
    ("known", "arguments", "sentence"),
    [
        (side(1), (["mea"],), "no metric 'mea' .* has 1 band of uint8; choose from mae, rmse"),
        (side(1), (["sam"],), "no metric 'sam' for this target"),
        (side(2), (["fid"],), "no metric 'fid' for this target, which has 2 bands of"),
        (side(3), (["iou"],), "no metric 'iou' .*, or give a palette"),
        (SIDES["classes"], ("ssim",), "no metric 'ssim' .*, which has 1 band of 4 classes"),
        (side(3), (None, [(1, 2)]), r"palette is \[\(1, 2\)\] but the target has 3 bands; give"),
        (side(3), (None, []), r"palette is \[\] but"),
    ],
)
def test_what_cannot_be_measured_is_said(known: Side, arguments: tuple, sentence: str) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        Measures(known, *arguments)


def test_shapes_have_to_agree() -> None:
    with pytest.raises(
        InvalidInputError, match=r"shape \(1, 3, 5, 5\) but the targets \(1, 3, 5, 6"
    ):
        Measures(side(3)).add(torch.zeros(1, 3, 5, 5), torch.zeros(1, 3, 5, 6))


def test_nothing_compared_is_not_a_number() -> None:
    for known in SIDES.values():
        found = measured(known)
        assert found["count"] == 0
        assert all(math.isnan(found[key]) for key in found.keys() - {"psnr_range", "count"})
        nothing = torch.full((1, known.bands, 20, 20), math.nan)
        assert measured(known, (nothing, nothing)) == found
