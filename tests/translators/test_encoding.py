from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from geotranslate.checks import class_list
from geotranslate.chips.bands.classes import Classes
from geotranslate.chips.bands.datacard import Side
from geotranslate.chips.bands.scaling import ScalingKind, make_scaling
from geotranslate.chips.bands.statistics import Statistics
from geotranslate.errors import InvalidInputError
from geotranslate.networks.onehot import ClassBands
from geotranslate.networks.unet import UNet
from geotranslate.prediction.inference import Inference, frozen
from geotranslate.translators.encoding import encoded, source_channels
from tests.prediction.test_inference import make_card

LIMITS = {name: np.iinfo(name) for name in ("uint8", "int16", "uint16")}


def class_side(numbers: Any, kind: ScalingKind = "auto", dtype: str = "uint8") -> Side:
    """Return a side that holds such classes, each as often."""
    pixels = np.array([[sorted(numbers)]], np.float32)
    statistics = Statistics.of(pixels, np.ones(pixels.shape[1:], bool))
    scaling = make_scaling(kind, statistics, dtype, classes=True)
    mean = tuple(map(float, statistics.mean))
    classes = Classes(tuple(sorted(numbers)), None)
    return replace(make_card().source, dtype=dtype, classes=classes, mean=mean, scaling=scaling)


def bands_of(side: Side, values: Any) -> Tensor:
    """Return what a network around which `encoded` is gets of values, `(classes, values)`."""
    network = encoded(nn.Identity(), side)
    scaled = side.scaling.scale(np.array(values, np.float32)[None, None])
    return network(torch.from_numpy(scaled)[None])[0, :, 0]


@given(st.data())
def test_every_class_is_a_band_and_its_neighbours_are_none(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(list(LIMITS)))
    limits = LIMITS[dtype]
    number = st.integers(int(limits.min), int(limits.max))
    numbers = sorted(data.draw(st.sets(number, min_size=1, max_size=100)))
    kinds = ["auto", "percentile", "zscore", "none", "dtype"]
    side = class_side(numbers, data.draw(st.sampled_from(kinds)), dtype)
    assert source_channels(side) == len(numbers)
    assert torch.equal(bands_of(side, numbers), torch.eye(len(numbers)))
    others = {n + step for n in numbers for step in (-1, 1)} - set(numbers)
    assert not bands_of(side, [*others, *side.fill, np.nan]).any()
    assert side.fill[0] not in numbers


@given(st.sets(st.integers(0, 255), min_size=1))
def test_means_of_classes_that_are_classes_are_not_what_gaps_hold(numbers: set[int]) -> None:
    side = class_side(numbers)
    side = replace(side, mean=(float(min(numbers)),))
    assert not bands_of(side, [side.fill[0]]).any()
    assert side.fill[0] != side.mean[0]


@pytest.mark.parametrize("count", [2, 64, 256])
def test_bfloat16_loses_no_class(count: int) -> None:
    side, taken = class_side(range(0, 250 * count, 250), dtype="uint16"), []

    class Taking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Conv2d(count, 1, 1), nn.Conv2d(1, 1, 1))

        def forward(self, source: Tensor) -> Tensor:
            taken.append(source)
            return self.layers[0](source)

    network = frozen(encoded(Taking(), side), "bfloat16")
    scaled = side.scaling.scale(np.array(side.class_numbers, np.float32)[None, None])
    network(torch.from_numpy(scaled)[None])
    assert taken[0].dtype == torch.bfloat16
    assert torch.equal(taken[0][0, :, 0].float(), torch.eye(count))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_tiles_come_to_the_encoding_as_they_are(
    precision: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    side, seen = class_side(range(0, 64_000, 250), dtype="uint16"), []
    network = encoded(UNet(256, 1, depth=2, ngf=4), side)
    inference = Inference(network, replace(make_card(), source=side), 4, None).at(precision)
    forward = ClassBands.forward

    def noted(bands: ClassBands, numbers: Tensor, dtype: torch.dtype) -> Tensor:
        seen.append(forward(bands, numbers, dtype))
        return seen[-1]

    monkeypatch.setattr(ClassBands, "forward", noted)
    inference(np.array(side.class_numbers, np.float32).reshape(1, 1, 16, 16))
    assert seen[0].dtype == getattr(torch, precision)
    assert torch.equal(seen[0][0].argmax(0).flatten(), torch.arange(256))
    assert (seen[0].sum(1) == 1).all()


def test_quantities_are_taken_as_they_are() -> None:
    side, network = make_card().source, nn.Identity()
    assert source_channels(side) == side.bands
    assert encoded(network, side) is network
    assert side.fill == side.mean
    assert side.class_numbers == ()


def test_classes_that_are_not_known_are_refused() -> None:
    unknown = replace(class_side([1, 2]), classes=Classes((), None))
    assert unknown.fill == unknown.mean
    colours = tuple((number, 1, 2, 3, 255) for number in range(257))
    many = replace(unknown, classes=Classes((), colours))
    for side, sentence in (
        (unknown, r"which ones is not known: .* pass source_classes=False"),
        (many, r"has 257 classes, .* at most 256 are possible\. Give"),
    ):
        for function in (source_channels, lambda side: encoded(nn.Identity(), side)):
            with pytest.raises(InvalidInputError, match=sentence):
                function(side)


@pytest.mark.parametrize(
    ("numbers", "kind", "one", "other"),
    [
        ((0, 1, 5), "db", 0, 1),
        ((-3, 2, 5), "db", -3, 2),
        ((1, 2**24), "auto", 2**24, 2**24 + 1),
    ],
)
def test_classes_that_are_nearly_the_same_when_scaled_are_refused(
    numbers: tuple[int, ...], kind: ScalingKind, one: int, other: int
) -> None:
    side = class_side(numbers, kind, "int32")
    with pytest.raises(InvalidInputError, match=f"not told apart: {one} and {other} are nearly"):
        encoded(nn.Identity(), side)


def test_lists_say_the_first_ones() -> None:
    assert class_list((1, -2, 3)) == "1, -2, 3"
    assert class_list(range(100000, 100011), most=2) == "100000, 100001 and 9 more"
