"""Facts of a model in the terms of ArcGIS."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from geotranslate.errors import GeotranslateWarning
from geotranslate.interop.dlpk.modeldefinition import cell_sizes
from geotranslate.interop.dlpk.package import _padding


def test_cell_sizes_are_those_that_are_not_resampled() -> None:
    card: Any = SimpleNamespace(resolution=(2.0, 3.0), crs="EPSG:32633", resize_ratio=(0.5, 2.0))
    least, most = cell_sizes(card)
    assert least is not None and most is not None
    assert (least["x"], least["y"]) == pytest.approx((4 / 1.05, 1.5 / 1.05))
    assert (most["x"], most["y"]) == pytest.approx((4 * 1.05, 1.5 * 1.05))
    assert least["spatialReference"] == {"wkid": 32633, "latestWkid": 32633}
    for other in ({"crs": None}, {"resolution": None}, {"crs": "ESRI:none"}):
        assert cell_sizes(SimpleNamespace(**{**vars(card), **other})) == (None, None)


def test_padding_is_the_radius_in_whole_strides() -> None:
    known: Any = SimpleNamespace(radius=33, stride=16)
    assert _padding(known) == 48
    unknown: Any = SimpleNamespace(radius=None, stride=32, card=SimpleNamespace(chip_size=100))
    with pytest.warns(GeotranslateWarning, match="overlap by a chip, 100 px, and small steps"):
        assert _padding(unknown) == 128
