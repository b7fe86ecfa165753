"""Any value for any keyword of arcgis.learn gives an answer, or a sentence and nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib import pyplot

from geotranslate import arcgis
from geotranslate.errors import GeotranslateWarning
from geotranslate.migration import ARCGIS
from geotranslate.translators import Translator
from tests.wrong_values import WRONG, only_our_errors

CASES: dict[str, Any] = {
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    "deadline": None,
}
PLACES = ("prepare_data", "Pix2Pix", "CycleGAN", "show_batch", "fit", "show_results", "predict")
OPTIONS = [
    (place, row.theirs)
    for place in (*PLACES, "save", "lr_find", "load")
    for row in ARCGIS.get(place, ())
]


@pytest.fixture
def model(write_chips: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> arcgis.Pix2Pix:
    """Return a model whose learner trains nothing, in a folder with its chips."""
    data = arcgis.prepare_data(write_chips(count=4), working_dir="work")
    made = arcgis.Pix2Pix(data, ngf=2, ndf=2)
    monkeypatch.setattr(made.learn, "fit", lambda *args, **options: None)
    monkeypatch.setattr(Translator, "lr_find", lambda model: 1e-3)
    return made


@settings(max_examples=30, **CASES)
@given(option=st.sampled_from(OPTIONS), value=WRONG)
def test_any_value_gives_an_answer_or_a_sentence(
    model: arcgis.Pix2Pix, option: tuple[str, str], value: Any
) -> None:
    check(model, *option, value)


@pytest.mark.slow
@settings(max_examples=300, **CASES)
@given(option=st.sampled_from(OPTIONS), value=WRONG)
def test_many_values_give_an_answer_or_a_sentence(
    model: arcgis.Pix2Pix, option: tuple[str, str], value: Any
) -> None:
    check(model, *option, value)


def check(model: arcgis.Pix2Pix, place: str, keyword: str, value: Any) -> None:
    base: dict[str, dict[str, Any]] = {
        "prepare_data": {"path": "chips"},
        "Pix2Pix": {"data": model.data, "ngf": 2, "ndf": 2},
        "CycleGAN": {"data": model.data, "ngf": 2, "ndf": 2, "gen_blocks": 1},
        "fit": {"epochs": 1, "checkpoint": False, "progress": False},
        "predict": {"path": "chips/images/000.tif"},
        "save": {"name_or_path": "mine"},
        "load": {"name_or_path": "mine"},
    }
    owner: Any = model.data if place == "show_batch" else model
    function = getattr(arcgis if place in ("prepare_data", "Pix2Pix", "CycleGAN") else owner, place)
    with warnings.catch_warnings(), only_our_errors():
        warnings.simplefilter("ignore", GeotranslateWarning)
        function(**base.get(place, {}) | {keyword: value})
    pyplot.close("all")
