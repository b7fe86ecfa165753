"""`evaluate_raster`: measures of a prediction against a reference, read in windows."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from rasterio.enums import Resampling
from tqdm.auto import tqdm

from geotranslate.checks import choice, finite_numbers, flag, number, shown, whole_number
from geotranslate.chips.bands import resampling_for
from geotranslate.errors import InvalidInputError
from geotranslate.evaluation.aligned import AlignedReader
from geotranslate.evaluation.baselines import (
    LinearMap,
    Rival,
    constant_rival,
    fitted_elsewhere,
    linear_rival,
    raster_rival,
)
from geotranslate.evaluation.classcounts import (
    ClassesLike,
    ClassKey,
    ClassSums,
    PaletteLike,
    key_of_numbers,
    key_of_palette,
)
from geotranslate.evaluation.comparison import (
    ClassComparison,
    Comparison,
    Counted,
    QuantityComparison,
    count,
)
from geotranslate.evaluation.displays import JointCounter
from geotranslate.evaluation.errorraster import ErrorKind, checked_error, error_raster
from geotranslate.evaluation.evaluation import Baseline, Evaluation
from geotranslate.evaluation.intervals import intervals
from geotranslate.evaluation.lattice import STEP, Core, Lattice, block_side
from geotranslate.evaluation.quantities import Found, QuantitySums
from geotranslate.evaluation.scenesample import (
    SceneSample,
    class_numbers,
    sample_scene_pair,
    sampling_step,
)
from geotranslate.evaluation.similarity import Array
from geotranslate.evaluation.zones import Zones, ZonesLike
from geotranslate.migration import checks_arguments
from geotranslate.raster.opening import limited_cache
from geotranslate.raster.reader import RasterLike, RasterReader

LARGEST_WINDOW = 2**14
MOST_BLOCKS = 10_000
BASELINES = ("constant", "linear", "linear_in_sample", "source")
"""Names of the baselines that are no rasters of the user."""


@dataclass(frozen=True)
class EvaluationOptions:
    """Checked arguments of `evaluate_raster`; see there.

    Raises:
        InvalidInputError: A value is invalid.
    """

    zones: ZonesLike | None = None
    classes: ClassesLike | None = None
    palette: PaletteLike | None = None
    tolerance: float | None = None
    source: RasterLike | None = None
    source_bands: Sequence[int | str] | None = None
    baseline: RasterLike | Mapping[str, RasterLike] | None = None
    fitted_on: tuple[RasterLike, RasterLike] | None = None
    linear: LinearMap | None = None
    """A linear map that was fitted elsewhere already."""
    error: str | os.PathLike[str] | None = None
    error_kind: ErrorKind = "signed"
    overwrite: bool = False
    reference_bands: Sequence[int | str] | None = None
    data_range: float | Sequence[float] | None = None
    block_size: int | None = None
    window_size: int = 512
    seed: int = 42
    progress: bool = True

    def __post_init__(self) -> None:
        choice("error_kind", self.error_kind, get_args(ErrorKind))
        flag("overwrite", self.overwrite)
        flag("progress", self.progress)
        whole_number("seed", self.seed, 0)
        _multiple("window_size", self.window_size, LARGEST_WINDOW)
        if self.block_size is not None:
            _multiple("block_size", self.block_size, None)
        if self.palette is None and self.tolerance is not None:
            raise InvalidInputError(
                f"tolerance is {shown(self.tolerance)} but there is no palette; give the palette "
                "too."
            )
        if self.fitted_on is not None and self.source is None:
            raise InvalidInputError(
                "fitted_on is given without source; give the source of the prediction too."
            )

    @property
    def rivals(self) -> Mapping[str, RasterLike]:
        """Rasters to compare the prediction with, by name."""
        given: Any = self.baseline
        if given is None:
            return {}
        if not isinstance(given, Mapping):
            return {"baseline": given}
        for name in given:
            if not isinstance(name, str) or not name or name in BASELINES:
                raise InvalidInputError(
                    f"baseline has the name {shown(name)}; give texts other than "
                    f"{', '.join(BASELINES)}."
                )
        return given


def _multiple(name: str, value: object, most: int | None) -> None:
    if whole_number(name, value, STEP, most) % STEP:
        raise InvalidInputError(f"{name} is {shown(value)}; give a multiple of {STEP}.")


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
        prediction: Raster to evaluate, such as the output of `predict_raster`.
        reference: True raster, with the same bands.
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
        scene = _Scene(prediction, reference, options, stack)
        if scene.categorical:
            return scene.classes()
        return scene.quantities()


class _Scene:
    """Two rasters that are compared."""

    def __init__(
        self,
        prediction: RasterLike,
        reference: RasterLike,
        options: EvaluationOptions,
        stack: ExitStack,
    ) -> None:
        self.options, self._stack = options, stack
        bands = options.reference_bands
        made = stack.enter_context(RasterReader(prediction))
        truth = stack.enter_context(RasterReader(reference, bands))
        self.categorical = _are_classes(options, made, truth)
        self.grid = made.grid
        method = Resampling.nearest if self.categorical else Resampling.bilinear
        self.prediction = self._aligned(made.dataset, method)
        self.reference = self._aligned(truth.dataset, method, bands)
        height, width = self.grid.height, self.grid.width
        side = options.block_size or block_side(height, width)
        self.lattice = Lattice(height, width, side, options.window_size)
        if self.lattice.blocks > MOST_BLOCKS:
            raise InvalidInputError(
                f"block_size is {side}, which makes {self.lattice.blocks} blocks of the scene of "
                f"{width} x {height} px; give a larger one for at most {MOST_BLOCKS}."
            )
        self.zones = None if options.zones is None else Zones(options.zones, self.grid)
        self.error: Path | None = None
        stack.enter_context(limited_cache(width, made.depth + truth.depth))

    def quantities(self) -> Evaluation:
        """Return the measures of quantities."""
        bands = self.reference.bands
        if self.prediction.bands != bands:
            raise InvalidInputError(
                f"{self.prediction.original.name} has {self.prediction.bands} bands and "
                f"{self.reference.original.name} {bands}; give a reference with as many, choose "
                "them by reference_bands (--reference-bands), or give a palette for maps in colors."
            )
        source = self._source()
        others = self._others()
        readers = [self.prediction, self.reference, *([source] if source else []), *others.values()]
        self._check_error(readers)
        sample = self._sample(source)
        rivals = self._rivals(sample, source, others)
        tally = QuantitySums(self._ranges(sample), sample.mean.tolist(), [r.name for r in rivals])
        joint = JointCounter(sample.low.min(0), sample.high.max(0))
        names = self._band_names()
        comparison = QuantityComparison(
            self.prediction, self.reference, rivals, tally, joint, names
        )
        counted = self._counted(comparison, self.options.error_kind)
        total = counted.total
        found = tally.measures(total)
        errors = tally.mean_errors(total)
        per_band = {
            name: {key: float(each[band]) for key, (_, each) in found.items() if each is not None}
            for band, name in enumerate(names)
        }
        return Evaluation(
            _overall(found),
            intervals(counted.blocks(), tally.measures, self.options.seed),
            per_band,
            self._zone_table(counted, tally.measures, tally.main),
            baselines={each.name: Baseline(each.words, errors[each.name]) for each in rivals},
            joint=joint.result(tally.lines(total)),
            block_size=self.lattice.block,
            error=self.error,
        )

    def classes(self) -> Evaluation:
        """Return the measures of classes."""
        self._refuse_baselines()
        tally = ClassSums(self._key())
        self._check_error([self.prediction, self.reference])
        comparison = ClassComparison(self.prediction, self.reference, tally)
        counted = self._counted(comparison, "classes")
        total = counted.total
        if not tally.confusion(total).any():
            raise InvalidInputError(
                f"No pixel that is valid in {self.prediction.original.name} and "
                f"{self.reference.original.name} has one of the classes "
                f"{', '.join(tally.key.names)}; give the classes of the reference."
            )

        def with_classes(sums: Array) -> Found:
            scores = tally.by_class(sums)
            each = {
                f"{name}_{label}": (np.array(row[name]), None)
                for name in ("iou", "f1")
                for label, row in scores.items()
            }
            return tally.measures(sums) | each

        return Evaluation(
            _overall(tally.measures(total)),
            intervals(counted.blocks(), tally.measures, self.options.seed),
            zones=self._zone_table(counted, with_classes, tally.main),
            per_class=tally.by_class(total),
            confusion=tally.confusion(total).astype(np.int64),
            block_size=self.lattice.block,
            error=self.error,
        )

    def _aligned(
        self,
        raster: RasterLike,
        resampling: Resampling = Resampling.bilinear,
        bands: Sequence[int | str] | None = None,
    ) -> AlignedReader:
        return AlignedReader(raster, self.grid, bands, resampling, self._stack, "the prediction")

    def _source(self) -> AlignedReader | None:
        if self.options.source is None:
            return None
        return self._aligned(self.options.source, bands=self.options.source_bands)

    def _others(self) -> dict[str, AlignedReader]:
        readers = {name: self._aligned(raster) for name, raster in self.options.rivals.items()}
        for name, reader in readers.items():
            if reader.bands != self.reference.bands:
                raise InvalidInputError(
                    f"The baseline {name}, {reader.original.name}, has {reader.bands} bands and "
                    f"the reference {self.reference.bands}; give a prediction of the same kind."
                )
        return readers

    def _refuse_baselines(self) -> None:
        for name in ("source", "baseline", "fitted_on", "data_range"):
            if getattr(self.options, name) is not None:
                raise InvalidInputError(
                    f"{name} is given for classes, which have no baselines and no range; leave it "
                    "out, or pass classes=False (--classes false) for quantities."
                )

    def _check_error(self, readers: list[AlignedReader]) -> None:
        if self.options.error is not None:
            overwrite = self.options.overwrite
            self.error = checked_error(self.options.error, overwrite=overwrite, readers=readers)

    def _sample(self, source: AlignedReader | None) -> SceneSample:
        step = sampling_step(self.grid.height, self.grid.width)
        cores = self._shown(self.lattice.cores(halo=0), "reading values")
        return sample_scene_pair(cores, step, self.prediction, self.reference, source)

    def _rivals(
        self,
        sample: SceneSample,
        source: AlignedReader | None,
        others: Mapping[str, AlignedReader],
    ) -> list[Rival]:
        rivals = [] if sample.median is None else [constant_rival(sample.median)]
        if source is not None:
            linear = self._linear(sample)
            if linear is not None:
                here = self.options.fitted_on is None and self.options.linear is None
                _check_sources(source, linear)
                rivals.append(linear_rival(source, linear, in_sample=here))
            if source.bands == self.reference.bands:
                rivals.append(raster_rival("source", source, "the source as it is"))
        return rivals + [
            raster_rival(name, reader, f"the raster {reader.original.name}")
            for name, reader in others.items()
        ]

    def _linear(self, sample: SceneSample) -> LinearMap | None:
        if self.options.linear is not None:
            return self.options.linear
        if self.options.fitted_on is not None:
            bands = self.reference.bands
            return fitted_elsewhere(self.options.fitted_on, bands, Resampling.bilinear)
        if not sample.paired.size:
            return None
        ground = "this scene, so in sample"
        return LinearMap.fitted(sample.source, sample.paired, ground)

    def _ranges(self, sample: SceneSample) -> list[float]:
        given = self.options.data_range
        if given is None:
            whole = self.reference.original.dtype == "uint8"
            ranges: list[float] = (sample.high - sample.low)[1].tolist()
            return [255.0] * len(ranges) if whole else ranges
        found = finite_numbers("data_range", given, self.reference.bands)
        checked = [number("data_range", each, above=0) for each in found]
        return checked * self.reference.bands if len(checked) == 1 else checked

    def _key(self) -> ClassKey:
        options = self.options
        if options.palette is not None:
            key = key_of_palette(options.palette, options.tolerance, options.classes)
            _check_bands(key, self.prediction, self.reference)
            return key
        if options.classes is None or isinstance(options.classes, bool | np.bool_):
            cores = self._shown(self.lattice.cores(halo=0), "reading classes")
            return key_of_numbers(class_numbers(cores, self.prediction, self.reference))
        return key_of_numbers(options.classes)

    def _band_names(self) -> tuple[str, ...]:
        for reader in (self.reference, self.prediction):
            names = reader.original.band_names
            if all(names) and len(set(names)) == len(names):
                return names
        return tuple(f"band {number}" for number in range(1, self.reference.bands + 1))

    def _shown(self, cores: Iterable[Core], words: str) -> Iterable[Core]:
        total, quiet = self.lattice.windows, not self.options.progress
        found: Iterable[Core] = tqdm(cores, words, total, disable=quiet, leave=False)
        return found

    def _counted(self, comparison: Comparison, kind: str) -> Counted:
        cores = self._shown(self.lattice.cores(comparison.halo), "evaluating")
        with ExitStack() as stack:
            raster = None
            if self.error is not None:
                names = comparison.error_names
                raster = stack.enter_context(error_raster(self.error, self.grid, kind, names))
            return count(comparison, cores, self.zones, raster)

    def _zone_table(self, counted: Counted, measures: Any, main: str) -> Any:
        """Return the layer of zones with a column for each measure."""
        if self.zones is None:
            return None
        rows = []
        for zone in range(len(self.zones.layer)):
            blocks = counted.blocks(zone)
            total = blocks.sum(0) if len(blocks) else np.zeros_like(counted.total)
            row = _overall(measures(total))
            bounds = (np.nan, np.nan)
            if len(blocks):
                # Only the interval of one measure, as there may be many zones.
                bounds = intervals(blocks, measures_of(measures, main), self.options.seed)[main]
            rows.append(row | {f"{main}_low": bounds[0], f"{main}_high": bounds[1]})
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        return self.zones.layer.assign(**columns)


def measures_of(measures: Any, name: str) -> Any:
    """Return the function of one measure."""
    return lambda sums: {name: measures(sums)[name]}


def _overall(found: Found) -> dict[str, float]:
    values = {name: float(value) for name, (value, _) in found.items()}
    return {n: int(v) if n in ("count", "left_out") else v for n, v in values.items()}


def _are_classes(options: EvaluationOptions, made: RasterReader, truth: RasterReader) -> bool:
    """Tell whether two rasters are compared as classes."""
    given = options.classes
    if options.palette is not None:
        if given is False:
            raise InvalidInputError(
                "classes is False but a palette is given; leave one of them out."
            )
        return True
    if given is False:
        return False
    several = made.bands != 1 or truth.bands != 1
    if given is not None:
        if several:
            raise InvalidInputError(
                f"classes is {shown(given)} but {made.name} has {made.bands} bands and "
                f"{truth.name} {truth.bands}; give one band of class numbers, or a palette for "
                "maps that show classes in colors."
            )
        return True
    if several or not np.issubdtype(made.dtype, np.integer):
        return False
    bands = truth.indexes
    return resampling_for("reference", None, [truth.dataset], bands) is Resampling.nearest


def _check_bands(key: ClassKey, *readers: AlignedReader) -> None:
    for reader in readers:
        if reader.bands not in (1, len(key.colors[0])):
            raise InvalidInputError(
                f"The palette has colors of {len(key.colors[0])} values but "
                f"{reader.original.name} has {reader.bands} bands; give colors with a value for "
                "each band."
            )


def _check_sources(source: AlignedReader, linear: LinearMap) -> None:
    if source.bands != linear.weights.shape[1]:
        raise InvalidInputError(
            f"The linear map was fitted on {linear.weights.shape[1]} bands but "
            f"{source.original.name} has {source.bands}; give a source with the same bands."
        )
