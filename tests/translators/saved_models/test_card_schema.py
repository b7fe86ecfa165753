"""The JSON schema of cards is held against the checks of the code."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.resources import files
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from geotranslate import CycleGAN, Pix2Pix, Pix2PixHD, SuperResolution
from geotranslate.chips.bands.classes import CLASSES, Classes
from geotranslate.chips.bands.datacard import DATA_CARD, SIDE
from geotranslate.chips.bands.quantiles import LEVELS, QUANTILES, Quantiles
from geotranslate.chips.bands.scaling import SCALING, Scaling
from geotranslate.errors import InvalidInputError
from geotranslate.metrics import Metrics
from geotranslate.raster.bandfacts import BAND_FACTS, BandFacts
from geotranslate.schema import Json, Later, finite, parse_json
from geotranslate.translators.config import Pix2PixConfig
from geotranslate.translators.saved_models.card import CARD, FORMAT_VERSION, Card
from tests.interop.test_stacmodel import CARD as DATA
from tests.translators.hostile import CARDS, VALUES

PACKAGE = "geotranslate.translators.saved_models"
SCHEMA: Json = json.loads(files(PACKAGE).joinpath("card.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)
CLASSES_OF_MODELS = (CycleGAN, Pix2Pix, Pix2PixHD, SuperResolution)
RECORDS: dict[str, Mapping[str, Any]] = {
    "data": DATA_CARD,
    "side": SIDE,
    "scaling": SCALING,
    "classes": CLASSES,
    "quantiles": QUANTILES,
    "band_facts": BAND_FACTS,
    **{each.__name__: each.config_class.checks() for each in CLASSES_OF_MODELS},
}


@pytest.fixture(scope="module")
def cards() -> list[Json]:
    """Return cards that have every entry between them, as they are saved."""
    quantiles = Quantiles((tuple(float(level) for level in LEVELS),), 9)
    full = replace(
        DATA.target,
        classes=Classes((1, 5), ((1, 9, 8, 7, 255),)),
        scaling=Scaling(((0.0, 9.0, 99.0),), (-1.5, 0.0, 2.5), (0.5,), bounded=False),
        band_facts=BandFacts((0.1,), (5.0,), ("m",), ("gray",)),
        extent=((1.0, 9.0),),
        median=(4.0,),
        quantiles=quantiles,
        nodata=float("nan"),
        class_bands=((1, 5),),
    )
    data = replace(
        DATA,
        target=full,
        resize_to=128,
        target_crs="",
        target_resolution=(1.0, 2.0),
        ground_size=(1.0, 2.0),
        resize_ratio=(0.5, 0.5),
        target_ground_size=(1.0, 2.0),
        target_resize_ratio=(1.0, 1.0),
    )
    scores = {"mae": float("inf"), "count": 4}
    tables = {"per_band": {"a": scores}, "per_scene": {"x": {"mae": 1.0}}}
    metrics = Metrics.from_json({**scores, **tables, "per_class": {"1": {"f1": 1.0}}})
    small: dict[str, Any] = {"ngf": 4, "ndf": 4}
    models = [
        Pix2Pix(DATA, recipe="measurement", ngf=4),
        Pix2Pix(replace(DATA, factor=type(DATA.factor)(2)), recipe="picture", **small),
        CycleGAN(DATA, gen_blocks=1, **small),
        Pix2PixHD(
            DATA, n_downsample_global=2, n_blocks_global=1, n_layers=2, feat_loss=True, **small
        ),
    ]
    found = [model.saved_card() for model in models]
    found += [replace(found[0], data=data, metrics=metrics, baselines={"median": 3.0})]
    found += [replace(found[0], history=[{"l1": 0.5, "g": float("nan")}])]
    return [json.loads(json.dumps(finite(card.to_json()))) for card in found]


def _accepted(card: Any) -> bool:
    """Tell whether the code accepts a card, with its options."""
    try:
        read = Card.from_json(card)
        kinds = {each.__name__: each for each in CLASSES_OF_MODELS}
        config = kinds[read.translator].config_class.from_card(read.options)
        if isinstance(config, Pix2PixConfig):
            config.for_chips(read.data, single=False)
    except (InvalidInputError, KeyError):
        return False
    return True


def test_schema_is_one_and_has_the_version_of_cards() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["format_version"]["maximum"] == FORMAT_VERSION
    assert SCHEMA["$id"] == f"urn:geotranslate:card:{FORMAT_VERSION}"


@pytest.mark.parametrize("name", ["", *RECORDS])
def test_entries_are_those_of_the_code(name: str) -> None:
    fields = RECORDS[name] if name else CARD
    found = SCHEMA["$defs"][name] if name else SCHEMA
    assert found["properties"].keys() == fields.keys()
    assert not found["additionalProperties"]
    earlier = {key for key, check in fields.items() if not isinstance(check, Later)}
    assert {*found["required"]} == earlier


def test_saved_cards_are_valid(cards: list[Json]) -> None:
    for card in cards:
        assert _accepted(card)
        VALIDATOR.validate(card)


def _entries(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each entry of a JSON value as its container and its key."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in pairs:
        yield value, key
        if isinstance(item, dict | list):
            yield from _entries(item)


def _faults(card: Any) -> list[str]:
    return [f"{list(each.path)}: {each.message[:200]}" for each in VALIDATOR.iter_errors(card)]


def test_schema_refuses_no_card_that_the_code_takes_and_most_of_the_others(
    cards: list[Json],
) -> None:
    refused, agreed = 0, 0
    rng = random.Random(0)
    for card in cards:
        for place in rng.sample(range(len(list(_entries(card)))), 30):
            changed = copy.deepcopy(card)
            container, key = list(_entries(changed))[place]
            if rng.random() < 0.5:
                container[key] = copy.deepcopy(rng.choice(VALUES))
            elif isinstance(container, dict):
                del container[key]
            if _accepted(changed):
                assert not _faults(changed)
            else:
                refused += 1
                agreed += not VALIDATOR.is_valid(changed)
    assert agreed > 0.85 * refused > 100


def test_schema_refuses_no_mutated_card_that_the_code_takes(cards: list[Json]) -> None:
    for number in range(300):
        rng = random.Random(number)
        content = rng.choice(CARDS)(json.dumps(rng.choice(cards)).encode(), rng)
        try:
            changed = parse_json(content)
        except InvalidInputError:
            continue
        if _accepted(changed):
            assert not _faults(changed)
