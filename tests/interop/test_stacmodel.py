from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest

from geotranslate import CycleGAN, Pix2Pix
from geotranslate.chips.bands import Classes, DataCard, Side
from geotranslate.chips.bands.scaling import Scaling
from geotranslate.errors import InvalidInputError
from geotranslate.interop.stacscaling import inverse, value_scaling
from geotranslate.raster.bandfacts import BandFacts
from tests.stac_schemas import assert_valid


def _side(bands: int, names: tuple[str, ...] = (), **other: Any) -> Side:
    return replace(
        Side(
            bands=bands,
            dtype="uint8",
            nodata=None,
            band_names=names or ("",) * bands,
            indexes=tuple(range(1, bands + 1)),
            file_bands=bands,
            classes=None,
            mean=(100.0,) * bands,
            scaling=Scaling.linear((0.0,) * bands, (255.0,) * bands),
            band_facts=BandFacts(colors=("gray",) * bands),
        ),
        **other,
    )


PLACE = (85.5, 27.6, 85.6, 27.7)
CARD = DataCard(
    _side(3, ("red", "green", "blue")),
    _side(1, nodata=float("nan"), dtype="float32"),
    *(64, None, "EPSG:32645", (1.0, 1.0), ("a", "b"), ("c",), 42),
    footprint=PLACE,
)
ASINH = Scaling(((0.0, 9.0, 99.0), (1.0, 2.0, 3.0), (-4.0, 0.0, 1.0)), (-1.5, 0.0, 2.5))
DECIBELS = Scaling(((-30.0, -20.0, 0.0),), (-1.0, 0.0, 1.0), (1e-3,))


def tiny_model(seed: int = 0, **changes: Any) -> Pix2Pix:
    """Return an untrained model of small networks."""
    return Pix2Pix(replace(CARD, seed=seed, **changes), recipe="seamless", ngf=4, ndf=4)


@pytest.mark.parametrize(
    ("make", "tasks"),
    [
        (tiny_model, ["generative"]),
        (lambda: Pix2Pix(CARD, recipe="measurement", ngf=4), ["regression"]),
        (lambda: CycleGAN(CARD, ngf=4, ndf=4, gen_blocks=1), ["generative"]),
        (
            lambda: tiny_model(factor=Fraction(2)),
            ["generative", "super-resolution"],
        ),
        (
            lambda: tiny_model(target=_side(1, classes=Classes((1, 5), ((1, 255, 0, 9, 255),)))),
            ["generative", "semantic-segmentation"],
        ),
        (lambda: tiny_model(footprint=None, source=_side(3, scaling=ASINH)), ["generative"]),
    ],
)
def test_items_of_models_are_valid(make: Callable[[], Any], tasks: list[str]) -> None:
    item = make().to_stac("my model", onnx=True)
    assert_valid(item)
    assert item.properties["mlm:tasks"] == tasks
    json.dumps(item.to_dict(), allow_nan=False)


def test_item_says_what_the_card_says(tmp_path: Path) -> None:
    model = tiny_model()
    item = model.to_stac(time="2019-01-01/2019-12-31")
    assert item.id == f"Pix2Pix-{model.digest()[:12]}"
    assert item.bbox == list(PLACE)
    assert item.properties["start_datetime"] == "2019-01-01T00:00:00Z"
    source, target = item.properties["mlm:input"][0], item.properties["mlm:output"][0]
    assert source["bands"] == ["red", "green", "blue"]
    assert target["bands"] == ["target 1"]
    assert source["input"]["shape"] == [-1, 3, 64, 64]
    assert source["value_scaling"] == [{"type": "z-score", "mean": 127.5, "stddev": 127.5}]
    assert item.assets["model"].extra_fields["raster:bands"][3] == {
        "name": "target 1",
        "data_type": "float32",
        "nodata": "nan",
    }
    weights = sum(weight.numel() for weight in model.predictor.inference.generator.parameters())
    assert item.properties["mlm:total_parameters"] == weights
    item.save_object(dest_href=str(tmp_path / "model.stac.json"))
    assert pystac.Item.from_file(tmp_path / "model.stac.json").properties == item.properties


def test_bands_of_equal_names_are_told_apart() -> None:
    item = tiny_model(target=_side(3, ("red", "green", "blue"))).to_stac()
    names = [band["name"] for band in item.assets["model"].extra_fields["raster:bands"]]
    assert names[2:4] == ["source blue", "target red"]
    assert item.properties["mlm:output"][0]["bands"] == names[3:]


def test_unknown_ground_and_time() -> None:
    item = tiny_model(footprint=None).to_stac()
    assert item.geometry is None
    assert item.bbox is None
    assert item.properties["start_datetime"] < "1901"


def test_ground_across_the_180th_meridian() -> None:
    item = tiny_model(footprint=(179.0, -1.0, -178.0, 1.0)).to_stac()
    assert item.geometry["type"] == "MultiPolygon"
    assert item.bbox == [179.0, -1.0, -178.0, 1.0]
    assert_valid(item)


@pytest.mark.parametrize("scaling", [ASINH, DECIBELS, Scaling.linear((0, 5, -3), (255, 9, 12))])
def test_expressions_are_the_scalings(scaling: Scaling) -> None:
    bands = len(scaling.knots)
    inside = np.random.default_rng(0).uniform(scaling.levels[0], scaling.levels[-1], (bands, 4, 5))
    units = scaling.unscale(inside)
    found = eval(inverse(scaling)["expression"], {"numpy": np, "x": inside})
    assert np.allclose(found, units, rtol=1e-5)
    entries = value_scaling(scaling)
    entries = entries * bands if len(entries) == 1 else entries
    for band, entry in enumerate(entries):
        if entry["type"] == "z-score":
            scaled = (units[band] - entry["mean"]) / entry["stddev"]
        else:
            scaled = eval(entry["expression"], {"numpy": np, "x": units[band]})
        assert np.allclose(scaled, inside[band], atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"name": "1"}, "name is '1'; give at least three letters"),
        ({"name": 5}, "name is 5; give text"),
        ({"time": "yesterday"}, "time is 'yesterday'; give a date or time such as"),
        ({"time": "2020-01-01/2019-01-01"}, "give the earlier one first"),
        ({"time": 2019}, "time is 2019; give text"),
        ({"onnx": "yes"}, "onnx is 'yes'; give True or False"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        tiny_model().to_stac(**arguments)
