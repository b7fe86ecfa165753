"""Predictors of ONNX files, which translate scenes without torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from geotranslate.checks import choice, file_path
from geotranslate.chips.bands import Direction
from geotranslate.errors import InvalidInputError, ModelFileError
from geotranslate.files import sha256_of
from geotranslate.interop.onnx.modelcheck import CheckedFile, read_checked
from geotranslate.interop.onnx.onnxinference import OnnxInference
from geotranslate.migration import checks_arguments
from geotranslate.prediction.predictor import Predictor
from geotranslate.prediction.workers import Loader


@dataclass(frozen=True)
class _Measured:
    """Measures of the exported model."""

    per_scene: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class OnnxModel:
    """An ONNX file as a model that workers load; see `StoredModel`."""

    file: CheckedFile

    @property
    def name(self) -> str:
        """Name of the class of the exported model."""
        return self.file.model.model

    @property
    def loader(self) -> Loader:
        """Function by which workers load the file."""
        return load_inference

    @property
    def metrics(self) -> _Measured:
        """Last measures of the exported model."""
        return _Measured(self.file.model.per_scene)

    def digest(self) -> str:
        """Return the SHA-256 of the file."""
        return self.file.digest

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Raise an error, as the file itself is the saved model.

        Raises:
            ModelFileError: Always.
        """
        raise ModelFileError(
            f"{self.file.path} was replaced or removed while it was in use; load it again."
        )

    def saved_folder(self, digest: str) -> Path | None:
        """Return the path of the file, if it is still the same."""
        path = self.file.path
        return path if path.is_file() and sha256_of(path) == digest else None


class OnnxPredictor(Predictor):
    """Translator of arrays, rasters and lists of scenes with an ONNX file; see `load_onnx`."""

    inference: OnnxInference

    def __repr__(self) -> str:
        card, path = self.card, self.inference.file.path
        return (
            f"OnnxPredictor({path}: {self.name}, {card.source.bands} x {card.source.dtype} to "
            f"{card.target.bands} x {card.target.dtype})"
        )

    @checks_arguments
    def towards(self, direction: Direction) -> Predictor:
        """Return the predictor of a direction, which has to be that of the file.

        Raises:
            InvalidInputError: There is no such direction, or it is the other one.
        """
        if choice("direction", direction, get_args(Direction)) != self.direction:
            raise InvalidInputError(
                f"direction is {direction!r}, but {self.inference.file.path} translates "
                f"{self.direction}; export another file with export(direction={direction!r})."
            )
        return self


@checks_arguments
def load_onnx(path: str | os.PathLike[str]) -> OnnxPredictor:
    """Load an ONNX file that `export` wrote, to translate with onnxruntime and without torch.

    The predictor has `predict` and `predict_raster` with the arguments of models: the same tiles,
    merging, parts and tags. The precision is float32, and the statistics of normalization layers
    are those of the file. No code from the file is executed.

    Args:
        path: The file.

    Raises:
        InvalidInputError: `path` is not the path of a file.
        ModelFileError: The file is missing or damaged, or was not written by geotranslate.
        MissingPackageError: onnx or onnxruntime is missing.
    """
    file = read_checked(file_path("path", path))
    model = OnnxModel(file)
    return OnnxPredictor(OnnxInference(file), model, direction=file.model.direction)


def load_inference(path: Path, digest: str, direction: Direction) -> OnnxInference:
    """Return the inference of an ONNX file with a digest.

    Raises:
        ModelFileError: The file cannot be read, or is another one.
    """
    file = read_checked(path)
    if file.digest != digest:
        raise ModelFileError(
            f"The model {path} was replaced while a scene was translated with it; start again."
        )
    return OnnxInference(file)
