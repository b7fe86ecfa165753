"""Translate images and scenes with a trained generator."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from torch import nn

from geotranslate.checks import choice, file_path
from geotranslate.chips.bands import DataCard, Direction
from geotranslate.chips.vectors import AreaLike
from geotranslate.errors import InvalidInputError
from geotranslate.prediction.inference import Inference, Precision, Tta, check_tta
from geotranslate.prediction.normstats import NormStats, resolve_norm_stats
from geotranslate.prediction.provenance import Provenance
from geotranslate.prediction.scenefiles import (
    ScenesLike,
    outputs_in,
    scene_name,
    several,
    translate_each,
)
from geotranslate.prediction.tilesize import PredictOptions, TileSize
from geotranslate.prediction.translation import Translation
from geotranslate.prediction.workers import StoredModel, shared
from geotranslate.raster.bandfacts import dtype_name
from geotranslate.raster.opening import RasterLike
from geotranslate.raster.reader import RasterReader
from geotranslate.raster.tiling import Blend
from geotranslate.raster.writing import Driver, checked_nodata, default_output

P = ParamSpec("P")
R = TypeVar("R")


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
            direction: "AtoB" from source to target; "BtoA" back, for models that are trained both
                ways. By default "AtoB", or the direction of `towards`.

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

        Where a raster is invalid (by its nodata value, NaN in floats, or a mask), so is the output.
        Band names, scales, offsets, units and colors are those of the training targets. Warns if a
        scene differs from the training chips: no CRS, other pixel sizes, another dtype, or values
        far outside of theirs.

        Args:
            path: Raster to translate: path, URL, GDAL name or open dataset. For several: a folder,
                a glob pattern, a list, or a GeoDataFrame with a column `path` or `location`. In
                folders and patterns, translations of other files are left out, by their names.
            output: GeoTIFF to write; by default `<stem>_translated.tif` beside the source, in the
                working directory for a remote one. For several scenes, the folder of the outputs.
            direction: "AtoB" from source to target; "BtoA" back, for models that are trained both
                ways. By default "AtoB", or the direction of `towards`.
            aoi: Area of interest: vector file, GeoDataFrame or GeoSeries in any CRS, or a geometry
                in the raster's. The output is cut to its bounds, and invalid outside of it.
            bbox: Left, bottom, right and top in the raster's CRS, to which the output is cut.
            tile_size: Side of the tiles, px. "auto" takes tiles that can be cropped exactly, where
                one fits in a quarter of the memory, else tiles of four chips; and tiles of a chip
                where each is normalized by itself.
            overlap: Pixels that neighboring tiles share.
            padding: Pixels at the edges of tiles that cropping throws away.
            batch_size: Tiles per batch; by default as many pixels as 8 chips have on a CPU, and on
                a GPU the largest power of two that fits, up to 64 chips. It is halved where a
                batch does not fit in the memory of a GPU.
            blend: Merging of tiles where they overlap: "hann" mixes them, "crop" takes each pixel
                from the tile in which it lies farther inside, "auto" chooses.
            precision: "float32"; "bfloat16", which is faster and differs in about the third digit;
                or "auto" for bfloat16 where the machine multiplies it. In float32 on a CPU the file
                is the same, byte for byte, for every batch size.
            norm_stats: Statistics of normalization layers: "running", learned in training; "tile",
                of each tile, which changes its brightness; "scene", of tiles sampled all over the
                scene; "smooth", of each tile, interpolated between tile centers, which reads the
                scene twice. "auto" is "running" where batch normalization has learned them, else
                "scene". Models without normalization ignore it.
            dtype: Output dtype; by default that of the training targets.
            nodata: Output nodata value; by default that of the training targets.
            driver: "COG" for a cloud optimized GeoTIFF, "GTiff" for a tiled one; the name of the
                output is the same.
            overwrite: Whether an existing output may be replaced.
            resume: Whether to continue an interrupted run with the same arguments, and to keep
                outputs that it finished.
            executor: A `concurrent.futures` executor or a `dask.distributed.Client` whose workers
                translate the parts. Other processes load the model from the folder that it was
                loaded from, else from a temporary one beside the output.
            part: Share of the parts to translate, "2/8" or (2, 8), to be assembled later.
            max_memory: Bytes for rows that wait to be written.
            progress: Whether to show a progress bar.
            tta: Whether to average the translations of every tile in its eight positions, turned
                and mirrored; "std" adds a band with their standard deviation, in the target's
                units, averaged over the bands.

        Returns:
            The written raster, a `TranslatedRaster` that can be used as a path; for several scenes
            a list of them.

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


class HasPredictor(Protocol):
    """A model that has a predictor."""

    predictor: Predictor


def by_predictor(
    method: Callable[Concatenate[Predictor, P], R],
) -> Callable[Concatenate[HasPredictor, P], R]:
    """Return a method of predictors as one of the models that have them."""

    @functools.wraps(method)
    def call(model: HasPredictor, /, *args: P.args, **options: P.kwargs) -> R:
        return method(model.predictor, *args, **options)

    return call
