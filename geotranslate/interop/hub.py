"""Models on the Hugging Face Hub: `save_pretrained`, `push_to_hub` and `from_pretrained`."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

from fastai.data.core import DataLoaders

from geotranslate.checks import flag, folder_path, shown
from geotranslate.errors import InvalidInputError, RasterFileError, said
from geotranslate.files import replaced_when_whole
from geotranslate.interop.export import ExportedModel, export
from geotranslate.interop.hubcard import MARK, Shared, readme
from geotranslate.interop.hubfiles import (
    CARD,
    CONFIG,
    ONNX,
    README,
    SAMPLE,
    SHARED,
    Token,
    check_token,
    endpoint,
    fetched,
    former,
    hub_package,
    hub_sentences,
    repository_name,
)
from geotranslate.interop.stacmodel import Describable, model_item
from geotranslate.metrics import Metrics
from geotranslate.migration import checks_arguments
from geotranslate.raster.pipeline import MODEL_ITEM
from geotranslate.schema import Json, parse_json, text

CLASS = "_model_class"
"""Entry of `config.json` that is not in the card."""
OF_WEIGHTS = (ONNX, SAMPLE)
"""Files that are made from the weights, and wrong beside others."""


class SharedModel(Describable, ExportedModel, Protocol):
    """A model that can be shared."""

    data: DataLoaders | None
    metrics: Metrics
    baselines: dict[str, float]

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Save it in a folder and return the folder."""

    def show_results(self) -> Any:
        """Draw some validation pairs and return the figure."""


class Loadable(Protocol):
    """A class of models that can be loaded from a folder."""

    @classmethod
    def from_model(cls, path: Any, data: DataLoaders | None = None, device: Any = None) -> Any:
        """Load a model from a folder."""


ModelT = TypeVar("ModelT", bound=Loadable)


@checks_arguments
def save_pretrained(
    model: SharedModel,
    folder: str | os.PathLike[str],
    *,
    name: str | None = None,
    license: str | None = None,
    time: str | None = None,
    onnx: bool = False,
) -> Path:
    """Save the model with all that others need to find and use it; return the folder.

    `save` writes `model.safetensors` and `card.json`. Beside them come `config.json`, the same card
    as the Hugging Face Hub counts it; `model.stac.json`, see `to_stac`; `README.md`, the model card
    with the figures of `compute_metrics`; and `sample.png`, validation pairs with their
    translations, if the model has its data. A README without the line that marks it as written by
    geotranslate is kept. If the folder held other weights, their `model.onnx` and `sample.png` are
    removed.

    Args:
        model: The model.
        folder: Folder to write.
        name: Name in the README, for example "user/ortho2map"; by default the name of the folder.
        license: License in the README, such as "apache-2.0" or "cc-by-4.0".
        time: Time of the training data, ISO 8601, as in `to_stac`.
        onnx: Whether to write `model.onnx` too, as `export` does.

    Raises:
        InvalidInputError: `folder` is no path, or an argument is invalid.
        RasterFileError: The folder cannot be written.
        MissingPackageError: `onnx` is true and its packages are missing.
    """
    place = folder_path("folder", folder)
    called = place.absolute().name if name is None else text("name", name)
    if license is not None:
        text("license", license)
    item = model_item(model, time=time, onnx=flag("onnx", onnx))
    with suppress(OSError):
        if _digest((place / CARD).read_bytes()) != model.predictor.digest():
            for file in OF_WEIGHTS:
                (place / file).unlink(missing_ok=True)
    model.save(place)
    if onnx:
        export(model, place / ONNX, overwrite=True)
    card = parse_json((place / CARD).read_bytes())
    _write(place / CONFIG, {CLASS: model.name, **card})
    _write(place / MODEL_ITEM, item)
    _draw(model, place / SAMPLE)
    if _is_ours(place / README):
        there = tuple(file for file in SHARED if (place / file).is_file())
        shared = Shared(
            kind=model.name,
            data=model.card,
            metrics=model.metrics,
            baselines=model.baselines,
            name=called,
            license=license,
            sample=SAMPLE if SAMPLE in there else None,
            files=there,
        )
        _write(place / README, readme(shared))
    return place


@checks_arguments
def push_to_hub(
    model: SharedModel,
    name: str,
    *,
    private: bool | None = None,
    token: Token = None,
    commit_message: str | None = None,
    license: str | None = None,
    time: str | None = None,
    onnx: bool = False,
) -> str:
    """Upload the model to the Hugging Face Hub in one commit, and return the commit's address.

    The files are those of `save_pretrained`. A README on the hub without the line that marks it as
    written by geotranslate is kept, and a `model.onnx` or `sample.png` of other weights is removed.
    The repository is created if it does not exist.

    Args:
        model: The model.
        name: Repository, "user/name".
        private: Whether a new repository is private; None for the default of the account.
        token: Token of the account; by default the one of `hf auth login` or of `HF_TOKEN`.
        commit_message: Message of the commit.
        license: License in the README, such as "apache-2.0" or "cc-by-4.0".
        time: Time of the training data, ISO 8601, as in `to_stac`.
        onnx: Whether to write `model.onnx` too, as `export` does.

    Raises:
        InvalidInputError: An argument is invalid.
        MissingPackageError: huggingface_hub is not installed.
        ModelFileError: The hub refuses the upload or cannot be reached.
    """
    repository, hub = repository_name(name), hub_package()
    message = "Upload a model of geotranslate" if commit_message is None else commit_message
    text("commit_message", message)
    if private is not None:
        flag("private", private)
    check_token(token)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "model"
        save_pretrained(model, folder, name=repository, license=license, time=time, onnx=onnx)
        with hub_sentences(hub, repository, "uploaded"):
            api = hub.HfApi(endpoint=endpoint(), token=token)
            api.create_repo(repository, private=private, exist_ok=True)
            files = [file for file in SHARED if (folder / file).is_file()]
            text_there = former(hub, repository, README, token)
            if text_there is not None and MARK.encode() not in text_there:
                files.remove(README)
            changes = [hub.CommitOperationAdd(file, str(folder / file)) for file in files]
            if _digest(former(hub, repository, CARD, token)) != model.predictor.digest():
                changes += [
                    hub.CommitOperationDelete(file)
                    for file in OF_WEIGHTS
                    if file not in files and api.file_exists(repository, file)
                ]
            done = api.create_commit(repository, changes, commit_message=message)
    return str(done.commit_url)


def pretrained(
    load: Callable[..., ModelT],
    name: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: Token = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    data: DataLoaders | None = None,
    device: Any = None,
) -> ModelT:
    """Load a model from the hub or from a folder by a function, see `from_pretrained`."""
    if isinstance(name, os.PathLike) or os.path.isdir(name):
        if revision is not None:
            raise InvalidInputError(
                f"revision is {shown(revision)}, but {name} is a folder, which has none; leave it "
                "out."
            )
        return load(folder_path("name", name), data, device)
    folder = fetched(
        name,
        revision=revision,
        token=token,
        cache_dir=cache_dir,
        local_files_only=flag("local_files_only", local_files_only),
    )
    return load(folder, data, device)


@checks_arguments
def from_pretrained(
    cls: type[Loadable],
    name: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: Token = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    data: DataLoaders | None = None,
    device: Any = None,
) -> Any:
    """Load a model from the Hugging Face Hub, or from a folder; no code from it is executed.

    Only `card.json`, `config.json`, `model.safetensors` and `model.stac.json` are downloaded, all
    of one commit, and nothing pickled is read.

    Args:
        cls: The class.
        name: Repository, "user/name", or a folder of `save` or `save_pretrained`.
        revision: Branch, tag or commit; by default the main branch.
        token: Token of the account, for private models; by default the one of `hf auth login`.
        cache_dir: Folder of downloaded files; by default that of huggingface_hub.
        local_files_only: Whether to use only what was downloaded before.
        data: Loaders from `prepare_data`, as in `from_model`.
        device: Device of torch, as in `from_model`.

    Raises:
        InvalidInputError: `name` is neither, or another argument is invalid.
        MissingPackageError: huggingface_hub is not installed.
        ModelFileError: There is no such model, it cannot be fetched, it is damaged or of another
            class, or it was not saved by geotranslate.
    """
    return pretrained(
        cls.from_model,
        name,
        revision=revision,
        token=token,
        cache_dir=cache_dir,
        local_files_only=local_files_only,
        data=data,
        device=device,
    )


def _digest(card: bytes | None) -> Any:
    """Return the digest of the weights in a card, None if it has none."""
    try:
        values = None if card is None else parse_json(card)
    except InvalidInputError:
        return None
    return values.get("weights_sha256") if isinstance(values, dict) else None


def _write(path: Path, content: Json | str) -> None:
    """Write text or JSON into a file, which is replaced when it is whole.

    Raises:
        RasterFileError: It cannot be written.
    """
    written = content if isinstance(content, str) else json.dumps(content, indent=2)
    try:
        with replaced_when_whole(path, path.with_name(f".{path.name}.partial")) as temporary:
            temporary.write_text(written, encoding="utf-8")
    except OSError as error:
        raise RasterFileError(
            f"{path} cannot be written: {said(error)}. Make sure that the folder may be written."
        ) from error


def _is_ours(path: Path) -> bool:
    """Tell whether a README is missing or was written by geotranslate."""
    try:
        return MARK in path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _draw(model: SharedModel, path: Path) -> None:
    """Write a picture of validation pairs, if the model has its data."""
    if model.data is None:
        return
    import matplotlib.pyplot as plt

    figure = model.show_results()
    try:
        figure.savefig(path, dpi=100)
    except OSError as error:
        raise RasterFileError(
            f"{path} cannot be written: {said(error)}. Make sure that the folder may be written."
        ) from error
    finally:
        plt.close(figure)
