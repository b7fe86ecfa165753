"""Folders of saved models, with safetensors weights and a JSON card, never a pickle."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save, save_file
from torch import Tensor, nn

from geotranslate.checks import folder_path
from geotranslate.errors import InvalidInputError, ModelFileError, RasterFileError, said
from geotranslate.files import sha256_of
from geotranslate.migration import ENDINGS, esri_model
from geotranslate.networks.backbone import BackboneUNet
from geotranslate.networks.weightless import (
    Shapes,
    assign,
    compare,
    computes_buffers,
    shapes_of,
    without_weights,
)
from geotranslate.raster.writing import sole_holder
from geotranslate.schema import MOST_BYTES, Json, finite, parse_json, table, whole
from geotranslate.training.run_folder import shapes_in
from geotranslate.translators.saved_models.card import (
    FORMAT,
    FORMAT_VERSION,
    Card,
    class_name,
    sha256_text,
)

CARD_FILE = "card.json"
CONFIG_FILE = "config.json"
"""The card under the name that the Hugging Face Hub counts, with the class of the model."""
CLASS = "_model_class"
WEIGHTS_FILE = "model.safetensors"
LOCK_FILE = ".geotranslate-saving.lock"
PATIENCE = 10.0
"""Seconds to wait while another process saves a model in the same folder."""


def save_model(folder: Path, card: Card, weights: dict[str, Tensor]) -> None:
    """Write card and weights into a folder, each under a temporary name first.

    The card holds the SHA-256 of the weights, by which a half-replaced folder is recognized. If
    several processes save at the same time, the last one wins.

    Raises:
        RasterFileError: The folder cannot be written.
        InvalidInputError: The card has values that could not be read again.
    """
    if not os.path.isdir(folder.absolute().parent):
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
        content = card.to_json() | {"weights_sha256": sha256_of(new_weights)}
        written = json.dumps(finite(content), indent=2, allow_nan=False)
        Card.from_json(parse_json(written))
        new_card.write_text(written, encoding="utf-8")
        with _sole_saver(folder):
            os.replace(new_weights, folder / WEIGHTS_FILE)
            os.replace(new_card, folder / CARD_FILE)
    except RasterFileError:
        raise
    except (OSError, SafetensorError) as error:
        raise RasterFileError(
            f"The model {folder} cannot be saved: {said(error)}. Make sure that the folder may be "
            "written and its disk has room."
        ) from error
    finally:
        for partial in (new_weights, new_card):
            with suppress(OSError):
                partial.unlink()
        with suppress(OSError):  # removed only if it is empty
            folder.rmdir()


def _sole_saver(folder: Path) -> AbstractContextManager[bool]:
    """Lock a folder, so that weights and card come from the same save."""
    return sole_holder(
        folder / LOCK_FILE,
        busy=f"Another process is saving a model in {folder} and does not end; give another folder "
        "or try again.",
        unwritable=lambda why: f"The model {folder} cannot be saved: {why}.",
        patience=PATIENCE,
    )


def read_card(path: str | os.PathLike[str]) -> Card:
    """Read a model's card.

    Args:
        path: Folder that `save` wrote, or the card in it.

    Raises:
        ModelFileError: The model is missing or damaged, or was not saved by geotranslate.
    """
    return SavedFolder.open(path).card


def read_model(path: str | os.PathLike[str]) -> tuple[Card, dict[str, Tensor]]:
    """Read a model's card and weights; no code from the files is executed.

    Args:
        path: Folder that `save` wrote, or the card in it.

    Raises:
        ModelFileError: The model is missing or damaged, or was not saved by geotranslate.
    """
    saved = SavedFolder.open(path)
    return saved.card, saved.weights()


@dataclass(frozen=True)
class SavedFolder:
    """A model in a folder, with its card; weights are read on demand."""

    folder: Path
    card: Card
    digest: str
    """SHA-256 of the weights, from the card."""

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> SavedFolder:
        """Read the card of a model.

        Args:
            path: Folder that `save` wrote, or the card in it.

        Raises:
            ModelFileError: The model is missing or damaged, or was not saved by geotranslate.
        """
        folder = _folder(path)
        with _damage(folder):
            values = _values(folder)
            digest = sha256_text("card.weights_sha256", values.get("weights_sha256"))
            return cls(folder, Card.from_json(values), digest)

    def shapes(self) -> Shapes:
        """Return dtypes and shapes of the weights without reading them.

        Raises:
            ModelFileError: The file is damaged.
        """
        with _damage(self.folder):
            return shapes_in(self.folder / WEIGHTS_FILE)

    def weights(self) -> dict[str, Tensor]:
        """Read the weights.

        Raises:
            ModelFileError: They are damaged or do not match the card.
        """
        with _damage(self.folder):
            if self.digest != sha256_of(self.folder / WEIGHTS_FILE):
                raise ModelFileError(
                    f"{self.folder / WEIGHTS_FILE} does not belong to its card: it was replaced "
                    "or damaged. Save or fetch the model again."
                )
            shapes_in(self.folder / WEIGHTS_FILE)
            return load_file(self.folder / WEIGHTS_FILE)


def weights_sha256(weights: dict[str, Tensor]) -> str:
    """Return the SHA-256 that these weights have when they are saved."""
    return hashlib.sha256(save(_plain(weights))).hexdigest()


def holds(folder: Path, digest: str, card: Card) -> bool:
    """Tell whether a folder still holds a certain model.

    Args:
        folder: Folder in which the model was saved, or the card in it.
        digest: SHA-256 of its weights.
        card: Its card.
    """
    try:
        same = sha256_of(_folder(folder) / WEIGHTS_FILE) == digest
        return same and not read_card(folder).differences(card)
    except (ModelFileError, OSError):
        return False


def _folder(path: str | os.PathLike[str]) -> Path:
    given = folder_path("path", path)
    if given.suffix.lower() in ENDINGS:
        raise ModelFileError(esri_model(given))
    folder = given.parent if given.name in (CARD_FILE, CONFIG_FILE) else given
    for file in (_card_file(folder), folder / WEIGHTS_FILE):
        if not os.path.isfile(file):
            raise ModelFileError(
                f"{path} is not a model of geotranslate: {file.name} is missing. Give the folder "
                "that save wrote."
            )
        _refuse_link(folder, file)
    return folder


def _card_file(folder: Path) -> Path:
    """Return the file of the card, which may be `config.json` alone."""
    card, config = folder / CARD_FILE, folder / CONFIG_FILE
    return config if os.path.isfile(config) and not os.path.lexists(card) else card


def _refuse_link(folder: Path, file: Path) -> None:
    """Refuse a link out of a model's folder, except within a cache of the Hugging Face Hub.

    Raises:
        ModelFileError: The file is such a link.
    """
    place = folder.resolve()
    # There, files in models--user--name/snapshots/<commit> are links to models--user--name/blobs.
    if place.parent.name == "snapshots" and place.parents[1].name.startswith("models--"):
        place = place.parents[1]
    target = file.resolve()
    if not target.is_relative_to(place):
        raise ModelFileError(
            f"{file} is a link to {target}, outside of the model's folder; put the file itself "
            "there."
        )


def _values(folder: Path) -> Json:
    path = _card_file(folder)
    with path.open("rb") as file:
        values = parse_json(file.read(MOST_BYTES + 1))
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ModelFileError(
            f"{path} was not written by geotranslate. Give the folder that save wrote."
        )
    if path.name == CONFIG_FILE:
        values.pop(CLASS, None)
    if whole(1, 10**6)("card.format_version", values.get("format_version")) > FORMAT_VERSION:
        versions = table(class_name)("card.versions", values.get("versions"))
        raise ModelFileError(
            f"{folder} was saved by a newer geotranslate ({versions.get('geotranslate', 'unknown')}"
            "); update geotranslate to load it."
        )
    return values


@contextmanager
def _damage(folder: Path) -> Iterator[None]:
    """Raise a `ModelFileError` for any error of reading a damaged model."""
    try:
        yield
    except ModelFileError:
        raise
    except (InvalidInputError, OSError, SafetensorError) as error:
        raise ModelFileError(
            f"The model {folder} is damaged ({said(error)}). Save or fetch it again."
        ) from error


def _plain(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.cpu().contiguous() for name, tensor in weights.items()}


def load_weights(module: torch.nn.Module, weights: dict[str, Tensor], path: object) -> None:
    """Load weights into a module.

    Raises:
        ModelFileError: Names, shapes or dtypes differ from the module's.
    """
    compare_weights(module, shapes_of(weights), path)
    assign(module, weights)


def compare_weights(module: torch.nn.Module, shapes: Shapes, path: object) -> None:
    """Compare saved weights with the weights of a module.

    Raises:
        ModelFileError: Names, shapes or dtypes differ.
    """
    try:
        compare(module, shapes)
    except InvalidInputError as error:
        raise ModelFileError(
            f"The weights of {path} are not those of the networks that its card describes: "
            f"{said(error)}."
        ) from error


class HasNetworks(Protocol):
    """A model with its networks."""

    @property
    def pair(self) -> nn.Module:
        """The networks."""


ModelT = TypeVar("ModelT", bound=HasNetworks)


def with_weights(
    make: Callable[[], ModelT], shapes: Shapes, read: Callable[[], dict[str, Tensor]], path: object
) -> ModelT:
    """Return a model with saved weights.

    Memory for the networks is allocated after the shapes of the weights have been checked.

    Args:
        make: Function that makes the model from its card.
        shapes: Dtypes and shapes of the weights by name.
        read: Function that reads the weights.
        path: Their path, for error messages.

    Raises:
        ModelFileError: The weights belong to another model, or the card describes no model.
    """
    try:
        with without_weights():
            model = make()
        compare_weights(model.pair, shapes, path)
        weights = read()
        if computes_buffers(model.pair):
            model = make()
        load_weights(model.pair, weights, path)
        for module in model.pair.modules():
            if isinstance(module, BackboneUNet):
                module.check_encoder()
    except InvalidInputError as error:
        raise ModelFileError(
            f"The card of {path} does not describe a model of this version: {said(error)}. Save "
            "the model again."
        ) from error
    return model
