from __future__ import annotations

import importlib
import inspect
import typing
from typing import Any

import pytest

from geotranslate.cli.options import Section
from geotranslate.cli.sections import (
    DATA,
    EVALUATE,
    EXPORT,
    EXPORT_MODEL,
    FIT,
    LOAD,
    METRICS,
    MODEL,
    PREDICT,
    REPORT,
    TRANSLATORS,
)
from geotranslate.cli.signatures import arguments_of

NO_TEXT = {"callbacks", "executor", "palette", "data", "scenes", "self", "model"}
"""Arguments whose values are Python objects."""
PLACES = [
    (section, place)
    for section in (
        DATA,
        MODEL,
        FIT,
        METRICS,
        PREDICT,
        LOAD,
        EXPORT,
        EXPORT_MODEL,
        EVALUATE,
        REPORT,
    )
    for _, place in section.places
]


def function(place: str) -> Any:
    module, _, name = place.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("place", [place for _, place in PLACES])
def test_arguments_are_those_of_the_imported_function(place: str) -> None:
    found = {argument.name: argument for argument in arguments_of(place)}
    known = inspect.signature(function(place)).parameters
    assert {*found} | NO_TEXT >= {*known} >= {*found}
    for name, argument in found.items():
        default = known[name].default
        if not (default is inspect.Parameter.empty or isinstance(default, tuple)):
            assert argument.default == default, name
        assert argument.summary, name


@pytest.mark.parametrize(
    ("section", "name", "home", "literal"),
    [
        (DATA, "source_scaling", "geotranslate.chips.bands", "ScalingKind"),
        (DATA, "direction", "geotranslate.chips.bands", "Direction"),
        (MODEL, "norm", "geotranslate.networks.normalization", "Norm"),
        (MODEL, "recipe", "geotranslate.translators.config", "RecipeName"),
        (FIT, "schedule", "geotranslate.training.callbacks", "Schedule"),
        (FIT, "precision", "geotranslate.training.callbacks", "TrainingPrecision"),
        (PREDICT, "blend", "geotranslate.raster.tiling", "Blend"),
        (PREDICT, "driver", "geotranslate.raster.writing", "Driver"),
        (PREDICT, "norm_stats", "geotranslate.prediction.normstats", "NormStatsKind"),
        (PREDICT, "match", "geotranslate.prediction.tilesize", "Match"),
        (DATA, "augment", "geotranslate.data.radiometry", "Augment"),
    ],
)
def test_words_are_those_of_the_literals(
    section: Section, name: str, home: str, literal: str
) -> None:
    words = typing.get_args(getattr(importlib.import_module(home), literal))
    assert section.arguments[section.owners(name)[0]][name].values.choices == words


def test_translators_are_all_that_load_model_knows() -> None:
    registry = importlib.import_module("geotranslate.translators.registry")
    ours = {
        name for name, found in registry._REGISTERED.items() if "geotranslate" in found.__module__
    }
    assert {*TRANSLATORS} == ours


def test_no_option_belongs_to_two_sections_of_a_command() -> None:
    for sections in ((DATA, MODEL, FIT), (DATA, METRICS), (PREDICT, LOAD)):
        names = [name for section in sections for name in section.names]
        assert len(names) == len({*names})
