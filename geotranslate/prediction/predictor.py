"""Translate images and scenes with a trained generator."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from torch import nn

from geotranslate.checks import choice, file_path
from geotranslate.chips.bands import DataCard, Direction
from geotranslate.chips.vectors import AreaLike
from geotranslate.errors import InvalidInputError
from geotranslate.prediction.inference import Inference, Precision
from geotranslate.prediction.normstats import NormStats, resolve_norm_stats
from geotranslate.prediction.options import PredictOptions, TileSize
from geotranslate.prediction.provenance import Provenance
from geotranslate.prediction.scenefiles import (
    ScenesLike,
    outputs_in,
    scene_name,
    several,
    translate_each,
)
from geotranslate.prediction.translation import Translation
from geotranslate.prediction.tta import Tta, check_tta
from geotranslate.prediction.workers import StoredModel, shared
from geotranslate.raster.dtypes import dtype_name
from geotranslate.raster.opening import RasterLike
from geotranslate.raster.reader import RasterReader
from geotranslate.raster.tiling import Blend
from geotranslate.raster.writing import Driver, checked_nodata, default_output


class Predictor:
    """Translate arrays, rasters and lists of scenes with a trained generator.

    Args:
        inference: The generator and the data that it was trained on.
        model: The model that it is of: its name, and where workers find it.
        direction: "AtoB" from source to target; "BtoA" from target to source.
        norm_stats: What `norm_stats="auto"` of `predict_raster` is.
    """

    def __init__(
        self,
        inference: Inference,
        model: StoredModel,
        *,
        direction: Direction = "AtoB",
        norm_stats: NormStats = "auto",
    ) -> None:
        self.inference, self.model = inference, model
        self.direction, self.norm_stats = direction, norm_stats
        self.opposite: Predictor | None = None
        """The predictor of the other direction, of models that are trained in both."""

    @property
    def card(self) -> DataCard:
        """The data that the generator was trained on, in the direction that it translates."""
        return self.inference.card

    @property
    def name(self) -> str:
        """Name of the class that was trained."""
        return self.model.name

    def digest(self) -> str:
        """Return the SHA-256 of the weights, as it stands in the `card.json` of a saved model."""
        return self.model.digest()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the model with all its directions into a folder; return the folder."""
        return self.model.save(path)

    def renew(self, generator: nn.Module) -> None:
        """Translate with another generator of the same kind from now on."""
        now = self.inference
        self.inference = Inference(generator, now.card, now.stride, now.radius)

    def towards(self, direction: Direction) -> Predictor:
        """Return the predictor of a direction: "AtoB" is from source to target.

        Raises:
            InvalidInputError: There is no such direction, or it was not trained.
        """
        choice("direction", direction, get_args(Direction))
        if direction == self.direction:
            return self
        if self.opposite is None:
            raise InvalidInputError(
                f"direction is {direction!r}, but a {self.name} translates from source to target "
                "alone; train one with prepare_data(..., direction='BtoA'), or a CycleGAN, which "
                "translates both ways."
            )
        return self.opposite

    def predict(
        self, image: RasterLike | NDArray[Any], *, direction: Direction | None = None
    ) -> NDArray[Any]:
        """Translate a chip or another image that fits into memory at once, in float32.

        Args:
            image: Raster, or `(bands, rows, cols)` in the source's units with NaN where invalid.
            direction: "AtoB" from source to target, "BtoA" back, by models that were trained to; by
                default "AtoB", or that of `towards`.

        Returns:
            `(bands, rows, cols)` in the target's units and dtype. Invalid pixels hold NaN in
            floats and the target's nodata value, if it has one, in integers.

        Raises:
            RasterFileError: The raster cannot be read.
            InvalidInputError: It has another number of bands than the model translates, or the
                array holds no pixels or no numbers.
        """
        inference = self.towards(self.direction if direction is None else direction).inference
        if isinstance(image, np.ndarray):
            if image.ndim != 3 or image.size == 0 or image.dtype.kind not in "buif":
                raise InvalidInputError(
                    f"The array has shape {image.shape} and dtype {image.dtype}; give numbers "
                    "(bands, rows, cols), at least one of each."
                )
            return inference.image(image, np.asarray(np.isfinite(image).all(axis=0)))
        with RasterReader(image) as source:
            chosen = RasterReader(source.dataset, inference.bands_of(source))
            return inference.image(*chosen.read())

    def predict_raster(
        self,
        path: ScenesLike,
        output: str | os.PathLike[str] | None = None,
        *,
        direction: Direction | None = None,
        aoi: AreaLike | None = None,
        bbox: tuple[float, float, float, float] | None = None,
        tile_size: TileSize = "auto",
        overlap: int | None = None,
        padding: int | None = None,
        batch_size: int | None = None,
        blend: Blend = "auto",
        precision: Precision = "auto",
        norm_stats: NormStats = "auto",
        dtype: str | None = None,
        nodata: float | None = None,
        driver: Driver = "COG",
        overwrite: bool = False,
        resume: bool = False,
        executor: Any = None,
        part: str | tuple[int, int] | None = None,
        max_memory: int | None = None,
        progress: bool = True,
        tta: Tta = False,
    ) -> Any:
        """Translate rasters of any size into GeoTIFFs on the same grids.

        Where a raster is invalid the output is as well: by its nodata value, NaN in floats, or a
        mask. Band names, scale, offset, units and colours are those of the training targets. Warns
        of a scene that differs from the training chips: without CRS, with pixels of another size,
        another dtype, or values far outside of theirs.

        Args:
            path: Raster to translate: path, URL, GDAL name or open dataset. For several: a folder,
                a glob pattern, a list, or a GeoDataFrame with a column `path` or `location`. Of
                a folder or pattern, what is named as the translation of another is left out.
            output: GeoTIFF to write; by default `<stem>_translated.tif` beside the source, in the
                working directory for a remote one. For several scenes the folder of such files.
            direction: "AtoB" from source to target, "BtoA" back, by models that were trained to; by
                default "AtoB", or that of `towards`.
            aoi: Area of interest: vector file, GeoDataFrame or GeoSeries in any CRS, or a geometry
                in the raster's. The output is cut to its bounds, and invalid outside of it.
            bbox: Left, bottom, right and top in the raster's CRS, to which the output is cut.
            tile_size: Side of the tiles, px. "auto" takes tiles so large that they can be cropped
                without a trace, where a quarter of the machine's memory holds one, else of four
                chips; and of a chip where `norm_stats` are those of tiles.
            overlap: Pixels that neighbouring tiles share.
            padding: Pixels at a tile's edge that are thrown away where tiles are cropped.
            batch_size: Tiles translated at once; by default as many pixels as 8 chips have on a
                CPU, and on a GPU the largest power of two up to as 64 have that fits. It is halved
                where a GPU's memory does not hold it.
            blend: What becomes of the pixels that tiles share: "hann" mixes them, "crop" takes
                each from the tile in which it lies further inside; "auto" chooses.
            precision: "float32", "bfloat16", which is faster and differs in about the third digit,
                or "auto": bfloat16 where the machine multiplies it. In float32 on a CPU the file
                is the same, byte for byte, for every batch size.
            norm_stats: Statistics that normalise: "running", learned in training; "tile", of every
                tile for itself, by which it has its own brightness; "scene", of tiles sampled all
                over the scene; "smooth", of every tile, interpolated between their centres, which
                passes the scene twice. "auto" is "running" where batch normalisation has learned
                some, else "scene". A model without normalisation comes out alike with all.
            dtype: Output dtype; that of the training targets by default.
            nodata: Output nodata value; that of the training targets by default.
            driver: "COG" for a cloud optimised GeoTIFF, "GTiff" for a tiled one; the name of the
                output is the same.
            overwrite: Whether an existing output may be replaced.
            resume: Whether to go on with what an interrupted run with the same arguments has
                left, and to keep outputs that it finished.
            executor: Any `concurrent.futures` executor or a `dask.distributed.Client` whose workers
                translate the parts. Processes read the model from the folder that it was loaded
                from, else from one that lies beside the output as long as they work.
            part: Translate only this part, "2/8" or (2, 8), to be assembled later.
            max_memory: Bytes that may be used for rows that wait to be written.
            progress: Whether to show a progress bar.
            tta: Average the translations of every tile in its eight positions, turned and mirrored;
                "std" adds a band with their standard deviation, in the target's units, averaged
                over the bands.

        Returns:
            The written raster, a `TranslatedRaster` usable as a path; for several scenes a list.

        Raises:
            RasterFileError: A raster cannot be read or an output not written.
            OutputExistsError: An output exists and `overwrite` is false.
            InvalidInputError: A raster has another number of bands than the model translates, the
                aoi is empty or elsewhere, or an argument is impossible.
        """
        way = self.towards(self.direction if direction is None else direction)
        target = way.card.target
        dtype = dtype_name(target.dtype if dtype is None else dtype)
        options = PredictOptions(
            aoi=aoi,
            bbox=bbox,
            tile_size=tile_size,
            overlap=overlap,
            padding=padding,
            blend=blend,
            dtype=dtype,
            nodata=target.nodata if nodata is None else checked_nodata(nodata, dtype),
            driver=driver,
            batch_size=batch_size,
            overwrite=overwrite,
            resume=resume,
            executor=executor,
            part=part,
            max_memory=max_memory,
            progress=progress,
        )
        options.check_stride(way.inference.stride)
        check_tta(tta, target)
        inference = way.inference.at(precision, way._norm_stats(norm_stats, tta))
        return way._translate(path, output, inference, tta, options)

    def _norm_stats(self, given: NormStats, tta: Tta) -> NormStats:
        choice("norm_stats", given, get_args(NormStats))
        own = self.norm_stats if given == "auto" else given
        return resolve_norm_stats(own, self.inference.generator, tta)

    def _translate(
        self,
        path: ScenesLike,
        output: str | os.PathLike[str] | None,
        inference: Inference,
        tta: Tta,
        options: PredictOptions,
    ) -> Any:
        """Translate a scene, or each of several."""
        scenes = several(path)
        if scenes is None:
            given = default_output(scene_name(path)) if output is None else output
            outputs = [file_path("output", given)]
        else:
            outputs = outputs_in(scenes, output)
        digest = self.digest()
        provenance = Provenance(self.name, digest, inference, tta, options, self.direction)
        with shared(
            self.model, self.direction, inference, tta, options.executor, digest, outputs[0]
        ) as apply:
            write = Translation(inference, apply, provenance, options).write
            if scenes is None:
                return write(path, outputs[0])
            return translate_each(scenes, outputs, write)
