"""`evaluate`, the method of translators that translates a scene and measures the result."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from fastai.data.core import DataLoaders
from torch import Tensor

from geotranslate.chips.bands import DataCard, Direction
from geotranslate.chips.scenes import target_bands
from geotranslate.chips.stacking import as_raster
from geotranslate.chips.vectors import AreaLike
from geotranslate.data import PairDataset
from geotranslate.data.loaders import validates_pairs
from geotranslate.evaluation import Evaluation
from geotranslate.evaluation.baselines import LinearMap
from geotranslate.evaluation.classcounts import ClassesLike, PaletteLike
from geotranslate.evaluation.errorraster import ErrorKind
from geotranslate.evaluation.evaluate import evaluate as evaluate_rasters
from geotranslate.evaluation.evaluationoptions import EvaluationOptions
from geotranslate.evaluation.zones import ZonesLike
from geotranslate.metrics.errors import Units
from geotranslate.migration import checks_arguments
from geotranslate.networks.rescaling import brought
from geotranslate.prediction.predictor import Predictor
from geotranslate.prediction.scenefiles import like_training
from geotranslate.raster.opening import RasterLike
from geotranslate.raster.reader import RasterReader

PIXELS = 200_000
"""Most training pixels that the linear baseline is fitted on."""
CHIPS = 200
"""Most chips from which they are drawn."""


class Evaluable(Protocol):
    """A model that translates scenes."""

    data: DataLoaders | None
    card: DataCard

    def towards(self, direction: Direction) -> Predictor:
        """Return the predictor of a direction."""
        ...


@checks_arguments
def evaluate(
    model: Evaluable,
    scene: RasterLike,
    reference: RasterLike,
    output: str | os.PathLike[str] | None = None,
    *,
    direction: Direction = "AtoB",
    aoi: AreaLike | None = None,
    bands: Sequence[int | str] | None = None,
    overwrite: bool = False,
    zones: ZonesLike | None = None,
    classes: ClassesLike | None = None,
    palette: PaletteLike | None = None,
    tolerance: float | None = None,
    baseline: RasterLike | Mapping[str, RasterLike] | None = None,
    error: str | os.PathLike[str] | None = None,
    error_kind: ErrorKind = "signed",
    reference_bands: Sequence[int | str] | None = None,
    block_size: int | None = None,
    seed: int = 42,
    progress: bool = True,
) -> Evaluation:
    """Translate a scene and compare the translation with a reference.

    This is `predict_raster` followed by `evaluate_raster`, which have more options. The peak of
    PSNR and the classes are those of the model's targets. The linear baseline is fitted on the
    training pairs if the model has its data, else on the scene itself and named so.

    Args:
        model: The model, as the method's `self`.
        scene: Raster to translate: path, URL, GDAL name or open dataset.
        reference: True raster, with the bands of the translation.
        output: GeoTIFF to write the translation to; by default it is written to a temporary folder
            and removed.
        direction: "AtoB" from source to target; "BtoA" back, for models trained in both directions.
        aoi: Area of interest: vector file, GeoDataFrame or GeoSeries in any CRS, or a geometry in
            the scene's CRS. Only this area is translated and compared.
        bands: Bands of the scene to translate, as in `predict_raster`.
        overwrite: Whether an existing output and error raster may be replaced.
        zones: Polygons that are measured apart.
        classes: Classes by number, see `evaluate_raster`; by default those of the model's targets.
        palette: Colors of the classes, for models whose targets show classes in colors.
        tolerance: Largest Euclidean distance from a color of the palette; any by default.
        baseline: Another prediction of the scene to compare with, or a dict of several by name.
        error: GeoTIFF to write the errors to.
        error_kind: "signed" for prediction minus reference, or "absolute".
        reference_bands: Bands of the reference, by number from 1 or by name; by default those of
            the training targets if the reference has more bands than these.
        block_size: Side of the blocks of ground of the bootstrap, px, a multiple of 16.
        seed: Seed of the bootstrap.
        progress: Whether to show progress bars.

    Raises:
        RasterFileError: A raster cannot be read or written.
        OutputExistsError: An output exists and `overwrite` is false.
        GridMismatchError: A raster cannot be aligned to the scene's grid.
        InvalidInputError: The rasters have other bands than the model, have no valid pixel in
            common, or an argument is invalid.
    """
    way = model.towards(direction)
    target = way.card.target
    quantities = palette is None and target.classes is None
    # Numbers of classes have no linear map.
    linear = quantities and way.card.source.classes is None
    if classes is None and palette is None:
        found = target.classes
        classes = False if found is None else (found.values or True)
    scene = like_training(as_raster(scene), way.card.source)
    with ExitStack() as stack:
        source = stack.enter_context(RasterReader(scene))
        options = EvaluationOptions(
            zones=zones,
            classes=classes,
            palette=palette,
            tolerance=tolerance,
            source=scene if linear else None,
            source_bands=way.inference.bands_of(source, bands) if linear else None,
            baseline=baseline,
            linear=linear_of_training(model) if linear and direction == "AtoB" else None,
            error=error,
            error_kind=error_kind,
            overwrite=overwrite,
            reference_bands=reference_bands or target_bands(reference, target),
            data_range=_ranges(way.card) if quantities else None,
            block_size=block_size,
            seed=seed,
            progress=progress,
        )
        if output is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            output = Path(folder) / "translation.tif"
        translated = way.predict_raster(
            scene, output, aoi=aoi, bands=bands, overwrite=overwrite, progress=progress
        )
        result = evaluate_rasters(translated, reference, options)
        return replace(result, translation=translated)


def linear_of_training(model: Evaluable) -> LinearMap | None:
    """Return the linear map between training pairs; None without pairs of quantities."""
    data, card = model.data, model.card
    if data is None or not validates_pairs(data):
        return None
    if card.source.classes is not None or card.target.classes is not None:
        return None
    pairs = data.train_ds.pairs[:: math.ceil(len(data.train_ds.pairs) / CHIPS)]
    dataset, most = PairDataset(pairs, card, None), math.ceil(PIXELS / len(pairs))
    pixels = []
    for number in range(len(dataset)):
        given, truth = dataset[number]
        # On the pixels of the target, which may have another size.
        source = brought(given.as_subclass(Tensor)[None], card.factor)[0].numpy()
        target = truth.numpy()
        valid = np.isfinite(target).all(0)
        step = math.ceil(valid.sum() / most) or 1
        units = card.source.scaling.unscale(source), card.target.scaling.unscale(target)
        pixels.append(np.concatenate(units)[:, valid][:, ::step].astype(float))
    found = np.concatenate(pixels, axis=1)
    bands = card.source.bands
    return LinearMap.fitted(found[:bands], found[bands:], "the training pairs")


def _ranges(card: DataCard) -> list[float] | None:
    """Return the ranges of `compute_metrics`; None where they are not above 0."""
    ranges: Any = Units(card.target).ranges
    return list(ranges) if min(ranges) > 0 else None
