from __future__ import annotations

import json

import pytest

from geotranslate.chips.datacard import DataCard, Side
from geotranslate.chips.statistics import Scaling


@pytest.mark.parametrize("nodata", [None, 0.0, -9999.0, float("nan")])
def test_card_survives_strict_json(nodata: float | None) -> None:
    side = Side(2, "int16", nodata, ("a", ""), (0.5, 3.0), Scaling((0.0, 1.0), (2.0, 3.0)))
    card = DataCard(side, side, 256, "EPSG:32633", (2.0, 3.0), ("1", "2"), ("3",), 42)
    text = json.dumps(card.to_json(), allow_nan=False)
    back = DataCard.from_json(json.loads(text))
    assert repr(back) == repr(card)
