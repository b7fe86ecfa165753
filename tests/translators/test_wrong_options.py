"""Law: whatever is given for an argument of a model, it works or one of our sentences says why."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geotranslate import CycleGAN, Pix2Pix, Pix2PixHD, load_model
from geotranslate.chips.bands.datacard import DataCard, Side
from geotranslate.chips.bands.scaling import Scaling
from geotranslate.errors import InvalidInputError, ModelFileError, RasterFileError
from geotranslate.networks.weightless import without_weights
from geotranslate.translators.base import Translator
from tests.wrong_values import WRONG, only_our_errors

SIDE = Side(1, "uint8", None, ("",), (1,), 1, None, (3.0,), Scaling.linear((0.0,), (255.0,)))
CARD = DataCard(SIDE, SIDE, 64, None, None, None, ("a",), ("b",), 1)
TRANSLATORS: list[type[Translator]] = [Pix2Pix, CycleGAN, Pix2PixHD]
OPTIONS = [
    (translator, name)
    for translator in TRANSLATORS
    for name in sorted({*translator.config_class.checks(), "pretrained_path"})
]
HARD: list[Any] = [
    *("tu-hf-hub:timm/resnet18", "tu-local-dir:/", "hf-hub:x", "resnet18", "tu-", "tu-resnet18"),
    *(Path("/"), "/dev/zero", "/dev/stdin", "card.json", ["unet"], {"norm": 1}, "batch", "hinge"),
]


def _tried(translator: type[Translator], name: str, value: Any) -> None:
    with only_our_errors(), without_weights():
        # Values that are right would take memory for networks of that size.
        made: Any = translator
        made(CARD, **{name: value})


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(OPTIONS), WRONG | st.sampled_from(HARD))
def test_wrong_options_end_in_one_of_our_sentences(option: Any, value: Any) -> None:
    _tried(*option, value)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(OPTIONS), WRONG | st.sampled_from(HARD))
def test_more_wrong_options_end_in_one_of_our_sentences(option: Any, value: Any) -> None:
    _tried(*option, value)


@pytest.mark.parametrize("translator", TRANSLATORS)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=WRONG)
def test_wrong_data_ends_in_one_of_our_sentences(translator: Any, value: Any) -> None:
    with only_our_errors():
        translator(value)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from([load_model, *(each.from_model for each in TRANSLATORS)]), WRONG)
def test_wrong_paths_of_models_end_in_one_of_our_sentences(load: Any, value: Any) -> None:
    with only_our_errors():
        load(value)


@pytest.mark.parametrize("value", [None, 5, [], b"x", "", " ", "a\0b", 1.5, {}, os])
def test_path_that_is_none_is_refused(value: Any) -> None:
    with without_weights():
        model = Pix2Pix(CARD, ngf=4, ndf=4)
    for refusing in (load_model, Pix2Pix.from_model, model.save):
        with pytest.raises(InvalidInputError, match=r"path is .*; give the path of a folder\."):
            refusing(value)
    with pytest.raises(InvalidInputError, match=r"pretrained_path is .*; give the path of a file"):
        Pix2Pix(CARD, ngf=4, ndf=4, pretrained_path=() if value is None else value)
    assert not list(Path().iterdir())


def test_names_that_no_system_has_are_said() -> None:
    model = Pix2Pix(CARD, ngf=4, ndf=4)
    for name in ("ä" * 300, "x/" + "y" * 5000):
        with pytest.raises(RasterFileError):
            model.save(name)
        with pytest.raises(ModelFileError, match=r"card\.json is missing"):
            load_model(name)


@pytest.mark.parametrize("translator", TRANSLATORS)
def test_every_option_is_declared_and_saved_as_it_is_declared(translator: Any) -> None:
    with without_weights():
        model = translator(CARD, ngf=4, ndf=4)
    again = translator(CARD, **vars(model.config))
    assert again.config == model.config


def test_numbers_of_numpy_are_saved(tmp_path: Path) -> None:
    import numpy as np

    model = Pix2Pix(CARD, ngf=np.int64(4), ndf=np.uint8(4), dropout=np.float32(0.5), lambda_l1=10)
    again = Pix2Pix.from_model(model.save(tmp_path / "model"))
    assert again.config == model.config


def test_networks_larger_than_bounds_are_refused_at_once() -> None:
    for translator in TRANSLATORS:
        made: Any = translator
        with pytest.raises(InvalidInputError, match="ngf is 1000000; give a whole number of at"):
            made(CARD, ngf=10**6)
