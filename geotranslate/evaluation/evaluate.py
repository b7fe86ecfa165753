"""`evaluate_raster`: measures of a prediction against a reference, read in windows."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from geotranslate.errors import InvalidInputError
from geotranslate.evaluation.classcounts import ClassesLike, PaletteLike
from geotranslate.evaluation.comparison import Counted
from geotranslate.evaluation.errorraster import ErrorKind
from geotranslate.evaluation.evaluation import (
    NO_INTERVAL,
    Baseline,
    Evaluation,
    Measuring,
    intervals,
)
from geotranslate.evaluation.evaluationoptions import EvaluationOptions
from geotranslate.evaluation.quantities import Found
from geotranslate.evaluation.scene import Scene
from geotranslate.evaluation.zones import ZonesLike
from geotranslate.migration import checks_arguments
from geotranslate.raster.reader import RasterLike


@checks_arguments
def evaluate_raster(
    prediction: RasterLike,
    reference: RasterLike,
    *,
    zones: ZonesLike | None = None,
    classes: ClassesLike | None = None,
    palette: PaletteLike | None = None,
    tolerance: float | None = None,
    source: RasterLike | None = None,
    source_bands: Sequence[int | str] | None = None,
    baseline: RasterLike | Mapping[str, RasterLike] | None = None,
    fitted_on: tuple[RasterLike, RasterLike] | None = None,
    error: str | os.PathLike[str] | None = None,
    error_kind: ErrorKind = "signed",
    overwrite: bool = False,
    reference_bands: Sequence[int | str] | None = None,
    data_range: float | Sequence[float] | None = None,
    block_size: int | None = None,
    window_size: int = 512,
    seed: int = 42,
    progress: bool = True,
) -> Evaluation:
    """Compare a raster with a reference, over the pixels that are valid in both.

    Both are read in windows, so memory does not grow with the height of the scene, and the measures
    do not depend on the windows. A reference on another grid is aligned to the prediction's grid,
    classes with nearest neighbor and quantities bilinearly. See `QuantitySums` and `ClassSums` for
    the measures.

    Args:
        prediction: Raster to evaluate, such as the output of `predict_raster`, or a `stack` or
            `mosaic` of several, also as text such as "a.tif+b.tif".
        reference: True raster, with the same bands; or a stack or mosaic.
        zones: Polygons that are measured apart: vector file, GeoDataFrame or GeoSeries in any CRS.
            A pixel belongs to every zone that its center lies in, a window of SSIM to the zones of
            its middle.
        classes: True if the values are classes, False for quantities; by default found out as in
            `prepare_data`. A list of class numbers, or a dict from numbers to names, chooses the
            classes; pixels whose reference is another one are left out.
        palette: Colors of the classes in all bands, in a list or a dict by class number, for maps
            that show classes in colors. A pixel belongs to the nearest color. A side with one band
            holds the class numbers themselves.
        tolerance: Largest Euclidean distance from a color of the palette; any by default.
        source: Raster that the prediction was made from, for the baselines "linear", a linear map
            of its bands, and "source", the source itself if it has as many bands as the reference.
        source_bands: Bands of the source, by number from 1 or by name.
        baseline: Another prediction to compare with, or a dict of several by name.
        fitted_on: Source and target of other ground, on which the linear map is fitted. Without
            them, it is fitted on a sample of this scene, which flatters it, and its skill is named
            `skill_over_linear_in_sample`.
        error: GeoTIFF to write the errors to, as a COG on the prediction's grid: float32 with NaN
            where they are unknown; for classes 1 where the class is wrong, else 0, and 255.
        error_kind: "signed" for prediction minus reference, or "absolute".
        overwrite: Whether an existing error raster may be replaced.
        reference_bands: Bands of the reference, by number from 1 or by name.
        data_range: Peak of PSNR and range of SSIM, one or one for each band; by default 255 for a
            reference of uint8, else the range of its compared pixels.
        block_size: Side of the blocks of ground of the bootstrap, px, a multiple of 16; by default
            the smallest power of two from 64 on that makes 400 blocks or fewer.
        window_size: Side of the windows that are read, px, a multiple of 16.
        seed: Seed of the bootstrap.
        progress: Whether to show a progress bar.

    Raises:
        RasterFileError: A raster cannot be read, or the error raster cannot be written.
        OutputExistsError: The error raster exists and `overwrite` is false.
        GridMismatchError: A raster cannot be aligned to the prediction's grid.
        InvalidInputError: The rasters differ in bands, have no valid pixel in common, or an
            argument is invalid.
    """
    options = EvaluationOptions(
        zones=zones,
        classes=classes,
        palette=palette,
        tolerance=tolerance,
        source=source,
        source_bands=source_bands,
        baseline=baseline,
        fitted_on=fitted_on,
        error=error,
        error_kind=error_kind,
        overwrite=overwrite,
        reference_bands=reference_bands,
        data_range=data_range,
        block_size=block_size,
        window_size=window_size,
        seed=seed,
        progress=progress,
    )
    return evaluate(prediction, reference, options)


def evaluate(
    prediction: RasterLike, reference: RasterLike, options: EvaluationOptions
) -> Evaluation:
    """Compare a raster with a reference; see `evaluate_raster`."""
    with ExitStack() as stack:
        scene = Scene(prediction, reference, options, stack)
        return _of_classes(scene) if scene.categorical else _of_quantities(scene)


def _of_quantities(scene: Scene) -> Evaluation:
    comparison = scene.quantities()
    tally, rivals = comparison.tally, comparison.rivals
    counted = scene.count(comparison)
    total = counted.total
    found, errors = tally.measures(total), tally.mean_errors(total)
    per_band = {
        name: {key: float(each[band]) for key, (_, each) in found.items() if each is not None}
        for band, name in enumerate(comparison.error_names)
    }
    return Evaluation(
        _overall(found),
        intervals(counted.blocks(), tally.measures, scene.options.seed),
        per_band,
        _zone_table(scene, counted, tally.measures, "mae"),
        baselines={each.name: Baseline(each.words, errors[each.name]) for each in rivals},
        joint=comparison.joint.result(tally.lines(total)),
        block_size=scene.lattice.block,
        error=scene.options.error_path,
    )


def _of_classes(scene: Scene) -> Evaluation:
    comparison = scene.classes()
    tally = comparison.tally
    counted = scene.count(comparison)
    total = counted.total
    if not total.any() or not tally.confusion(total).any():
        raise InvalidInputError(
            f"No pixel that is valid in {scene.prediction.original.name} and "
            f"{scene.reference.original.name} has one of the classes "
            f"{', '.join(tally.key.names)}; give the classes of the reference."
        )
    return Evaluation(
        _overall(tally.measures(total)),
        intervals(counted.blocks(), tally.measures, scene.options.seed),
        zones=_zone_table(scene, counted, tally.measures_by_class, "accuracy"),
        per_class=tally.by_class(total),
        confusion=tally.confusion(total).astype(np.int64),
        block_size=scene.lattice.block,
        error=scene.options.error_path,
    )


def _zone_table(scene: Scene, counted: Counted, measures: Measuring, main: str) -> Any:
    """Return the layer of zones with a column for each measure, and the interval of one."""
    if scene.zones is None:
        return None
    rows = []
    for zone in range(len(scene.zones.layer)):
        blocks = counted.blocks(zone)
        total = blocks.sum(0) if len(blocks) else np.zeros_like(counted.total)
        bounds = NO_INTERVAL
        if len(blocks):
            # There may be many zones.
            one = intervals(blocks, lambda sums: {main: measures(sums)[main]}, scene.options.seed)
            bounds = one[main]
        row = _overall(measures(total))
        rows.append(row | {f"{main}_low": bounds[0], f"{main}_high": bounds[1]})
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return scene.zones.layer.assign(**columns)


def _overall(found: Found) -> dict[str, float]:
    values = {name: float(value) for name, (value, _) in found.items()}
    return {n: int(v) if n in ("count", "left_out") else v for n, v in values.items()}
