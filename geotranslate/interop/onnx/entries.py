"""Metadata of ONNX files of geotranslate: the model with its card, and facts of the graph."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from geotranslate.chips.bands import DataCard, Direction
from geotranslate.errors import InvalidInputError
from geotranslate.schema import (
    Check,
    Fields,
    Json,
    any_number,
    anything,
    finite,
    one_of,
    optional,
    parse_json,
    record,
    table,
    text,
    whole,
)

INPUT = "source"
"""Name of the input of a graph."""
OUTPUT = "target"
"""Name of the output."""
MODEL_ENTRY = "geotranslate"
GRAPH_ENTRY = "geotranslate_graph"
VERSION = 1
"""Version of both entries."""


@dataclass(frozen=True)
class GraphFacts:
    """Facts of a graph that its predictor needs."""

    stride: int
    """Factor by which images shrink inside, px."""
    radius: int | None
    """Radius of the receptive field, px; None for the whole image."""
    least: int
    """Smallest side of an image, px."""
    largest_layer: int
    """Largest output of a layer for a chip of the training, bytes."""
    norm_stats: str
    """Kind of the normalization statistics."""

    def to_text(self) -> str:
        """Return the facts as JSON text."""
        return json.dumps({"version": VERSION, **asdict(self)})

    @classmethod
    def from_text(cls, written: str) -> GraphFacts:
        """Rebuild the facts from `to_text`.

        Raises:
            InvalidInputError: The text is not one of such facts.
        """
        return cls(**_entry(GRAPH_ENTRY, GRAPH, written))


@dataclass(frozen=True)
class ModelEntry:
    """A model, and the direction in which its graph translates."""

    model: str
    """Name of the model's class."""
    digest: str
    """SHA-256 of the weights of the saved model."""
    direction: Direction
    card: Json
    """The card of the model as JSON."""

    def to_text(self) -> str:
        """Return the entry as JSON text."""
        return json.dumps(finite({"version": VERSION, **asdict(self)}), allow_nan=False)

    @classmethod
    def from_text(cls, written: str) -> ModelEntry:
        """Rebuild an entry from `to_text`.

        Raises:
            InvalidInputError: The text is not one of such an entry.
        """
        return cls(**_entry(MODEL_ENTRY, MODEL, written))

    @property
    def data(self) -> DataCard:
        """Card of the training data, with source and target in the direction of the graph.

        Raises:
            InvalidInputError: The card has no such entry.
        """
        data = DataCard.from_json(self.card.get("data", {}))
        return data if self.direction == "AtoB" else data.reversed()

    @property
    def per_scene(self) -> Mapping[str, Mapping[str, float]]:
        """Distances and errors of validation scenes, by name.

        Raises:
            InvalidInputError: The card has other values for them.
        """
        measures = table(anything)("card.metrics", self.card.get("metrics", {}))
        found: dict[str, dict[str, float]] = table(table(any_number))(
            "card.metrics.per_scene", measures.get("per_scene", {})
        )
        return found


def _name(name: str, value: Any) -> str:
    found = text(name, value)
    if len(found) > 100 or not found.isprintable():
        raise InvalidInputError(f"{name} is no name.")
    return found


def _entry(name: str, fields: Fields, written: str) -> dict[str, Any]:
    found: dict[str, Any] = record(fields)(name, parse_json(written))
    return {key: value for key, value in found.items() if key != "version"}


_side: Check = whole(1, 2**16)
MODEL: Fields = {
    "version": whole(1, VERSION),
    "model": _name,
    "digest": _name,
    "direction": one_of(Direction),
    "card": table(anything),
}
"""Check of each value of `ModelEntry`."""
GRAPH: Fields = {
    "version": whole(1, VERSION),
    "stride": _side,
    "radius": optional(whole(0, 2**24)),
    "least": _side,
    "largest_layer": whole(1, 2**48),
    "norm_stats": one_of(("running", "tile")),
}
"""Check of each value of `GraphFacts`."""
