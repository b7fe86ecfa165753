"""ONNX files for Deepness: their metadata, and warnings of what Deepness cannot show."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rasterio.errors import CRSError

from geotranslate.checks import whole_number
from geotranslate.chips.bands import DataCard, Side
from geotranslate.chips.bands.datacard import parsed_crs
from geotranslate.errors import InvalidInputError, warn
from geotranslate.interop.deepness.deepnesslayers import (
    BYTE,
    Counts,
    SourceValues,
    byte_range,
    keeps_values,
)
from geotranslate.interop.deepness.deepnesstiles import (
    MOST_SIDE,
    USUAL_SIDE,
    DeepnessTiles,
    needed_overlap,
    other_tiles,
    seamless_tiles,
)
from geotranslate.interop.onnx.graph import GraphOptions, write_graph
from geotranslate.interop.onnx.onnxfile import exported_inference
from geotranslate.prediction.inference import Inference
from geotranslate.prediction.normstats import NormStats
from geotranslate.prediction.predictor import Predictor

OPSET = 17
IR_VERSION = 8
"""Versions that onnxruntime 1.12 to 1.17 reads, which Deepness installs."""
LOGGERS = ("torch.onnx", "onnxscript.version_converter")
LEAST_FACTOR = 2
"""Smallest scale factor that can be chosen for a Superresolution model."""
METERS_PER_DEGREE = 111319.49079327358
"""Of QGIS."""
UNSAFE = re.compile(r"[^\w .,=()+-]")
"""Characters that are not for the names of files, which Deepness makes of the names of bands."""


def write_regressor(
    predictor: Predictor,
    path: Path,
    card: dict[str, Any],
    *,
    norm_stats: NormStats = "auto",
    tile_size: int | None = None,
) -> None:
    """Write a model as a Regressor of Deepness, which makes one layer for each band, see `export`.

    Args:
        predictor: Predictor of a direction of the model.
        path: File to write.
        card: Card of the model as JSON, which Deepness does not read.
        norm_stats: Statistics of normalization layers.
        tile_size: Side of the tiles, px; None to choose it.

    Raises:
        GeotranslateError: As `export`.
    """
    inference = exported_inference(predictor, norm_stats)
    data = inference.card
    if data.factor != 1:
        raise InvalidInputError(
            f"The target has {data.factor} times as many pixels along an axis as the source, which "
            "a Regressor of Deepness cannot have; give flavor='deepness-superresolution', or use "
            "the plugin of geotranslate for QGIS."
        )
    side = _checked(tile_size, inference.stride)
    tiles = _regressor_tiles(inference, side)
    names = [f"band_{number}" for number in range(1, data.target.bands + 1)]
    metadata = {
        **_metadata("Regressor", inference, tiles),
        "class_names": [{"0": name} for name in layer_names(data.target)],
        "reg_output_scaling": BYTE,
    }
    _write(inference, path, tiles, metadata, Counts(data.target, separate=True), names)


def write_superresolution(
    predictor: Predictor,
    path: Path,
    card: dict[str, Any],
    *,
    norm_stats: NormStats = "auto",
    tile_size: int | None = None,
) -> None:
    """Write a model as a Superresolution model of Deepness, which makes one layer of all bands.

    Args:
        predictor: Predictor of a direction of the model.
        path: File to write.
        card: Card of the model as JSON, which Deepness does not read.
        norm_stats: Statistics of normalization layers.
        tile_size: Side of the tiles, px; None for a usual one.

    Raises:
        GeotranslateError: As `export`.
    """
    inference = exported_inference(predictor, norm_stats)
    data, stride = inference.card, inference.stride
    if data.factor.denominator != 1:
        raise InvalidInputError(
            f"The target has {data.factor} times as many pixels along an axis as the source, which "
            "no model of Deepness can have; use the plugin of geotranslate for QGIS."
        )
    side = _checked(tile_size, stride) or -(-USUAL_SIDE // stride) * stride
    tiles = DeepnessTiles(side, 0)
    times = LEAST_FACTOR if data.factor == 1 else 1
    names = layer_names(data.target)
    metadata = {
        **_metadata("Superresolution", inference, tiles),
        "class_names": [{str(number): name for number, name in enumerate(names)}],
    }
    warn(
        f"Tiles of Superresolution models do not overlap in Deepness, so edges may show every "
        f"{side} px; flavor='deepness' makes one layer for each band, without edges."
    )
    after = Counts(data.target, separate=False, times=times)
    _write(inference, path, tiles, metadata, after, ["bands"])


def layer_names(side: Side) -> list[str]:
    """Return names of the bands of a target, with the values that 0 and 255 stand for."""
    names = [
        UNSAFE.sub("_", name) or f"band {number}" for number, name in enumerate(side.band_names, 1)
    ]
    if keeps_values(side):
        return names
    ranges = [f"(0-255 = {low:.6g} to {high:.6g})" for low, high in byte_range(side)]
    return [f"{name} {span}" for name, span in zip(names, ranges, strict=True)]


def centimeters(card: DataCard) -> float | None:
    """Return the pixel size in training as QGIS counts it, in units of the CRS; None if unknown."""
    if card.crs is None or card.resolution is None:
        return None
    try:
        crs = parsed_crs(card.crs)
        meters = METERS_PER_DEGREE if crs.is_geographic else crs.linear_units_factor[1]
    except CRSError:
        return None
    ratio = card.resize_ratio[0] if card.resize_ratio else 1.0
    return float(100 * meters * card.resolution[0] / ratio)


def _checked(tile_size: int | None, stride: int) -> int | None:
    if tile_size is None:
        return None
    side = whole_number("tile_size", tile_size, stride)
    if side % stride:
        raise InvalidInputError(
            f"tile_size is {side}; give a multiple of {stride}, the stride of the network."
        )
    return side


def _regressor_tiles(inference: Inference, side: int | None) -> DeepnessTiles:
    stride, radius = inference.stride, inference.radius
    found = None if radius is None else seamless_tiles(stride, radius, side)
    if found is not None:
        return found
    tiles = other_tiles(stride, side)
    if radius is None:
        needs = "normalizes by statistics of the whole image"
    else:
        needs = f"needs an overlap of {needed_overlap(stride, radius)} px"
    warn(
        f"Tiles of {tiles.side} px overlap by {tiles.overlap} px in Deepness, but the model "
        f"{needs}, so edges of tiles may show; give a tile_size of up to {MOST_SIDE}, train with a "
        "smaller depth or generator='resnet', or use the plugin of geotranslate for QGIS."
    )
    return tiles


def _metadata(kind: str, inference: Inference, tiles: DeepnessTiles) -> dict[str, Any]:
    """Return the metadata that all kinds of models have.

    Deepness divides values by 255, and by the standard deviation. 1/255 gives back the values of
    the layer, also those of 16 bits and floats; the scaling is part of the graph.
    """
    bands = inference.card.source.bands
    found = {
        "model_type": kind,
        "tile_size": tiles.side,
        "tiles_size": tiles.side,
        "tiles_overlap": tiles.percent,
        "standardization_mean": [0.0] * bands,
        "standardization_std": [1 / BYTE] * bands,
    }
    size = centimeters(inference.card)
    return found if size is None else {**found, "resolution": size}


def _write(
    inference: Inference,
    path: Path,
    tiles: DeepnessTiles,
    metadata: dict[str, Any],
    after: Counts,
    outputs: list[str],
) -> None:
    target = inference.card.target
    options = GraphOptions(
        opset=OPSET,
        ir_version=IR_VERSION,
        rows=tiles.side,
        cols=tiles.side,
        before=SourceValues(inference.card.source),
        after=after,
        outputs=tuple(outputs),
        spans=(1.0,) * len(outputs),
        metadata={name: json.dumps(value) for name, value in metadata.items()},
    )
    with _quiet_conversion():
        write_graph(inference, path, options)
    if not keeps_values(target):
        warn(
            f"Deepness keeps 8 bits: 0 to 255 in its layers stand for {_ranges(target)}; the "
            "plugin of geotranslate for QGIS keeps the values themselves."
        )


@contextmanager
def _quiet_conversion() -> Iterator[None]:
    """Keep back what torch logs about the conversion to an earlier opset.

    A graph that cannot be converted keeps opset 18, which onnxruntime reads since 1.14.
    """
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _ranges(side: Side) -> str:
    names = [name or f"band {number}" for number, name in enumerate(side.band_names, 1)]
    ends = byte_range(side)
    found = [
        f"{low:.6g} to {high:.6g} of {name}" for (low, high), name in zip(ends, names, strict=True)
    ]
    return ", ".join(found[:4]) + (", ..." if len(found) > 4 else "")
