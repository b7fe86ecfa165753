from __future__ import annotations

import json
import math
from collections.abc import Mapping

import pytest

from geotranslate.chips.bands.datacard import Side
from geotranslate.errors import UnknownMeasureError
from geotranslate.metrics.measures import Measures
from geotranslate.metrics.scores import Metrics
from tests.metrics.cases import pair, side


def report(known: Side) -> Metrics:
    measures = Measures(known)
    measures.add(*pair((2, known.bands, 40, 40)))
    return measures.results()


CASES = [
    side(3, names=("red", "green", "blue")),
    side(1, "float32"),
    side(1, classes=(0, 200, 255)),
]


def test_it_is_a_mapping_of_what_holds_for_all_bands() -> None:
    found = report(CASES[0])
    assert isinstance(found, Mapping)
    assert found["mae"] == dict(found)["mae"] == found.overall["mae"]
    assert len(found) == len(found.overall)
    assert found == dict(found) or math.isnan(found["ms_ssim"])
    assert not Metrics()


@pytest.mark.parametrize("known", CASES)
def test_json_gives_it_back(known: Side) -> None:
    found = report(known)
    again = Metrics.from_json(json.loads(json.dumps(found.to_json())))
    assert again == found
    assert type(again["count"]) is int
    assert again != Metrics({**found, "mae": 0.0})


def test_numbers_alone_are_enough() -> None:
    assert Metrics.from_json({"mae": 1.5, "psnr": "inf"}) == {"mae": 1.5, "psnr": math.inf}


def test_text_has_a_column_per_band() -> None:
    lines = str(report(CASES[0])).splitlines()
    assert lines[0].split() == ["all", "red", "green", "blue"]
    assert {len(line.split()) for line in lines if line.startswith(("mae", "ssim"))} == {5}
    assert {len(line.split()) for line in lines if line.startswith("sam")} == {2}
    assert lines[-1].split() == ["count", "9600", "3200", "3200", "3200"]


def test_text_and_table_of_classes_hold_the_confusion() -> None:
    found = report(CASES[2])
    text, table = str(found), found._repr_html_()
    for wanted in ("class", "precision", "target \\ translation", str(found.confusion[1, 1])):
        assert wanted in text
        assert wanted in table
    assert table.count("<table>") == 3


def test_names_of_bands_are_escaped_and_made_up_where_there_are_none() -> None:
    table = report(side(2, names=("<b>", "&")))._repr_html_()
    assert "&lt;b&gt;" in table
    assert "<b>" not in table
    for names in (("", "x"), ("x", "x")):
        assert [*report(side(2, names=names)).per_band] == ["band 1", "band 2"]


def test_unknown_measures_are_said() -> None:
    metrics = Metrics({"psnr": 3.0})
    with pytest.raises(KeyError, match=r"^There is no measure 'PSNR'; it is 'psnr' here\.$"):
        metrics["PSNR"]
    with pytest.raises(UnknownMeasureError, match=r"compute_metrics\(\['fid'\]\)"):
        metrics["fid"]
    assert "PSNR" not in metrics and metrics.get("fid") is None
