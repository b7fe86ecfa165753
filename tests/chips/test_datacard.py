from __future__ import annotations

import json

import pytest

from geotranslate.chips.classes import Classes
from geotranslate.chips.datacard import DataCard, Side
from geotranslate.chips.scaling import Scaling
from geotranslate.raster.bandfacts import BandFacts


@pytest.mark.parametrize(
    "facts", [BandFacts(), BandFacts((0.1, 2.0), (-1.0, 1e-9), ("m", ""), ("nir", "undefined"))]
)
@pytest.mark.parametrize("nodata", [None, 0.0, -9999.0, float("nan")])
@pytest.mark.parametrize(
    "classes",
    [
        None,
        Classes((), None),
        Classes((-1, 7), ()),
        Classes((1,), ((1, 2, 3, 4, 5), (9, 0, 0, 9, 0))),
    ],
)
def test_card_survives_strict_json(
    nodata: float | None, classes: Classes | None, facts: BandFacts
) -> None:
    side = Side(
        bands=2,
        dtype="int16",
        nodata=nodata,
        band_names=("a", ""),
        indexes=(3, 1),
        file_bands=4,
        classes=classes,
        mean=(0.5, 3.0),
        scaling=Scaling.linear((0.0, 1.0), (2.0, 3.0)),
        band_facts=facts,
    )
    card = DataCard(side, side, 256, None, "EPSG:32633", (2.0, 3.0), ("1", "2"), ("3",), 42)
    text = json.dumps(card.to_json(), allow_nan=False)
    back = DataCard.from_json(json.loads(text))
    assert repr(back) == repr(card)


def class_side(classes: Classes | None, nodata: float | None = None) -> Side:
    return Side(
        bands=1,
        dtype="int16",
        nodata=nodata,
        band_names=("",),
        indexes=(1,),
        file_bands=1,
        classes=classes,
        mean=(7.0,),
        scaling=Scaling.linear((0.0,), (9.0,)),
    )


COLOURS = tuple((number, 1, 2, 3, 255) for number in (9, 0, 300, 7))


@pytest.mark.parametrize(
    ("classes", "nodata", "numbers", "fill"),
    [
        (None, None, (), 7),
        (Classes((), None), None, (), 7),
        (Classes((), ()), None, (), 7),
        (Classes((-4, 7), None), 0, (-4, 7), 8),
        # More were seen than are remembered.
        (Classes((), COLOURS), None, (0, 7, 9, 300), 301),
        (Classes((), COLOURS), 300, (0, 7, 9), 10),
        (Classes((), COLOURS), float("nan"), (0, 7, 9, 300), 301),
        # 9 has a colour, so it would be drawn as a class.
        (Classes((7, 8), COLOURS), 0, (7, 8), 10),
    ],
)
def test_gaps_of_classes_hold_the_next_number_that_is_none(
    classes: Classes | None, nodata: float | None, numbers: tuple[int, ...], fill: float
) -> None:
    side = class_side(classes, nodata)
    assert side.class_numbers == numbers
    assert side.fill == (fill,)
    assert side.mean == (7,)
