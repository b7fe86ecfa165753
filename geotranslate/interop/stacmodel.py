"""`to_stac`, the method of models that describes them by the machine-learning-model extension."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, Protocol

from geotranslate.checks import flag, shown
from geotranslate.chips.bands import DataCard, Side
from geotranslate.errors import InvalidInputError
from geotranslate.interop.stacscaling import inverse, value_scaling
from geotranslate.migration import checks_arguments
from geotranslate.prediction.inference import torch_inference
from geotranslate.prediction.predictor import Predictor
from geotranslate.raster.degrees import geojson_of, outline_of
from geotranslate.raster.pipeline import EXTENSIONS, band_entry, moment
from geotranslate.raster.stacitems import to_pystac
from geotranslate.schema import Json, text

MLM = "https://stac-extensions.github.io/mlm/v1.5.2/schema.json"
NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_.\-\s]+[a-zA-Z0-9]")
"""Names of models that the extension allows."""
ALWAYS = ("1900-01-01T00:00:00Z", "9999-12-31T23:59:59Z")
"""Span of an unknown time, as in the examples of the extension."""
ROWS_AND_COLUMNS = ("batch", "bands", "height", "width")


class Describable(Protocol):
    """A model with a card, a configuration and a predictor."""

    card: DataCard
    config: Any
    predictor: Predictor

    @property
    def name(self) -> str:
        """Name of its class."""


@checks_arguments
def to_stac(
    model: Describable, name: str | None = None, *, time: str | None = None, onnx: bool = False
) -> Any:
    """Return a `pystac.Item` of the model with the machine-learning-model extension (MLM 1.5.2).

    It has the bands, scalings, shapes and classes of both sides, the arguments of the model, and
    the ground of its training chips as geometry, if the card knows it. The hrefs of the assets are
    relative: the Item belongs into the folder of the model, as `save_pretrained` writes it.

    Args:
        model: The model.
        name: Name of the model: a letter, then letters, digits, spaces and `_.-`. By default the
            name of its class and the beginning of the SHA-256 of its weights.
        time: Time of the training data, ISO 8601: one, or two with a slash such as
            "2019-01-01/2019-12-31". By default it is unknown, from 1900 to 9999.
        onnx: Whether `model.onnx` is in the folder as well.

    Raises:
        MissingPackageError: pystac is not installed.
        InvalidInputError: The name or the time is none.
    """
    return to_pystac(model_item(model, name, time=time, onnx=onnx))


def model_item(
    model: Describable, name: str | None = None, *, time: str | None = None, onnx: bool = False
) -> Json:
    """Return the item of a model as a dictionary, see `to_stac`."""
    flag("onnx", onnx)
    card = model.card
    called = f"{model.name}-{model.predictor.digest()[:12]}" if name is None else name
    if not NAME.fullmatch(text("name", called)):
        raise InvalidInputError(
            f"name is {shown(name)}; give at least three letters, digits, spaces, dots, hyphens or "
            "underscores, of which the first is a letter and the last a letter or digit."
        )
    names = _names(card.source, "source"), _names(card.target, "target")
    if {*names[0]} & {*names[1]}:
        names = _prefixed(names[0], "source"), _prefixed(names[1], "target")
    extensions = [MLM, EXTENSIONS["raster"]]
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": extensions,
        "id": called,
        **_place(card),
        "properties": {
            **_time(time),
            "description": f"Translates {card.source.kind} of {_count(card.source)} into "
            f"{card.target.kind} of {_count(card.target)}.",
            **_properties(model, called, names),
        },
        "links": [],
        "assets": _assets(card, names, onnx=onnx),
    }


def _count(side: Side) -> str:
    return f"{side.bands} band{'s' if side.bands != 1 else ''}"


def _names(side: Side, prefix: str) -> list[str]:
    return [name or f"{prefix} {number}" for number, name in enumerate(side.band_names, 1)]


def _prefixed(names: Sequence[str], prefix: str) -> list[str]:
    return [name if name.startswith(prefix) else f"{prefix} {name}" for name in names]


def _place(card: DataCard) -> Json:
    if card.footprint is None:
        return {"geometry": None}
    geometry, edges = geojson_of(outline_of(card.footprint))
    return {"geometry": geometry, "bbox": list(edges)}


def _time(time: str | None) -> Json:
    if time is None:
        begin, end = ALWAYS
    else:
        first, _, last = text("time", time).partition("/")
        begin, end = moment("time", first), moment("time", last or first)
        if begin > end:
            raise InvalidInputError(f"time is {shown(time)}; give the earlier one first.")
    if begin == end:
        return {"datetime": begin}
    return {"datetime": None, "start_datetime": begin, "end_datetime": end}


def _properties(model: Describable, name: str, names: tuple[list[str], list[str]]) -> Json:
    card, options = model.card, asdict(model.config)
    network = torch_inference(model.predictor.inference).generator
    kinds = ["regression" if options.get("lambda_gan") == 0 else "generative"]
    kinds += ["super-resolution"] if card.factor > 1 else []
    kinds += ["semantic-segmentation"] if card.target.classes is not None else []
    known = {key: value for key, value in options.items() if value is not None}
    return {
        "mlm:name": name,
        "mlm:architecture": model.name,
        "mlm:tasks": kinds,
        "mlm:framework": "pytorch",
        "mlm:framework_version": version("torch"),
        "mlm:total_parameters": sum(weight.numel() for weight in network.parameters()),
        "mlm:pretrained": False,
        "mlm:pretrained_source": None,
        "mlm:accelerator": None,
        "mlm:hyperparameters": known,
        "mlm:input": [
            {
                "name": "source",
                "bands": names[0],
                "input": _tensor(card.source, card.chip_size),
                "value_scaling": value_scaling(card.source.scaling),
                "resize_type": None,
                "pre_processing_function": None,
            }
        ],
        "mlm:output": [
            {
                "name": "translation",
                "tasks": kinds,
                "bands": names[1],
                "result": _tensor(card.target, card.target_size),
                "classification:classes": _classes(card.target),
                "post_processing_function": inverse(card.target.scaling),
            }
        ],
    }


def _tensor(side: Side, size: int) -> Json:
    return {
        "shape": [-1, side.bands, size, size],
        "dim_order": list(ROWS_AND_COLUMNS),
        "data_type": "float32",
    }


def _classes(side: Side) -> list[Json]:
    rows = (side.classes.colors if side.classes is not None else None) or ()
    colors = {row[0]: f"{row[1]:02X}{row[2]:02X}{row[3]:02X}" for row in rows}
    return [
        {
            "value": int(number),
            "name": f"class-{int(number)}",
            "description": f"Pixels of the value {int(number)}",
            **({"color_hint": colors[number]} if number in colors else {}),
        }
        for number in side.class_numbers
        if float(number).is_integer()
    ]


def _assets(card: DataCard, names: tuple[list[str], list[str]], *, onnx: bool) -> Json:
    bands = [
        *_bands(card.source, names[0]),
        *_bands(card.target, names[1]),
    ]
    found: Json = {
        "model": {
            "href": "./model.safetensors",
            "type": "application/octet-stream; framework=pytorch",
            "title": "Weights, for geotranslate.load_model",
            "mlm:artifact_type": "safetensors.torch.save_file",
            "raster:bands": bands,
            "roles": ["mlm:model", "mlm:weights"],
        },
        "card": {"href": "./card.json", "type": "application/json", "roles": ["metadata"]},
    }
    if onnx:
        found["onnx"] = {
            "href": "./model.onnx",
            "type": "application/octet-stream; framework=onnx",
            "title": "Network with its scalings: values in units of the bands in and out",
            "mlm:artifact_type": "onnx",
            "raster:bands": bands,
            "roles": ["mlm:model"],
        }
    return found


def _bands(side: Side, names: Sequence[str]) -> list[Json]:
    facts, each = side.band_facts, range(side.bands)
    units = facts.units or ("",) * side.bands
    scales, offsets = facts.scales or (1.0,) * side.bands, facts.offsets or (0.0,) * side.bands
    return [
        band_entry(names[k], side.dtype, side.nodata, units[k], scales[k], offsets[k]) for k in each
    ]
