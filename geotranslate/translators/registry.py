"""Registry of translators, which `load_model` uses to find the class of a saved model."""

from __future__ import annotations

import os
from typing import TypeVar

from fastai.data.core import DataLoaders

from geotranslate.errors import ModelFileError
from geotranslate.interop.hub import pretrained
from geotranslate.interop.hubfiles import Token
from geotranslate.migration import checks_arguments
from geotranslate.translators.base import Translator
from geotranslate.translators.loading import Device
from geotranslate.translators.saved_models.modelfolder import read_card

TranslatorT = TypeVar("TranslatorT", bound=type[Translator])

_REGISTERED: dict[str, type[Translator]] = {}


def register(translator: TranslatorT) -> TranslatorT:
    """Register a translator class by its name; use as a decorator."""
    _REGISTERED[translator.__name__] = translator
    return translator


@checks_arguments
def load_model(
    path: str | os.PathLike[str],
    data: DataLoaders | None = None,
    device: Device | None = None,
) -> Translator:
    """Load a saved model of any registered class; no code from its files is executed.

    Args:
        path: Folder that `save` wrote, or the `card.json` in it.
        data: Loaders from `prepare_data`, with which the model can be shown, measured and trained;
            see `Translator.from_model`. None for a model that only translates.
        device: Device of torch, "cpu" or "cuda:1" for example; by default that of the data, or a
            GPU if there is one.

    Raises:
        InvalidInputError: `path` is not the path of a folder, there is no such device, or the data
            has other bands, dtypes or classes than the model.
        ModelFileError: The model is missing or damaged, was not saved by geotranslate, or has an
            unknown class.
    """
    name = read_card(path).translator
    if name not in _REGISTERED:
        raise ModelFileError(
            f"{path} is a {name} model, which this version of geotranslate does not know (it knows "
            f"{', '.join(sorted(_REGISTERED))}); load it with the from_model of its class."
        )
    return _REGISTERED[name].from_model(path, data, device)


@checks_arguments
def from_pretrained(
    name: str | os.PathLike[str],
    *,
    revision: str | None = None,
    token: Token = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    data: DataLoaders | None = None,
    device: Device | None = None,
) -> Translator:
    """Load a model of any registered class from the Hugging Face Hub, or from a folder.

    Only `card.json`, `config.json`, `model.safetensors` and `model.stac.json` are downloaded, all
    of one commit, and no code from them is executed.

    Args:
        name: Repository, "user/name", or a folder of `save` or `save_pretrained`.
        revision: Branch, tag or commit; by default the main branch.
        token: Token of the account, for private models; by default the one of `hf auth login`.
        cache_dir: Folder of downloaded files; by default that of huggingface_hub.
        local_files_only: Whether to use only what was downloaded before.
        data: Loaders from `prepare_data`, as in `load_model`.
        device: Device of torch, as in `load_model`.

    Raises:
        InvalidInputError: `name` is neither, or another argument is invalid.
        MissingPackageError: huggingface_hub is not installed.
        ModelFileError: There is no such model, it cannot be fetched, it is damaged, or it was not
            saved by geotranslate.
    """
    return pretrained(
        load_model,
        name,
        revision=revision,
        token=token,
        cache_dir=cache_dir,
        local_files_only=local_files_only,
        data=data,
        device=device,
    )
