"""Translate one kind of georeferenced raster into another with deep learning."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from geotranslate.chips.export import export_chips
    from geotranslate.data.launcher import is_main_process
    from geotranslate.data.preparation import prepare_data
    from geotranslate.errors import GeotranslateError, GeotranslateWarning
    from geotranslate.raster.seams import measure_seams
    from geotranslate.translators.cyclegan import CycleGAN
    from geotranslate.translators.pix2pix import Pix2Pix
    from geotranslate.translators.pix2pixhd import Pix2PixHD
    from geotranslate.translators.registry import load_model

__all__ = [
    "CycleGAN",
    "GeotranslateError",
    "GeotranslateWarning",
    "Pix2Pix",
    "Pix2PixHD",
    "export_chips",
    "is_main_process",
    "load_model",
    "measure_seams",
    "prepare_data",
]

_HOMES = {
    "CycleGAN": "geotranslate.translators.cyclegan",
    "GeotranslateError": "geotranslate.errors",
    "GeotranslateWarning": "geotranslate.errors",
    "Pix2Pix": "geotranslate.translators.pix2pix",
    "Pix2PixHD": "geotranslate.translators.pix2pixhd",
    "export_chips": "geotranslate.chips.export",
    "is_main_process": "geotranslate.data.launcher",
    "load_model": "geotranslate.translators.registry",
    "measure_seams": "geotranslate.raster.seams",
    "prepare_data": "geotranslate.data.preparation",
}


def __getattr__(name: str) -> Any:
    # torch and fastai take seconds to import: only what is used is loaded.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
