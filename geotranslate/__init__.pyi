from .chips.export import export_chips
from .chips.stacking import stack, stack_dates, stacks
from .data import is_main_process, prepare_data
from .errors import GeotranslateError, GeotranslateWarning
from .evaluation import Evaluation, evaluate_raster
from .interop.onnx.onnxpredictor import load_onnx
from .raster.mosaic import mosaic
from .raster.pipeline import TranslatedRaster, assemble_parts, translate_raster
from .raster.seams import measure_seams
from .translators import (
    CycleGAN,
    Pix2Pix,
    Pix2PixHD,
    SuperResolution,
    cross_validate,
    from_pretrained,
    load_model,
)

__version__: str

__all__ = [
    "CycleGAN",
    "Evaluation",
    "GeotranslateError",
    "GeotranslateWarning",
    "Pix2Pix",
    "Pix2PixHD",
    "SuperResolution",
    "TranslatedRaster",
    "assemble_parts",
    "cross_validate",
    "evaluate_raster",
    "export_chips",
    "from_pretrained",
    "is_main_process",
    "load_model",
    "load_onnx",
    "measure_seams",
    "mosaic",
    "prepare_data",
    "stack",
    "stack_dates",
    "stacks",
    "translate_raster",
]
