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
