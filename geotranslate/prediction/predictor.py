"""Predictor that translates images and scenes with a trained generator."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from geotranslate.checks import choice, file_path, flag, folder_path
from geotranslate.chips.bands import DataCard, Direction
from geotranslate.chips.chip import Bands
from geotranslate.chips.stacking import as_raster
from geotranslate.chips.vectors import AreaLike
from geotranslate.errors import InvalidInputError
from geotranslate.migration import checks_arguments
from geotranslate.prediction.imageinference import ImageInference, Precision
from geotranslate.prediction.itemscenes import with_items
from geotranslate.prediction.normstats import NormStats, checked_norm_stats
from geotranslate.prediction.pictures import ImageLike, picture_path, pixels_of, write_picture
from geotranslate.prediction.pixelsize import find_resampling
from geotranslate.prediction.resampling import Resolution
from geotranslate.prediction.scenefiles import (
    ScenesLike,
    outputs_in,
    removed_if_empty,
    scene_name,
    several,
    translate_each,
)
from geotranslate.prediction.scenes.matching import check_match
from geotranslate.prediction.tilesize import Match, PredictOptions, TileSize
from geotranslate.prediction.translation import Provenance, Translation
from geotranslate.prediction.tta import Tta, check_tta
from geotranslate.prediction.workers import StoredModel, shared
from geotranslate.raster.bandfacts import dtype_name
from geotranslate.raster.factor import valid_at
from geotranslate.raster.pipeline import MODEL_ITEM
from geotranslate.raster.tiling import Blend
from geotranslate.raster.writing import Driver, checked_nodata, default_output

P = ParamSpec("P")
R = TypeVar("R")


class Predictor:
    """Translator of arrays, rasters and lists of scenes with a trained generator.

    Args:
        inference: The generator and the data that it was trained on.
        model: The model of the generator: its name, and the folder from which workers load it.
        direction: "AtoB" from source to target; "BtoA" from target to source.
        norm_stats: Value used for `norm_stats="auto"` of `predict_raster`.
    """

    def __init__(
        self,
        inference: ImageInference,
        model: StoredModel,
        *,
        direction: Direction = "AtoB",
        norm_stats: NormStats = "auto",
    ) -> None:
        self.inference, self.model = inference, model
        self.direction, self.norm_stats = direction, norm_stats
        self.opposite: Predictor | None = None
        """The predictor of the other direction, for models trained in both."""

    @property
    def card(self) -> DataCard:
        """Card of the training data, with source and target in this direction."""
        return self.inference.card

    @property
    def name(self) -> str:
        """Name of the model's class."""
        return self.model.name

    def digest(self) -> str:
        """Return the SHA-256 of the weights, as in the `card.json` of a saved model."""
        return self.model.digest()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Save the model with all its directions in a folder and return the folder."""
        return self.model.save(path)

    @checks_arguments
    def towards(self, direction: Direction) -> Predictor:
        """Return the predictor of a direction; "AtoB" is from source to target.

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

    @checks_arguments
    def predict(
        self,
        image: ImageLike,
        *,
        direction: Direction | None = None,
        show: bool = False,
        output: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        resolution: Resolution = "auto",
    ) -> NDArray[Any]:
        """Translate an image that fits in memory, such as a chip, in one pass in float32.

        Args:
            image: Raster; or `(bands, rows, cols)` or `(rows, cols, bands)` in the source's units
                with NaN where invalid, or a PIL image. If both axes could be the bands, they come
                first.
            direction: "AtoB" from source to target; "BtoA" back, for models trained in both
                directions. By default "AtoB", or the direction of `towards`.
            show: Whether to draw the image and its translation.
            output: PNG or JPEG to write, as its ending says, without georeference.
            overwrite: Whether an existing output may be replaced.
            resolution: Pixel size at which the image enters the network, as in `predict_raster`.

        Returns:
            `(bands, rows, cols)` in the target's units and dtype, and in its pixels if they are of
            another size. Invalid pixels are NaN in floats and the target's nodata value, if it has
            one, in integers.

        Raises:
            RasterFileError: The raster cannot be read, or the output cannot be written.
            OutputExistsError: The output exists and `overwrite` is false.
            InvalidInputError: The image has another number of bands than the model translates, the
                array is empty or not numeric, or the output cannot hold the translation.
        """
        inference = self.towards(self.direction if direction is None else direction).inference
        for name, value in (("show", show), ("overwrite", overwrite)):
            flag(name, value)
        target = inference.card.target
        path = None if output is None else picture_path(output, target, overwrite=overwrite)
        data, valid, grid = pixels_of(image, inference)
        size = (data.shape[1], data.shape[2])
        resampling = find_resampling("the image", grid, size, inference, resolution)
        translated = inference.resampled(resampling).image(data, valid)
        if path is not None:
            write_picture(path, translated, target)
        if show:
            _draw(inference.card, data, translated, valid)
        return translated

    @checks_arguments
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
        match: Match | None = None,
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
        resolution: Resolution = "auto",
        bands: Bands | None = None,
        asset: str | None = None,
        stac: bool = False,
    ) -> Any:
        """Translate rasters of any size into GeoTIFFs on the same grids.

        If the training targets have another pixel size than their sources, the output's grid
        divides the raster's pixels, or gathers them, in the same way: four times as many rows and
        columns, or a quarter, rounded up.

        The output is invalid wherever the source is, marked by the nodata value, NaN for floats, or
        a mask. Band names, scales, offsets, units and colors come from the training targets. Warns
        if a scene differs from the training chips: no CRS, another pixel size or dtype, values far
        outside the training range, or unknown classes.

        Args:
            path: Raster to translate: path, URL, GDAL name or open dataset. For several scenes: a
                folder, a glob pattern, a list, or a GeoDataFrame with a column `path` or
                `location`. In folders and patterns, files named as translations of other files are
                skipped. A STAC Item, as `pystac.Item`, dict or JSON file, is the raster of one of
                its assets, and a `pystac.ItemCollection` a list.
            output: GeoTIFF to write; by default `<stem>_translated.tif` beside the source, or in
                the working directory for a remote one. For several scenes, the folder for these
                files.
            direction: "AtoB" from source to target; "BtoA" back, for models trained in both
                directions. By default "AtoB", or the direction of `towards`.
            aoi: Area of interest: vector file, GeoDataFrame or GeoSeries in any CRS, or a geometry
                in the raster's CRS. The output is cut to its bounds and invalid outside of it.
            bbox: Left, bottom, right and top in the raster's CRS, to which the output is cut.
            tile_size: Side of the tiles, px. "auto" uses tiles large enough to be cropped exactly
                if one fits in a quarter of the machine's memory; otherwise tiles of four chips, or
                of one chip ("tile") or two ("smooth") if `norm_stats` uses statistics of each tile.
                "chip" uses tiles of the size of a chip, which take less time each and more
                altogether.
            overlap: Pixels that neighboring tiles share.
            padding: Pixels cropped at the edges of tiles.
            batch_size: Tiles translated at once. By default as many pixels as 8 chips on a CPU; on
                a GPU, the largest power of two that fits, up to 64 chips. Halved if it does not fit
                in GPU memory.
            blend: How overlapping pixels are combined: "hann" blends them, "crop" takes each pixel
                from the tile whose edge is farther away; "auto" chooses.
            precision: "float32"; "bfloat16", which is faster and differs in about the third digit;
                or "auto" for bfloat16 if the hardware supports it. In float32 on a CPU, the file
                is the same, byte for byte, for every batch size.
            norm_stats: Statistics of normalization layers: "running", learned in training; "tile",
                of each tile on its own, which gives each tile its own brightness; "scene", of tiles
                sampled all over the scene; "smooth", of each tile, interpolated between tile
                centers, which reads the scene twice. A number from 0 to 1 mixes those of training
                and of the scene by this share of the scene, for a scene of another date or camera.
                "auto" is "running" if batch normalization has learned them, else "scene". A model
                without normalization gives the same result with all.
            match: "training" maps each band so that the quantiles of the scene become those of the
                training data, before anything else; for the same kind of ground in another light.
            dtype: Output dtype; by default the dtype of the training targets.
            nodata: Output nodata value; by default the value of the training targets.
            driver: "COG" for a cloud optimized GeoTIFF, "GTiff" for a tiled one; both are named
                .tif.
            overwrite: Whether an existing output may be replaced.
            resume: Whether to continue an interrupted run with the same arguments; finished outputs
                are kept.
            executor: A `concurrent.futures` executor or a `dask.distributed.Client` whose workers
                translate the parts. Other processes load the model from the folder that it was
                loaded from, else from a temporary one beside the output.
            part: Translate only one part, "2/8" or (2, 8); assemble the parts later.
            max_memory: Maximum memory for rows waiting to be written, bytes.
            progress: Whether to show a progress bar.
            tta: Whether to average the translations of each tile in its eight orientations, rotated
                and mirrored; "std" adds a band with their standard deviation, in the target's
                units, averaged over the bands.
            resolution: Pixel size at which the raster enters the network; it does not change the
                grid of the output. "training" resamples the raster to the pixel size of the
                training and the translation back; "source" leaves it as it is; a number is a pixel
                size in meters. "auto" is "training" if the two differ by more than 5%, on the
                ground or, without a CRS, by the training's `resize_to`; a raster without a CRS
                whose sides are `resize_to` is left as it is.
            bands: Bands of the raster to translate, by number from 1 or by name, in the order of
                the training, for example (1, 2, 3) of a scene with infrared for a model of colors.
                By default they are matched by name, or else by number.
            asset: Name of the asset to translate if scenes are STAC Items; by default the only one
                that holds data.
            stac: Whether to write a STAC Item beside each output, `<name>.stac.json`.

        Returns:
            The written raster, a `TranslatedRaster` that can be used as a path; a list of them for
            several scenes.

        Raises:
            RasterFileError: A raster cannot be read or an output cannot be written.
            OutputExistsError: An output exists and `overwrite` is false.
            InvalidInputError: A raster has another number of bands than the model translates, the
                aoi is empty or elsewhere, a STAC Item has no such asset, or an argument is invalid.
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
            match=match,
            resolution=resolution,
            bands=bands,
            stac=stac,
        )
        inference = way.inference_for(options, precision, norm_stats, tta)
        return way._translate(as_raster(with_items(path, asset)), output, inference, tta, options)

    def inference_for(
        self, options: PredictOptions, precision: Precision, norm_stats: NormStats, tta: Tta
    ) -> ImageInference:
        """Return the inference of scenes, after checking arguments against the model.

        Raises:
            InvalidInputError: An argument is invalid.
        """
        check_match(options.match, self.card.source)
        options.check_stride(self.inference.stride)
        check_tta(tta, self.card.target)
        checked = checked_norm_stats(norm_stats)
        own = self.norm_stats if checked == "auto" else checked
        resolved = self.inference.resolved(own, tta)
        return self.inference.at(precision, resolved)

    def _translate(
        self,
        path: ScenesLike,
        output: str | os.PathLike[str] | None,
        inference: ImageInference,
        tta: Tta,
        options: PredictOptions,
    ) -> Any:
        """Translate one scene, or each of several."""
        scenes = several(path)
        if scenes is None:
            given = default_output(scene_name(path)) if output is None else output
            file = file_path("output", given)
            with self.translation(inference, tta, options, file) as translation:
                return translation.write(path, file)
        folder = None if output is None else folder_path("output", output)
        with removed_if_empty(folder):
            outputs = outputs_in(scenes, folder)
            with self.translation(inference, tta, options, outputs[0]) as translation:
                return translate_each(scenes, outputs, translation.write)

    @contextmanager
    def translation(
        self, inference: ImageInference, tta: Tta, options: PredictOptions, beside: Path
    ) -> Iterator[Translation]:
        """Yield the translation of scenes by an inference; a model for workers lies beside a file.

        Raises:
            RasterFileError: Workers need such a model, and the folder does not exist.
        """
        digest = self.digest()
        provenance = Provenance(self.name, digest, inference, tta, options, self.direction)
        with shared(self.model, self.direction, tta, options.executor, digest, beside) as apply:
            # The distances are those of sources, which the other direction does not translate.
            scenes = self.model.metrics.per_scene if self.direction == "AtoB" else {}
            item = self._item(digest) if options.stac else None
            yield Translation(inference, apply, provenance, options, scenes, item)

    def _item(self, digest: str) -> str | None:
        """Return the path of the model's STAC Item, if its folder holds one."""
        saved = self.model.saved_folder(digest)
        # For a model of one file, it lies beside the file.
        item = None if saved is None else (saved if saved.is_dir() else saved.parent) / MODEL_ITEM
        return str(item) if item is not None and item.is_file() else None


def _draw(
    card: DataCard, image: NDArray[Any], translated: NDArray[Any], valid: NDArray[np.bool_]
) -> None:
    """Draw an image and its translation `(bands, rows, cols)` in their units."""
    # It needs torch, which a predictor may do without.
    from geotranslate.data.plotting import draw_table

    sides = (card.source, image, valid), (card.target, translated, valid_at(valid, card.factor))
    pair = [
        side.scaling.scale(np.where(seen, pixels, np.nan).astype(np.float32)[None])[0]
        for side, pixels, seen in sides
    ]
    draw_table([pair], ("source", "translation"), sides=(card.source, card.target))


class HasPredictor(Protocol):
    """A model that has a predictor."""

    predictor: Predictor


def by_predictor(
    method: Callable[Concatenate[Predictor, P], R],
) -> Callable[Concatenate[HasPredictor, P], R]:
    """Return a method of `Predictor` as a method of models that have a predictor."""

    @functools.wraps(method)
    def call(model: HasPredictor, /, *args: P.args, **options: P.kwargs) -> R:
        return method(model.predictor, *args, **options)

    return call
