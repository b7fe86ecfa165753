"""Translation of a scene in blocks that are computed when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from geotranslate.chips.bands import Direction
from geotranslate.chips.chip import Bands
from geotranslate.chips.stacking import as_raster
from geotranslate.prediction.imageinference import Precision
from geotranslate.prediction.normstats import NormStats
from geotranslate.prediction.predictor import Predictor
from geotranslate.prediction.resampling import Resolution
from geotranslate.prediction.tilesize import Match, PredictOptions, TileSize
from geotranslate.prediction.tta import Tta
from geotranslate.raster.opening import RasterLike
from geotranslate.raster.pipeline import SceneBlocks
from geotranslate.raster.tiling import Blend


@contextmanager
def open_blocks(
    predictor: Predictor,
    scene: RasterLike,
    *,
    direction: Direction | None = None,
    tile_size: TileSize = "chip",
    blend: Blend = "auto",
    precision: Precision = "auto",
    norm_stats: NormStats = "auto",
    match: Match | None = None,
    progress: bool = True,
    tta: Tta = False,
    resolution: Resolution = "auto",
    bands: Bands | None = None,
) -> Iterator[SceneBlocks]:
    """Yield the pixels that `predict_raster` would write, computed when they are asked for.

    Args:
        predictor: Predictor of a model.
        scene: Raster to translate: path, URL, GDAL name or open dataset.
        direction: As all other arguments, see `predict_raster`.
        tile_size: Side of the tiles, px, "chip" or "auto".
        blend: How overlapping pixels are combined.
        precision: "float32", "bfloat16" or "auto".
        norm_stats: Statistics of normalization layers.
        match: "training" maps the quantiles of the scene to those of the training data.
        progress: Whether to show a progress bar while the scene is scanned.
        tta: Whether to average the translations of each tile in its eight orientations.
        resolution: Pixel size at which the raster enters the network.
        bands: Bands of the raster to translate.

    Raises:
        RasterFileError: The raster cannot be read.
        InvalidInputError: The raster has other bands, or an argument is invalid.
    """
    way = predictor.towards(predictor.direction if direction is None else direction)
    target = way.card.target
    options = PredictOptions(
        aoi=None,
        bbox=None,
        tile_size=tile_size,
        overlap=None,
        padding=None,
        blend=blend,
        dtype=target.dtype,
        nodata=target.nodata,
        driver="COG",
        batch_size=1,
        overwrite=False,
        resume=False,
        executor=None,
        part=None,
        max_memory=None,
        progress=progress,
        match=match,
        resolution=resolution,
        bands=bands,
    )
    inference = way.inference_for(options, precision, norm_stats, tta)
    with (
        way.translation(inference, tta, options, Path()) as translation,
        translation.blocks(as_raster(scene)) as found,
    ):
        yield found
