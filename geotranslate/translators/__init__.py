"""Translators, their base class and `load_model`."""

# Imported first, because it silences the warnings of fastai's own imports.
import geotranslate.training  # noqa: F401
from geotranslate.translators.base import Translator
from geotranslate.translators.crossvalidation import CrossValidation, cross_validate
from geotranslate.translators.cyclegan import CycleGAN
from geotranslate.translators.pix2pix import Pix2Pix
from geotranslate.translators.pix2pixhd import Pix2PixHD
from geotranslate.translators.registry import from_pretrained, load_model, register
from geotranslate.translators.superresolution import SuperResolution

__all__ = [
    "CrossValidation",
    "CycleGAN",
    "Pix2Pix",
    "Pix2PixHD",
    "SuperResolution",
    "Translator",
    "cross_validate",
    "from_pretrained",
    "load_model",
    "register",
]
