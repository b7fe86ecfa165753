"""ONNX files of geotranslate: writing them with the model's card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from geotranslate.errors import InvalidInputError
from geotranslate.interop.onnx.entries import MODEL_ENTRY, ModelEntry
from geotranslate.interop.onnx.graph import GraphOptions, write_graph
from geotranslate.networks.normalization import lacking
from geotranslate.prediction.inference import Inference, torch_inference
from geotranslate.prediction.normstats import NormStats
from geotranslate.prediction.predictor import Predictor


def write_onnx(
    predictor: Predictor, path: Path, card: dict[str, Any], *, norm_stats: NormStats = "auto"
) -> None:
    """Write a model as an ONNX file with its card, see `export`.

    Args:
        predictor: Predictor of a direction of the model.
        path: File to write.
        card: Card of the model as JSON.
        norm_stats: Statistics of normalization layers.

    Raises:
        GeotranslateError: As `export`.
    """
    inference = exported_inference(predictor, norm_stats)
    write_graph(inference, path, GraphOptions(metadata={MODEL_ENTRY: model_entry(predictor, card)}))


def exported_inference(predictor: Predictor, norm_stats: NormStats = "auto") -> Inference:
    """Return the inference with the normalization statistics of an exported file, in float32.

    Raises:
        InvalidInputError: The statistics are measured on a scene.
    """
    inference = torch_inference(predictor.inference)
    given = predictor.norm_stats if norm_stats == "auto" else norm_stats
    without = " and ".join(lacking(inference.generator))
    if given == "auto" and without:
        raise InvalidInputError(
            f"The model normalizes by {without}, which learns no statistics in training, and "
            "statistics of a scene cannot be exported; give norm_stats='tile' for those of every "
            "tile, or train a model with norm='batch'."
        )
    resolved = inference.resolved(given, tta=False)
    if resolved not in ("running", "tile"):
        raise InvalidInputError(
            f"norm_stats is {resolved!r}, whose statistics are measured on a scene and cannot be "
            "exported; give 'running' for those of training, or 'tile' for those of every tile."
        )
    return inference.at("float32", resolved)


def model_entry(predictor: Predictor, card: dict[str, Any]) -> str:
    """Return the description of a model in an exported file, as JSON text."""
    entry = ModelEntry(predictor.name, predictor.digest(), predictor.direction, card)
    return entry.to_text()
