"""Translators, which are trained, measured and saved, and which translate: Pix2Pix and others."""

# Before anything else here imports fastai: that room does it quietly.
import geotranslate.training  # noqa: F401
from geotranslate.translators.base import Translator
from geotranslate.translators.cyclegan import CycleGAN
from geotranslate.translators.pix2pix import Pix2Pix
from geotranslate.translators.pix2pixhd import Pix2PixHD
from geotranslate.translators.registry import load_model, register

__all__ = ["CycleGAN", "Pix2Pix", "Pix2PixHD", "Translator", "load_model", "register"]
