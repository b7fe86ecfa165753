"""Deep learning packages: writing a model as a `.dlpk` file for ArcGIS Pro."""

from __future__ import annotations

import json
import math
import os
import uuid
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from geotranslate.errors import GeotranslateError, InvalidInputError, RasterFileError, said, warn
from geotranslate.files import replaced_when_whole
from geotranslate.interop.dlpk import GeotranslateTranslation as raster_function
from geotranslate.interop.dlpk.atengraph import aten_graph
from geotranslate.interop.dlpk.modeldefinition import (
    FUNCTION,
    GRAPH,
    MODEL,
    WEIGHTS,
    model_definition,
)
from geotranslate.interop.onnx.comparison import MOST_DIFFERENCE, drawn
from geotranslate.interop.onnx.entries import MODEL_ENTRY
from geotranslate.interop.onnx.graph import Graph, GraphOptions, graph_of, write_graph
from geotranslate.interop.onnx.onnxfile import model_entry
from geotranslate.networks.normalization import lacking
from geotranslate.prediction.inference import Inference, torch_inference
from geotranslate.prediction.predictor import Predictor

MOMENT = (1980, 1, 1, 0, 0, 0)
"""Time of all files of a package, so that equal models give equal bytes."""
READABLE = 0o644 << 16


def write_dlpk(predictor: Predictor, path: Path, card: dict[str, Any]) -> None:
    """Write a model as a deep learning package, see `export`.

    Args:
        predictor: Predictor of a direction of the model.
        path: File to write.
        card: Card of the model as JSON.

    Raises:
        GeotranslateError: As `export`.
    """
    inference = _exported(predictor)
    definition = model_definition(path.stem, inference, _padding(inference), predictor.digest())
    temporary = path.with_name(f".{path.name[:200]}.{uuid.uuid4().hex[:8]}.partial")
    try:
        with TemporaryDirectory(dir=path.parent, prefix=".dlpk_") as name:
            folder = Path(name)
            metadata = {MODEL_ENTRY: model_entry(predictor, card)}
            write_graph(inference, folder / MODEL, GraphOptions(metadata=metadata))
            _write_graph(graph_of(inference, GraphOptions()), inference, folder)
            text = json.dumps(definition, indent=2, allow_nan=False)
            (folder / f"{path.stem}.emd").write_text(text, encoding="utf-8")
            function = Path(raster_function.__file__).read_bytes()
            (folder / FUNCTION).write_bytes(function)
            with replaced_when_whole(path, temporary):
                _zipped(folder, temporary)
    except OSError as error:
        if isinstance(error, RasterFileError):
            raise
        raise RasterFileError(f"The file {path} cannot be written: {said(error)}.") from error


def _exported(predictor: Predictor) -> Inference:
    """Return the inference with the running statistics, in float32.

    Raises:
        InvalidInputError: ArcGIS cannot translate by it.
    """
    inference = torch_inference(predictor.inference)
    factor, without = inference.card.factor, " and ".join(lacking(inference.generator))
    if factor != 1:
        raise InvalidInputError(
            f"The model's targets have {factor} times as many pixels along an axis as their "
            "sources, but a raster function of ArcGIS cannot change the pixel size; export it as "
            ".onnx, or translate with predict_raster."
        )
    if without:
        raise InvalidInputError(
            f"The model normalizes by {without}, which learns no statistics in training, so blocks "
            "of ArcGIS would show as rectangles; train a model with norm='batch', or export this "
            "one as .onnx."
        )
    return inference.at("float32", "running")


def _padding(inference: Inference) -> int:
    """Return the pixels to cut off around each block: the radius, in whole strides."""
    radius, stride = inference.radius, inference.stride
    if radius is None:
        radius = inference.card.chip_size
        warn(
            "The receptive field of the model's encoder is not known: blocks overlap by a chip, "
            f"{radius} px, and small steps may remain at their edges in ArcGIS."
        )
    return math.ceil(radius / stride) * stride


def _write_graph(graph: Graph, inference: Inference, folder: Path) -> None:
    """Write the files for torch, if they compute the same as the model.

    Raises:
        GeotranslateError: They do not.
    """
    source, stride = inference.card.source, inference.stride
    weights: Any
    steps, weights = aten_graph(graph, source.bands, stride)
    (folder / GRAPH).write_text(json.dumps(steps, separators=(",", ":")), encoding="utf-8")
    np.savez(folder / WEIGHTS, **weights)
    found = raster_function.TorchNetwork(
        torch, str(folder / GRAPH), str(folder / WEIGHTS), raster_function.CPU
    )
    step = math.ceil(64 / stride) * stride
    images = drawn(source, (1, 2 * step, 3 * step))
    with torch.inference_mode():
        expected = graph(torch.from_numpy(images)).numpy()
    scaling = inference.card.target.scaling
    span = np.subtract(scaling.high, scaling.low)[:, None, None]
    apart = float((np.abs(found(images) - expected) / np.maximum(span, np.abs(expected))).max())
    if not apart <= MOST_DIFFERENCE:
        raise GeotranslateError(
            f"The graph for torch differs from the model by {apart:.2g} of the target's range, "
            f"more than {MOST_DIFFERENCE:g}, so the package is not written; please report this."
        )


def _zipped(folder: Path, path: Path) -> None:
    """Write the files of a folder as a zip that depends on them alone."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as package:
        for file in sorted(folder.iterdir()):
            entry = zipfile.ZipInfo(file.name, MOMENT)
            entry.external_attr, entry.create_system = READABLE, 3
            entry.file_size = os.path.getsize(file)
            with file.open("rb") as content, package.open(entry, "w") as place:
                while part := content.read(2**20):
                    place.write(part)
