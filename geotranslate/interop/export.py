"""Export of models to files of other software, by the ending of the file's name."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from geotranslate.checks import choice, file_path, flag
from geotranslate.chips.bands import Direction
from geotranslate.errors import InvalidInputError, OutputExistsError, RasterFileError
from geotranslate.interop.deepness.deepnessfile import write_regressor, write_superresolution
from geotranslate.interop.dlpk.package import write_dlpk
from geotranslate.interop.onnx.onnxfile import write_onnx
from geotranslate.migration import checks_arguments
from geotranslate.prediction.normstats import NormStats
from geotranslate.prediction.predictor import Predictor


class HasJson(Protocol):
    """A card, which can be written as JSON."""

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""


class ExportedModel(Protocol):
    """A model that can be exported."""

    def towards(self, direction: Direction) -> Predictor:
        """Return the predictor of a direction."""

    def saved_card(self) -> HasJson:
        """Return the card that is saved with the weights."""


FORMATS: dict[str, Callable[..., None]] = {".onnx": write_onnx, ".dlpk": write_dlpk}
"""Functions that write a file of a format, by its ending. They take the predictor, the path, the
model's card as JSON, and by name the options of `export` that are for this format."""

Flavor = Literal["deepness", "deepness-superresolution"]
FLAVORS: dict[str, Callable[..., None]] = {
    "deepness": write_regressor,
    "deepness-superresolution": write_superresolution,
}
"""Functions that write ONNX files for other software than ONNX Runtime."""


@checks_arguments
def export(
    model: ExportedModel,
    path: str | os.PathLike[str],
    *,
    direction: Direction = "AtoB",
    norm_stats: NormStats = "auto",
    flavor: Flavor | None = None,
    tile_size: int | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the model as a file for other software, and return its path.

    The ending decides the format:

    - `.onnx`: one ONNX file from the source's units to the target's, float32, for batches, rows and
      columns of any size, rows and columns in multiples of the stride. It has the card in its
      metadata, so `geotranslate.load_onnx` translates scenes with it, without torch.
    - `.dlpk`: a deep learning package for ArcGIS Pro, with a raster function that translates whole
      blocks by the statistics of the training. The model has targets of the source's pixel size.

    The file is compared with the model before it is written: random images have to be translated
    alike up to 1e-4 of the target's range.

    Args:
        model: The model.
        path: File to write.
        direction: "AtoB" from source to target; "BtoA" back, for models trained in both directions.
        norm_stats: Statistics of normalization layers, as in `predict_raster`: "running", learned
            in training, or "tile", of each image on its own. The others are measured on a scene and
            cannot be exported. "auto" is "running".
        flavor: Software that an `.onnx` file is for: "deepness" for the plugin Deepness of QGIS as
            a Regressor, with one layer for each band and tiles that overlap as the receptive field
            needs it; "deepness-superresolution" as a Superresolution model, with one layer of all
            bands and tiles that do not overlap. Deepness keeps 8 bits: values beyond them are
            exported as 0..255 of the target's range, with a warning.
        tile_size: Side of the tiles of a file for Deepness, px, a multiple of the stride; by
            default one for which edges of tiles do not show.
        overwrite: Whether an existing file may be replaced.

    Raises:
        InvalidInputError: The ending is unknown, an option is not for this format, the model was
            not trained in this direction, or its normalizations have no such statistics.
        OutputExistsError: The file exists and `overwrite` is false.
        MissingPackageError: A package of the format is missing.
        RasterFileError: The file cannot be written.
    """
    options = {"norm_stats": (norm_stats, "auto"), "tile_size": (tile_size, None)}
    file = file_path("path", path)
    write = _flavor_of(file, flavor) if flavor is not None else _format_of(file)
    if not flag("overwrite", overwrite) and os.path.lexists(file):
        raise OutputExistsError(
            f"{file} already exists; give another name, or overwrite=True to replace it."
        )
    if not file.absolute().parent.is_dir():
        raise RasterFileError(
            f"The folder {file.parent}, in which {file.name} shall be written, does not exist; "
            "create it first."
        )
    chosen = _chosen(file, write, options)
    write(model.towards(direction), file, model.saved_card().to_json(), **chosen)
    return file


def _format_of(path: Path) -> Callable[..., None]:
    found = FORMATS.get(path.suffix.lower())
    if found is None:
        raise InvalidInputError(
            f"path is {path}; the ending decides the format, so give a name that ends in "
            f"{' or '.join(FORMATS)}."
        )
    return found


def _flavor_of(path: Path, flavor: str) -> Callable[..., None]:
    write = FLAVORS[choice("flavor", flavor, get_args(Flavor))]
    if path.suffix.lower() != ".onnx":
        raise InvalidInputError(
            f"path is {path}, and files for Deepness are ONNX files; give a name that ends in "
            ".onnx, or leave flavor out."
        )
    return write


def _chosen(
    path: Path, write: Callable[..., None], options: dict[str, tuple[Any, Any]]
) -> dict[str, Any]:
    """Return the options that a format has; others must have their defaults.

    Args:
        path: File to write.
        write: Function of the format.
        options: Value and default of each option of all formats, by name.
    """
    known = inspect.signature(write).parameters
    for name, (value, default) in options.items():
        if name not in known and value is not default:
            raise InvalidInputError(
                f"{name} is not an option of {path.suffix} files; leave it out for {path.name}."
            )
    return {name: value for name, (value, _) in options.items() if name in known}
