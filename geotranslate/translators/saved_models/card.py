"""The card of a model: its class, arguments, data, history and metrics as JSON."""

from __future__ import annotations

import platform
import re
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from geotranslate.checks import shown
from geotranslate.chips.bands import DataCard
from geotranslate.errors import InvalidInputError, ModelFileError, said
from geotranslate.metrics import Metrics
from geotranslate.schema import (
    Fields,
    Json,
    Later,
    any_number,
    anything,
    one_of,
    record,
    several,
    table,
    text,
    whole,
)
from geotranslate.translators.config import TranslatorConfig

FORMAT = "geotranslate model"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Card:
    """Description of a model, saved as `card.json`."""

    translator: str
    """Name of the model's class."""
    options: dict[str, Any]
    """Arguments that rebuild it, apart from the data."""
    data: DataCard
    history: list[dict[str, float]]
    """One row of losses for every epoch."""
    metrics: Metrics
    """Last result of `compute_metrics`, empty before the first."""
    baselines: dict[str, float] = field(default_factory=dict)
    """Mean absolute errors of baselines on the validation pairs."""

    def to_json(self) -> Json:
        """Return JSON values, including the versions of the packages."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            **vars(self),
            "data": self.data.to_json(),
            "metrics": self.metrics.to_json(),
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in ("geotranslate", "torch", "fastai", "rasterio")},
            },
        }

    @classmethod
    def from_json(cls, values: Json) -> Card:
        """Rebuild a card from `to_json`.

        Raises:
            InvalidInputError: A value is missing, of another type or out of its range.
        """
        found = record(CARD)("card", values)
        return cls(**{entry.name: found[entry.name] for entry in fields(cls)})

    def differences(self, other: Card) -> list[str]:
        """Return the names of class, arguments and data if they differ from another card's."""
        compared = (
            ("translator", self.translator, other.translator),
            ("arguments of the model", self.options, other.options),
            # As JSON, where a nodata value of NaN is equal to itself.
            ("data", _decisive(self.data), _decisive(other.data)),
        )
        return [name for name, mine, theirs in compared if mine != theirs]


def _decisive(data: DataCard) -> Json:
    """Return what a training depends on, without entries that earlier checkpoints lack.

    These are the quantiles and the footprint.
    """
    sides = {
        name: replace(getattr(data, name), quantiles=None).to_json()
        for name in ("source", "target")
    }
    return replace(data, footprint=None).to_json() | sides


def card_in(facts: Json, folder: Path, translator: str, config: type[TranslatorConfig]) -> Card:
    """Return the card in the facts of a checkpoint.

    Args:
        facts: Facts of the checkpoint.
        folder: Folder of the checkpoint, for errors.
        translator: Name of the expected class.
        config: Configuration of that class; its cards are completed with options added later.

    Raises:
        ModelFileError: The card is damaged.
    """
    try:
        card = Card.from_json(facts["card"])
        if card.translator != translator:
            return card
        return replace(card, options=asdict(config.from_card(card.options)))
    except InvalidInputError as error:
        raise ModelFileError(
            f"The checkpoint in {folder} is damaged ({said(error)}). Remove the folder and train "
            "anew."
        ) from error


def class_name(name: str, value: Any) -> str:
    """Return a text that can be the name of a class.

    Raises:
        InvalidInputError: The value is something else.
    """
    if len(text(name, value)) > 100 or not value.isprintable():
        raise InvalidInputError(f"{name} is {shown(value)}; give the name of a class.")
    return str(value)


def sha256_text(name: str, value: Any) -> str:
    """Return a SHA-256 in hexadecimal digits.

    Raises:
        InvalidInputError: The value is something else.
    """
    if not re.fullmatch("[0-9a-f]{64}", text(name, value)):
        raise InvalidInputError(f"{name} is {shown(value)}; give a SHA-256.")
    return str(value)


CARD: Fields = {
    "format": one_of((FORMAT,)),
    "format_version": whole(1, FORMAT_VERSION),
    "translator": class_name,
    "options": table(anything),
    "data": lambda name, value: DataCard.from_json(value, name),
    "history": lambda name, value: list(several(table(any_number))(name, value)),
    "metrics": lambda name, value: Metrics.from_json(value, name),
    "baselines": Later(table(any_number), {}),
    "versions": table(class_name),
    "weights_sha256": Later(sha256_text, ""),
}
"""Check of each value of `card.json`; cards in checkpoints have no `weights_sha256`."""
