"""Model definitions of ArcGIS, the .emd files."""

from __future__ import annotations

import math
from importlib.metadata import version
from typing import Any

from rasterio.errors import CRSError

from geotranslate.chips.bands import DataCard, Side
from geotranslate.chips.bands.datacard import parsed_crs
from geotranslate.errors import InvalidInputError
from geotranslate.interop.dlpk.GeotranslateTranslation import OWN
from geotranslate.prediction.inference import Inference
from geotranslate.prediction.pixelsize import MOST_DIFFERENCE
from geotranslate.raster.bandfacts import DTYPES, fits
from geotranslate.schema import Json

FUNCTION = "GeotranslateTranslation.py"
MODEL, GRAPH, WEIGHTS = "model.onnx", "model.json", "model.npz"
"""Files of the network, for onnxruntime and for torch."""
TILE = 1024
"""Least side of a block without its padding, px."""


def model_definition(name: str, inference: Inference, padding: int, digest: str) -> Json:
    """Return the model definition of a network.

    Args:
        name: Name of the model.
        inference: The network.
        padding: Pixels to cut off around each block, a multiple of the stride.
        digest: SHA-256 of the weights.

    Raises:
        InvalidInputError: ArcGIS has no pixels of the target's dtype.
    """
    card, stride = inference.card, inference.stride
    source, target = card.source, card.target
    if target.dtype not in DTYPES:
        raise InvalidInputError(
            f"The targets are {target.dtype}, for which ArcGIS has no pixels; train the model with "
            f"targets of {', '.join(DTYPES)}."
        )
    tile = math.ceil(max(TILE, padding + 1) / stride) * stride
    least, most = cell_sizes(card)
    return {
        # The one of arcgis.learn's own translators; tools for pixels list the models of both types.
        "ModelType": "Pix2Pix" if target.classes is None else "ImageClassification",
        "ModelName": name,
        "InferenceFunction": FUNCTION,
        "ModelFile": MODEL,
        "ModelFormat": "NCHW",
        "Framework": "geotranslate",
        "Version": version("geotranslate"),
        "ImageHeight": tile + 2 * padding,
        "ImageWidth": tile + 2 * padding,
        "ImageSpaceUsed": "MAP_SPACE",
        "IsMultispectral": not source.is_picture,
        "SupportsVariableTileSize": True,
        "ExtractBands": [index - 1 for index in source.indexes],
        "Classes": _classes(target),
        "MinCellSize": least,
        "MaxCellSize": most,
        OWN: {
            "Graph": GRAPH,
            "Weights": WEIGHTS,
            "WeightsSHA256": digest,
            "Stride": stride,
            "Padding": padding,
            "TileSize": tile,
            "SourceBands": source.bands,
            "Fill": list(source.fill),
            "TargetBands": target.bands,
            "TargetType": target.dtype,
            "TargetNodata": _nodata(target),
            "TargetNames": list(target.band_names),
            "Colors": [list(row[:4]) for row in _colors(target) if 0 <= row[0] < 2**16],
        },
    }


def cell_sizes(card: DataCard) -> tuple[Json | None, Json | None]:
    """Return the smallest and the largest cell size, which differ from training by a few percent.

    They are those from which `predict_raster` resamples scenes; None where it is not known.
    """
    if card.resolution is None or not card.crs:
        return None, None
    try:
        code = parsed_crs(card.crs).to_epsg()
    except CRSError:
        code = None
    if code is None:
        return None, None
    # Chips that were resampled have larger pixels than their files, or smaller ones.
    across, down = card.resize_ratio or (1.0, 1.0)
    x, y = card.resolution[0] / across, card.resolution[1] / down
    place = {"wkid": code, "latestWkid": code}
    least, most = (
        {"x": x * ratio, "y": y * ratio, "spatialReference": place}
        for ratio in (1 / MOST_DIFFERENCE, MOST_DIFFERENCE)
    )
    return least, most


def _nodata(target: Side) -> Any:
    """Return the nodata value as JSON; None for one that no pixel can have."""
    if target.nodata is None or not fits(target.nodata, target.dtype):
        return None
    if math.isfinite(target.nodata):
        return target.nodata
    return "nan" if math.isnan(target.nodata) else None


def _colors(target: Side) -> tuple[tuple[int, ...], ...]:
    return () if target.classes is None else target.classes.colors or ()


def _classes(target: Side) -> list[Json]:
    """Return the classes of a target, with gray where they have no color."""
    colors = {row[0]: list(row[1:4]) for row in _colors(target)}
    return [
        {"Value": value, "Name": str(value), "Color": colors.get(value, [128, 128, 128])}
        for value in target.class_numbers
    ]
