"""Save and load a model: safetensors weights and a JSON card, never a pickle."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save, save_file
from torch import Tensor

from geotranslate.chips.datacard import DataCard
from geotranslate.errors import ModelFileError, RasterFileError, said
from geotranslate.training.metrics.report import Metrics

CARD_FILE = "card.json"
WEIGHTS_FILE = "model.safetensors"
FORMAT = "geotranslate model"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Card:
    """What `card.json` says of a model."""

    translator: str
    """Name of the class that made it."""
    options: dict[str, Any]
    """Arguments that rebuild it, beside the data."""
    data: DataCard
    history: list[dict[str, float]]
    """One row of losses for every epoch."""
    metrics: Metrics
    """Last answer of `compute_metrics`, empty before."""

    def to_json(self) -> dict[str, Any]:
        """Return plain values, with the versions of what wrote them."""
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
    def from_json(cls, values: dict[str, Any]) -> Card:
        """Rebuild a card from `to_json`."""
        return cls(
            translator=str(values["translator"]),
            options=dict(values["options"]),
            data=DataCard.from_json(values["data"]),
            history=[_numbers(row) for row in values["history"]],
            metrics=Metrics.from_json(values["metrics"]),
        )

    def differences(self, other: Card) -> list[str]:
        """Name what keeps the training of one model from going on with the state of the other."""
        compared = (
            ("translator", self.translator, other.translator),
            ("arguments of the model", self.options, other.options),
            ("data", self.data, other.data),
        )
        return [name for name, mine, theirs in compared if mine != theirs]


def _finite(value: Any) -> Any:
    """Return a JSON value with infinity and NaN, which JSON lacks, as strings."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _numbers(row: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in row.items()}


def save_model(folder: Path, card: Card, weights: dict[str, Tensor]) -> None:
    """Write card and weights into a folder, each under a temporary name first.

    The card holds the SHA-256 of the weights, so that a folder left half renewed is recognised.

    Raises:
        RasterFileError: The folder cannot be written.
    """
    if not folder.absolute().parent.is_dir():
        raise RasterFileError(
            f"The folder {folder.parent}, in which the model {folder.name} shall be saved, does "
            "not exist; create it first."
        )
    mark = uuid.uuid4().hex[:8]
    new_weights = folder / f".{WEIGHTS_FILE}.{mark}.partial"
    new_card = folder / f".{CARD_FILE}.{mark}.partial"
    try:
        folder.mkdir(exist_ok=True)
        save_file(_plain(weights), new_weights)
        content = card.to_json() | {"weights_sha256": _sha256(new_weights)}
        text = json.dumps(_finite(content), indent=2, allow_nan=False)
        new_card.write_text(text, encoding="utf-8")
        os.replace(new_weights, folder / WEIGHTS_FILE)
        os.replace(new_card, folder / CARD_FILE)
    except (OSError, SafetensorError) as error:
        raise RasterFileError(f"The model {folder} cannot be saved: {said(error)}.") from error
    finally:
        for partial in (new_weights, new_card):
            with suppress(OSError):
                partial.unlink()


def read_card(path: str | os.PathLike[str]) -> Card:
    """Read a model's card.

    Args:
        path: Folder that `save` wrote, or the card in it.

    Raises:
        ModelFileError: It is missing, damaged or no model of geotranslate.
    """
    folder = _folder(path)
    with _damage(folder):
        return Card.from_json(_values(folder))


def read_model(path: str | os.PathLike[str]) -> tuple[Card, dict[str, Tensor]]:
    """Read a model's card and weights; nothing in the files is run.

    Args:
        path: Folder that `save` wrote, or the card in it.

    Raises:
        ModelFileError: It is missing, damaged or no model of geotranslate.
    """
    folder = _folder(path)
    with _damage(folder):
        values = _values(folder)
        card = Card.from_json(values)
        if values["weights_sha256"] != _sha256(folder / WEIGHTS_FILE):
            raise ModelFileError(
                f"{folder / WEIGHTS_FILE} does not belong to its card: it was replaced or damaged. "
                "Save or fetch the model again."
            )
        return card, load_file(folder / WEIGHTS_FILE)


def weights_sha256(weights: dict[str, Tensor]) -> str:
    """Return what `card.json` says of these weights when they are saved."""
    return hashlib.sha256(save(_plain(weights))).hexdigest()


def saved_sha256(path: str | os.PathLike[str]) -> str | None:
    """Return the SHA-256 of a saved model's weights, None where none can be read any more."""
    try:
        return _sha256(_folder(path) / WEIGHTS_FILE)
    except (ModelFileError, OSError):
        return None


def _folder(path: str | os.PathLike[str]) -> Path:
    folder = Path(path).parent if Path(path).name == CARD_FILE else Path(path)
    for name in (CARD_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise ModelFileError(
                f"{path} is not a model of geotranslate: {name} is missing. Give the folder that "
                "save wrote."
            )
    return folder


def _values(folder: Path) -> dict[str, Any]:
    values = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ModelFileError(
            f"{folder / CARD_FILE} was not written by geotranslate. Give the folder that save "
            "wrote."
        )
    if values["format_version"] > FORMAT_VERSION:
        raise ModelFileError(
            f"{folder} was saved by a newer geotranslate ({values['versions']['geotranslate']})"
            "; update geotranslate to load it."
        )
    return values


@contextmanager
def _damage(folder: Path) -> Iterator[None]:
    """Turn what reading a damaged model raises into our sentence."""
    try:
        yield
    except ModelFileError:
        raise
    except (ValueError, KeyError, TypeError, OSError, SafetensorError) as error:
        raise ModelFileError(
            f"The model {folder} is damaged ({type(error).__name__}: {said(error)}). Save or fetch "
            "it again."
        ) from error


def _plain(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.cpu().contiguous() for name, tensor in weights.items()}


def load_weights(module: torch.nn.Module, weights: dict[str, Tensor], path: object) -> None:
    """Put weights into a module.

    Raises:
        ModelFileError: Names or shapes are not those of the module.
    """
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelFileError(
            f"The weights of {path} are not those of the networks that its card describes: "
            f"{said(error).splitlines()[-1].strip()}."
        ) from error


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
