"""The steps of Deepness on the whole of a raster layer, in numpy.

Each step names the function of the published plugin that it follows, with its lines in the version
of commit f450c63. The layer is read at its own pixel size, so nothing is resampled.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import rasterio
from numpy.typing import NDArray


@dataclass
class Axis:
    """Tiles along an axis."""

    size: int
    """Pixels of the layer."""
    tile: int
    stride: int

    @property
    def extended(self) -> int:
        """Pixels of the layer, lengthened to whole tiles.

        extent_utils.calculate_extended_processing_extent, lines 66-102: the margins of half an
        overlap are cut off at the ends of the layer. Columns are then added on the right, and rows
        at the top, as the larger coordinate is the upper one.
        """
        if self.size <= self.tile:
            return self.tile
        return self.size + -(self.size - self.tile) % self.stride

    @property
    def starts(self) -> range:
        """First pixels of the tiles, see MapProcessor.__init__, lines 95-98."""
        return range(0, self.extended - self.tile + 1, self.stride)

    def kept(self, start: int) -> slice:
        """Return the pixels of a tile that are kept.

        TileParams.get_slice_on_full_image_for_copying, lines 99-120: half of the overlap is cut
        off, but not at the ends.
        """
        half = (self.tile - self.stride) // 2
        first = start if start == 0 else start + half
        last = start + self.tile if start == self.starts[-1] else start + self.tile - half
        return slice(first, last)


def deepness(model: Path, raster: Path) -> NDArray[np.uint8]:
    """Return the result `(bands, rows, cols)` that Deepness shows, for all of a raster."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    facts = {
        name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()
    }
    tile = session.get_inputs()[0].shape[-1]
    # ProcessingOverlap.get_overlap_px, line 37; MapProcessingParameters.processing_stride_px.
    stride = tile - int(tile * facts["tiles_overlap"] / 100 * 2) // 2
    layer = _layer(raster)
    rows, cols = (Axis(size, tile, stride) for size in layer.shape[:2])
    padded = _extended(layer, rows.extended, cols.extended, raster)
    if facts["model_type"] == "Regressor":
        return _regressed(session, facts, padded, rows, cols)
    return _enlarged(session, facts, padded, rows, cols)


def _layer(raster: Path) -> NDArray[Any]:
    """Return `(rows, cols, bands)` in the layer's dtype, see processing_utils.get_tile_image."""
    with rasterio.open(raster) as dataset:
        return np.moveaxis(dataset.read(), 0, -1)


def _extended(layer: NDArray[Any], rows: int, cols: int, raster: Path) -> NDArray[Any]:
    """Return the layer with nodata beyond its right and upper ends, 0 if it has no nodata value.

    This is how blocks of QgsRasterDataProvider are filled beyond the layer.
    """
    with rasterio.open(raster) as dataset:
        nodata = dataset.nodata or 0
    found = np.full((rows, cols, layer.shape[2]), nodata, layer.dtype)
    found[rows - layer.shape[0] :, : layer.shape[1]] = layer
    return found


def _regressed(
    session: Any, facts: dict[str, Any], layer: NDArray[Any], rows: Axis, cols: Axis
) -> NDArray[np.uint8]:
    """MapProcessorRegression._run, lines 33-60, and _process_tile, lines 155-174."""
    # MapProcessor._get_array_or_mmapped_array, line 189: whole numbers of 8 bits.
    full = np.zeros((len(session.get_outputs()), *layer.shape[:2]), np.uint8)
    for top in rows.starts:
        for left in cols.starts:
            tile = layer[top : top + rows.tile, left : left + cols.tile]
            outputs = _run(session, facts, tile)
            values = np.stack([each[0, 0] for each in outputs])
            values[np.isnan(values)] = 0
            values *= facts["reg_output_scaling"]
            # TileParams.set_mask_on_full_img.
            down, across = rows.kept(top), cols.kept(left)
            full[:, down, across] = values[
                :,
                down.start - top : down.stop - top,
                across.start - left : across.stop - left,
            ]
    return full[:, rows.extended - rows.size :, : cols.size]


def _enlarged(
    session: Any, facts: dict[str, Any], layer: NDArray[Any], rows: Axis, cols: Axis
) -> NDArray[np.uint8]:
    """MapProcessorSuperresolution._run, lines 33-64, and _process_tile, lines 166-175."""
    bands, side = session.get_outputs()[0].shape[1:3]
    times = side // rows.tile
    height, width = layer.shape[:2]
    full = np.zeros((height * times, width * times, bands), np.uint8)
    for top in rows.starts:
        for left in cols.starts:
            tile = layer[top : top + rows.tile, left : left + cols.tile]
            (output,) = _run(session, facts, tile)
            output[np.isnan(output)] = 0
            # The default of the dialog.
            output *= 255.0
            down = slice(top * times, (top + rows.stride) * times)
            across = slice(left * times, (left + cols.stride) * times)
            full[down, across] = output[0].transpose(1, 2, 0)
    # limit_extended_extent_image_to_base_extent_with_mask, lines 86-90: the last row and column of
    # the layer are missing.
    first, last = rows.extended - rows.size, rows.extended - 1
    return full[first * times : last * times, : (cols.size - 1) * times].transpose(2, 0, 1)


def _run(session: Any, facts: dict[str, Any], tile: NDArray[Any]) -> list[NDArray[np.float32]]:
    """Return the outputs of one tile, see ModelBase.process and preprocessing, lines 371-414."""
    # preprocessing_utils: limit_channels_number, normalize_values_to_01, standardize_values and
    # transpose_nhwc_to_nchw.
    batch = tile[None, :, :, : session.get_inputs()[0].shape[1]]
    batch = np.float32(batch * 1.0 / 255.0)
    mean, deviation = (
        np.array(facts[f"standardization_{name}"], np.float32) for name in ("mean", "std")
    )
    batch = ((batch - mean) / deviation).transpose(0, 3, 1, 2)
    found: list[NDArray[np.float32]] = session.run(None, {session.get_inputs()[0].name: batch})
    return found
