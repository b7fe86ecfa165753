"""Files of models on the Hugging Face Hub: their names, their download, and errors of the hub."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from geotranslate.checks import folder_path, required, shown
from geotranslate.errors import InvalidInputError, ModelFileError, said
from geotranslate.raster.pipeline import MODEL_ITEM
from geotranslate.schema import MOST_BYTES, text

CARD, CONFIG, WEIGHTS = "card.json", "config.json", "model.safetensors"
README, ONNX, SAMPLE = "README.md", "model.onnx", "sample.png"
SHARED = (CARD, CONFIG, WEIGHTS, MODEL_ITEM, README, ONNX, SAMPLE)
"""Files of a model that are uploaded."""
MOST_WEIGHTS = 2**34
"""Largest file of weights that is downloaded, bytes."""

Token = str | bool | None


def fetched(
    name: str,
    *,
    revision: str | None = None,
    token: Token = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
) -> Path:
    """Download the named files of a model, and return their folder in the cache.

    Raises:
        InvalidInputError: An argument is invalid.
        MissingPackageError: huggingface_hub is not installed.
        ModelFileError: There is no such model, or it cannot be fetched.
    """
    repository, hub = repository_name(name), hub_package()
    if revision is not None:
        text("revision", revision)
    check_token(token)
    cache = None if cache_dir is None else folder_path("cache_dir", cache_dir)
    given: dict[str, Any] = {
        "token": token,
        "cache_dir": cache,
        "local_files_only": local_files_only,
        "endpoint": endpoint(),
    }

    def fetch(file: str, commit: str | None, most: int) -> Path:
        if not local_files_only:
            _refuse_large(hub, repository, file, commit, token, most)
        return Path(hub.hf_hub_download(repository, file, revision=commit, **given))

    with hub_sentences(hub, repository, "fetched"):
        card = fetch(CARD, revision, MOST_BYTES)
        # The files of one commit lie in a folder with its name.
        commit = card.parent.name
        fetch(WEIGHTS, commit, MOST_WEIGHTS)
        for file in (CONFIG, MODEL_ITEM):
            try:
                fetch(file, commit, MOST_BYTES)
            except hub.errors.EntryNotFoundError:
                continue
    return card.parent


def repository_name(name: Any) -> str:
    """Return the name of a repository after checking that it is one.

    Raises:
        InvalidInputError: It is something else.
    """
    owner, _, rest = name.partition("/") if isinstance(name, str) else ("", "", "")
    if not (owner and rest) or "/" in rest or not all(map(_is_name, (owner, rest))):
        raise InvalidInputError(
            f"name is {shown(name)}, which is no folder and no model of the hub; give the path of "
            'a folder, or a repository such as "user/ortho2map".'
        )
    return str(name)


def _is_name(part: str) -> bool:
    plain = part.isascii() and part.replace("-", "").replace("_", "").replace(".", "").isalnum()
    return (
        plain
        and len(part) <= 96
        and part.strip("-.") == part
        and not {"--", ".."} & {part[place : place + 2] for place in range(len(part))}
    )


def check_token(token: Any) -> None:
    """Check that a token is text, a truth value or None.

    Raises:
        InvalidInputError: It is something else.
    """
    # The value is a secret, which no sentence may show.
    if token is not None and not isinstance(token, str | bool):
        raise InvalidInputError(
            f"token is a value of type {type(token).__name__}; give text, or None for the token of "
            "`hf auth login`."
        )


def hub_package() -> Any:
    """Return the package huggingface_hub.

    Raises:
        MissingPackageError: It is not installed.
    """
    hub = required("huggingface_hub", "hub", "The Hugging Face Hub")
    required("huggingface_hub.errors", "hub", "The Hugging Face Hub")
    return hub


def endpoint() -> str | None:
    """Return the address of another hub, from the variable `HF_ENDPOINT`, None for the usual."""
    # huggingface_hub reads the variable only when it is imported.
    return os.environ.get("HF_ENDPOINT") or None


def _refuse_large(
    hub: Any, repository: str, file: str, commit: str | None, token: Token, most: int
) -> None:
    """Refuse a file that is larger than any of its kind, before it is downloaded.

    Raises:
        ModelFileError: It is larger.
    """
    url = hub.hf_hub_url(repository, file, revision=commit, endpoint=endpoint())
    size = None
    with suppress(*hub_errors(hub)):  # the download fails likewise, or takes a file of the cache
        size = hub.get_hf_file_metadata(url, token=token, endpoint=endpoint()).size
    if size is not None and size > most:
        raise ModelFileError(
            f"{file} of {repository} has {size / 2**20:,.0f} MiB, and at most {most >> 20:,} MiB "
            "are downloaded; it is no such file of geotranslate."
        )


def former(hub: Any, repository: str, file: str, token: Token) -> bytes | None:
    """Return a small file of a repository, None if it has none."""
    with tempfile.TemporaryDirectory() as temporary:
        try:
            _refuse_large(hub, repository, file, None, token, MOST_BYTES)
            path = hub.hf_hub_download(
                repository, file, token=token, endpoint=endpoint(), cache_dir=temporary
            )
        except hub.errors.EntryNotFoundError:
            return None
        return Path(path).read_bytes()


@contextmanager
def hub_sentences(hub: Any, repository: str, done: str) -> Iterator[None]:
    """Raise a `ModelFileError` for any error of the hub.

    Args:
        hub: The package huggingface_hub.
        repository: Name of the repository.
        done: What could not be done with it, as a participle.
    """
    try:
        yield
    except ModelFileError:
        raise
    except hub_errors(hub) as error:
        why = said(error).splitlines()[0].rstrip(".: ")
        raise ModelFileError(
            f"The model {repository} cannot be {done}: {_remedy(hub.errors, error)} ({why})."
        ) from error


def hub_errors(hub: Any) -> tuple[type[Exception], ...]:
    """Return the classes of errors that calls of huggingface_hub raise."""
    network = hub.errors.HfHubHTTPError.__bases__[0]
    return hub.errors.EntryNotFoundError, network, OSError, ValueError, RuntimeError


def _remedy(errors: Any, error: BaseException) -> str:
    """Return what is wrong and what to do, as a clause."""
    if isinstance(error, errors.GatedRepoError):
        return "ask for access on its page, and give the token of your account"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "there is no such repository, or it is private; check the name, or give a token"
    if isinstance(error, errors.RevisionNotFoundError):
        return "it has no such revision; give a branch, a tag or a commit"
    if isinstance(error, errors.LocalEntryNotFoundError):
        return (
            "the hub cannot be reached, and it was not downloaded before; check the network, and "
            "that local_files_only is not set"
        )
    if isinstance(error, errors.EntryNotFoundError):
        return (
            f"it is no model of geotranslate, because {CARD} or {WEIGHTS} is missing; give one "
            "that push_to_hub wrote"
        )
    return "the hub does not answer as expected; try again, and check network and token"
