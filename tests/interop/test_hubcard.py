from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
import yaml

from geotranslate.interop.hubcard import MARK, Shared, markdown, plain, readme
from geotranslate.metrics import Metrics
from geotranslate.raster.bandfacts import BandFacts
from tests.interop.test_stacmodel import CARD

EVIL = (
    "---\nlicense: mit",
    "x\n\n# Title",
    "a | b | c",
    "<script>alert(1)</script>",
    "`; rm -rf /; `",
    "](http://127.0.0.1/x) ![a](b)",
    "https://127.0.0.1/evil www.evil.example",
    '"}\u2028, {"a": "b',
    "\x00\x1b[31m\ud800\u202e",
    "${{ secrets.TOKEN }} {% raw %}",
    "- a\n- b",
    "x" * 5000,
    "&lt;b&gt; **bold** _it_ ~~no~~",
    "名前 😀 é",
)


def _shared(name: str = "me/town", text: str = "red") -> Shared:
    side = replace(CARD.source, band_names=(text, "b", "c"))
    target = replace(CARD.target, band_facts=BandFacts(colors=("gray",), units=(text,)))
    bands = {text: {"mae": 1.5}, "b": {"mae": 2.5}}
    metrics = Metrics({"mae": 2.0, "r2": float("inf")}, bands)
    data = replace(CARD, source=side, target=target)
    return Shared("Pix2Pix", data, metrics, {text: 9.5}, name, text, "sample.png", ())


@pytest.mark.parametrize("text", EVIL)
def test_names_stay_in_their_places(text: str) -> None:
    good, found = readme(_shared()), readme(_shared(text, text))
    assert found.isascii() or found.encode()
    front, body = found.split("\n---\n", 1)
    values = yaml.safe_load(front.removeprefix("---\n"))
    assert values.keys() == {"library_name", "pipeline_tag", "tags", "license", "model-index"}
    assert values["license"] == plain(text)
    assert values["model-index"][0]["name"] == plain(text)
    assert [line[:2] for line in body.splitlines()] == [
        line[:2] for line in good.split("\n---\n", 1)[1].splitlines()
    ]
    pairs = zip(body.splitlines(), good.split("\n---\n", 1)[1].splitlines(), strict=True)
    for mine, theirs in pairs:
        if not mine.startswith(("!", "model =", MARK[:4])):
            assert _count("|", mine) == _count("|", theirs)
            assert _count("<", mine) == _count("[", mine) == _count("!", mine) == 0
            assert _count("`", mine) == _count("`", theirs)
            assert "://" not in mine
    line = next(line for line in body.splitlines() if line.startswith("model ="))
    assert json.loads(line.removeprefix("model = geotranslate.from_pretrained(")[:-1])


def _count(letter: str, line: str) -> int:
    """Count a character that is not escaped."""
    return len(re.findall(rf"(?<!\\)(?:\\\\)*{re.escape(letter)}", line))


def test_long_and_odd_texts_are_shortened() -> None:
    assert plain("a\n b\tc\x00d") == "a b c d"
    assert len(plain("x" * 5000)) == 120
    assert markdown("a_b|c") == r"a\_b\|c"


def test_figures_are_those_of_the_metrics() -> None:
    text = readme(_shared())
    values = yaml.safe_load(text.split("---")[1])
    result = values["model-index"][0]["results"][0]
    assert {"type": "mae", "value": 2.0} in result["metrics"]
    assert "r2" not in [each["type"] for each in result["metrics"]]
    assert "| mae | 2 | 1.5 | 2.5 |" in text
    assert "red 9.5" in text
    assert "Errors are in the units (red) of the target" in text
