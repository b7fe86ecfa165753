"""Load a saved model without knowing its class."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

from geotranslate.errors import ModelFileError
from geotranslate.translators.card import read_card

if TYPE_CHECKING:
    from geotranslate.translators.base import Translator

# Imported when it is asked for: what predicts imports this module.
_HOMES = {
    "Pix2Pix": "geotranslate.translators.pix2pix",
    "CycleGAN": "geotranslate.translators.cyclegan",
    "Pix2PixHD": "geotranslate.translators.pix2pixhd",
}


def load_model(path: str | os.PathLike[str]) -> Translator:
    """Load a saved model of any class to translate with; nothing in its files is run.

    Args:
        path: Folder that `save` wrote, or the `card.json` in it.

    Raises:
        InvalidInputError: `path` is no path of a folder.
        ModelFileError: It is missing, damaged, no model of geotranslate or of an unknown class.
    """
    name = read_card(path).translator
    if name not in _HOMES:
        raise ModelFileError(
            f"{path} is a {name} model, which this version of geotranslate does not know (it knows "
            f"{', '.join(_HOMES)}); load it with the from_model of its class."
        )
    translator: type[Translator] = getattr(importlib.import_module(_HOMES[name]), name)
    return translator.from_model(path)
