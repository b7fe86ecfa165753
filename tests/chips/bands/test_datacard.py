from __future__ import annotations

import json
from dataclasses import replace

import pytest

from geotranslate.chips.bands.classes import Classes
from geotranslate.chips.bands.datacard import DataCard, Side
from geotranslate.chips.bands.scaling import Scaling
from geotranslate.raster.bandfacts import BandFacts

Ground = tuple[str | None, tuple[float, float] | None]


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
    for kept in (card, replace(card, paired=False), replace(card, target_crs=""), apart(card)):
        text = json.dumps(kept.to_json(), allow_nan=False)
        back = DataCard.from_json(json.loads(text))
        assert repr(back) == repr(kept)


def make_side(name: str) -> Side:
    scaling = Scaling.linear((0.0,), (2.0,))
    return Side(1, "int16", None, (name,), (1,), 1, None, (0.5,), scaling)


def apart(card: DataCard) -> DataCard:
    return replace(card, paired=False, target_crs="EPSG:4326", target_resolution=(0.25, 0.5))


def test_older_cards_are_of_pairs() -> None:
    card = DataCard(make_side("a"), make_side("b"), 64, None, None, None, ("1",), ("2",), 1)
    values = card.to_json()
    for name in ("paired", "target_crs", "target_resolution"):
        del values[name]
    assert DataCard.from_json(values) == card
    assert card.paired


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize(
    ("here", "there"),
    [
        (("EPSG:32633", (2.0, 3.0)), (None, None)),
        ((None, None), (None, None)),
        (("EPSG:32633", (2.0, 3.0)), ("EPSG:4326", (0.1, 0.2))),
        (("EPSG:32633", (2.0, 3.0)), ("EPSG:32633", (2.0, 3.0))),
        (("EPSG:32633", (2.0, 3.0)), ("", None)),
        ((None, None), ("EPSG:32633", (2.0, 3.0))),
        ((None, None), ("", None)),
    ],
)
def test_way_back_of_the_way_back_is_the_same(here: Ground, there: Ground, paired: bool) -> None:
    chips = ("source/1", "source/source/2", "target/target/1", "target/7")
    card = DataCard(
        source=make_side("a"),
        target=make_side("b"),
        chip_size=64,
        resize_to=None,
        crs=here[0],
        resolution=here[1],
        train_pairs=chips,
        validation_pairs=chips[2:],
        seed=1,
        paired=paired,
        target_crs=there[0],
        target_resolution=there[1],
    )
    back = card.reversed()
    assert back.reversed() == card
    assert (back.source, back.target) == (card.target, card.source)
    if there[0] is None:
        assert replace(back, source=card.source, target=card.target) == card
        return
    assert (back.crs, back.resolution) == (there[0] or None, there[1])
    assert (back.target_crs, back.target_resolution) == (here[0] or "", here[1])
    assert back.train_pairs == ("source/target/1", "source/7", "target/1", "target/source/2")
    assert back.validation_pairs == ("source/target/1", "source/7")


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
