"""Keywords of arcgis.learn and pytorch-CycleGAN-and-pix2pix and what they are called here."""

from geotranslate.migration.arcgis_learn import ARCGIS, POSITIONS
from geotranslate.migration.arguments import checks_arguments, unknown_argument
from geotranslate.migration.esri_models import ENDINGS, esri_model
from geotranslate.migration.keyword import Keyword, Table, bound, signature_of, translated
from geotranslate.migration.reference_code import REFERENCE

__all__ = [
    "ARCGIS",
    "ENDINGS",
    "POSITIONS",
    "REFERENCE",
    "Keyword",
    "Table",
    "bound",
    "checks_arguments",
    "esri_model",
    "signature_of",
    "translated",
    "unknown_argument",
]
