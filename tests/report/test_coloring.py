from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from geotranslate import Pix2Pix
from geotranslate.report.coloring import (
    color_of_errors,
    color_of_mistakes,
    color_of_numbers,
    color_of_side,
    number_text,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (12.0, "12"),
        (1234.4, "1,234"),
        (13860.7, "13,861"),
        (0.123456, "0.1235"),
        (-7.5, "-7.5"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
    ],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number_text(value) == text


def test_pictures_keep_their_colors_and_measurements_are_stretched(model: Pix2Pix) -> None:
    side, values = model.card.source, np.arange(300.0).reshape(3, 100)
    valid = np.ones((10, 10), bool)
    valid[0, 0] = False
    pixels = np.random.default_rng(0).integers(0, 256, (3, 10, 10)).astype("uint8")
    plain = color_of_side(side, [values])
    found = plain.colored(plain.scaled(pixels, valid))
    assert (found[valid, :3] == pixels.transpose(1, 2, 0)[valid]).all()
    assert (found[..., 3] == np.where(valid, 255, 0)).all()
    deep = replace(side, dtype="uint16", band_names=("nir", "swir", ""))
    stretched = color_of_side(deep, [values], (2, 0, 1))
    assert stretched.legend.words.startswith("Bands band 3, nir, swir as colors, stretched from")
    assert stretched.low[1] == pytest.approx(np.percentile(values[0], 2))
    gray = color_of_side(deep, [values], (1,))
    ends = gray.scaled(np.stack([pixels[0] * 0 + end for end in (0, 150, 0)]).astype(float), valid)
    assert gray.legend.words == "swir of 3 bands" and 0 < ends[5, 5, 0] < 255


def test_classes_have_a_color_each_and_others_are_black() -> None:
    coloring = color_of_numbers(np.array([3, 3, 7]), {3: (10, 20, 30)})
    scaled = coloring.scaled(np.array([[[3, 7, 5]]]), np.ones((1, 3), bool))
    colors = coloring.colored(scaled)[0, :, :3].tolist()
    assert colors[0] == [10, 20, 30] and colors[2] == [0, 0, 0]
    assert ("3", "#0a141e") in coloring.legend.classes
    wrong = color_of_mistakes()
    both = wrong.colored(wrong.scaled(np.array([[[0, 1]]]), np.ones((1, 2), bool)))
    assert both[0, 1, 0] > both[0, 1, 1] and both[0, 0, 0] < both[0, 0, 2]


@pytest.mark.parametrize("sample", [np.zeros((1, 0)), np.zeros((1, 9)), np.ones((1, 9)) * 3])
def test_errors_always_have_a_range(sample: np.ndarray) -> None:
    coloring = color_of_errors(sample, "Error")
    assert coloring.high[0] > 0 and coloring.legend.high.endswith(" or more")
