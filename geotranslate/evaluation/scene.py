"""The rasters of an evaluation on one grid, and their comparison."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack

import numpy as np
from rasterio.enums import Resampling
from tqdm.auto import tqdm

from geotranslate.checks import finite_numbers, number, shown
from geotranslate.chips.bands import resampling_for
from geotranslate.chips.stacking import as_raster
from geotranslate.errors import InvalidInputError
from geotranslate.evaluation.baselines import (
    LinearMap,
    Rival,
    constant_rival,
    fitted_elsewhere,
    linear_rival,
    raster_rival,
)
from geotranslate.evaluation.classcounts import (
    ClassKey,
    ClassSums,
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
from geotranslate.evaluation.errorraster import check_error, error_raster
from geotranslate.evaluation.evaluationoptions import EvaluationOptions
from geotranslate.evaluation.quantities import QuantitySums
from geotranslate.evaluation.scenesample import (
    SceneSample,
    class_numbers,
    sample_scene_pair,
    sampling_step,
)
from geotranslate.evaluation.windows import AlignedReader, Core, Lattice, block_side
from geotranslate.evaluation.zones import Zones
from geotranslate.raster.opening import limited_cache
from geotranslate.raster.reader import RasterLike, RasterReader

MOST_BLOCKS = 10_000
TILED_WIDTH = 6144
"""Columns of tiled rasters whose blocks GDAL keeps: those of the windows around a window."""
QUANTITIES_ONLY = ("source", "source_bands", "baseline", "fitted_on", "data_range")
"""Options that classes do not have."""


class Scene:
    """A prediction, and a reference on its grid.

    Args:
        prediction: The prediction.
        reference: The reference, on any grid.
        options: Options of the evaluation.
        stack: Closes the rasters.

    Raises:
        GeotranslateError: As `evaluate_raster`.
    """

    def __init__(
        self,
        prediction: RasterLike,
        reference: RasterLike,
        options: EvaluationOptions,
        stack: ExitStack,
    ) -> None:
        self.options, self._stack = options, stack
        bands = options.reference_bands
        made = stack.enter_context(RasterReader(as_raster(prediction)))
        truth = stack.enter_context(RasterReader(as_raster(reference), bands))
        self.categorical = _are_classes(options, made, truth)
        self.grid = made.grid
        method = Resampling.nearest if self.categorical else Resampling.bilinear
        self.prediction = self._aligned(made.dataset, None, method)
        self.reference = self._aligned(truth.dataset, bands, method)
        self.lattice = self._lattice()
        self.zones = None if options.zones is None else Zones(options.zones, self.grid)
        width = max(_cached_width(made), _cached_width(truth))
        stack.enter_context(limited_cache(width, made.depth + truth.depth))

    def _lattice(self) -> Lattice:
        height, width = self.grid.height, self.grid.width
        side = self.options.block_size or block_side(height, width)
        lattice = Lattice(height, width, side, self.options.window_size)
        if lattice.blocks > MOST_BLOCKS:
            raise InvalidInputError(
                f"block_size is {side}, which makes {lattice.blocks} blocks of the scene of "
                f"{width} x {height} px; give a larger one for at most {MOST_BLOCKS}."
            )
        return lattice

    def quantities(self) -> QuantityComparison:
        """Return the comparison of quantities."""
        self._refuse_other_bands()
        source, others = self._source(), self._others()
        self._check_error([*([source] if source else []), *others.values()])
        step = sampling_step(self.grid.height, self.grid.width)
        cores = self._shown(self.lattice.cores(halo=0), "reading values")
        sample = sample_scene_pair(cores, step, self.prediction, self.reference, source)
        rivals = [*self._simple_rivals(sample, source)]
        for name, reader in others.items():
            rivals.append(raster_rival(name, reader, f"the raster {reader.original.name}"))
        names = [rival.name for rival in rivals]
        tally = QuantitySums(self._ranges(sample), sample.mean.tolist(), names)
        sides = (self.prediction, self.reference)
        whole = all(
            np.issubdtype(side.original.dtype, np.integer) and not side.warped for side in sides
        )
        joint = JointCounter(sample.low.min(0), sample.high.max(0), whole=whole)
        bands = self._band_names()
        return QuantityComparison(self.prediction, self.reference, rivals, tally, joint, bands)

    def classes(self) -> ClassComparison:
        """Return the comparison of classes."""
        for name in QUANTITIES_ONLY:
            if getattr(self.options, name) is not None:
                raise InvalidInputError(
                    f"{name} is given for classes, which have no baselines and no range; leave it "
                    "out, or pass classes=False (--classes false) for quantities."
                )
        self._check_error([])
        return ClassComparison(self.prediction, self.reference, ClassSums(self._key()))

    def count(self, comparison: Comparison) -> Counted:
        """Return the sums of all windows, and write the error raster if there is one."""
        cores = self._shown(self.lattice.cores(comparison.halo), "evaluating")
        with ExitStack() as stack:
            raster = None
            if self.options.error_path is not None:
                kind = "classes" if self.categorical else self.options.error_kind
                names = comparison.error_names
                path = self.options.error_path
                raster = stack.enter_context(error_raster(path, self.grid, kind, names))
            return count(comparison, cores, self.zones, raster)

    def _aligned(
        self,
        raster: RasterLike,
        bands: Sequence[int | str] | None = None,
        resampling: Resampling = Resampling.bilinear,
    ) -> AlignedReader:
        return AlignedReader(raster, self.grid, bands, resampling, self._stack, "the prediction")

    def _refuse_other_bands(self) -> None:
        ours, theirs = self.prediction, self.reference
        if ours.bands != theirs.bands:
            raise InvalidInputError(
                f"{ours.original.name} has {ours.bands} bands and {theirs.original.name} "
                f"{theirs.bands}; give a reference with as many, choose them by reference_bands "
                "(--reference-bands), or give a palette for maps in colors."
            )

    def _source(self) -> AlignedReader | None:
        if self.options.source is None:
            return None
        return self._aligned(self.options.source, self.options.source_bands)

    def _others(self) -> dict[str, AlignedReader]:
        readers = {name: self._aligned(raster) for name, raster in self.options.rivals.items()}
        for name, reader in readers.items():
            if reader.bands != self.reference.bands:
                raise InvalidInputError(
                    f"The baseline {name}, {reader.original.name}, has {reader.bands} bands and "
                    f"the reference {self.reference.bands}; give a prediction of the same kind."
                )
        return readers

    def _check_error(self, others: Sequence[AlignedReader]) -> None:
        if self.options.error_path is not None:
            readers = [self.prediction, self.reference, *others]
            check_error(self.options.error_path, overwrite=self.options.overwrite, readers=readers)

    def _simple_rivals(self, sample: SceneSample, source: AlignedReader | None) -> Iterable[Rival]:
        if sample.median is not None:
            yield constant_rival(sample.median)
        if source is None:
            return
        linear = self._linear(sample)
        if linear is not None:
            _refuse_other_source(source, linear)
            here = self.options.fitted_on is None and self.options.linear is None
            yield linear_rival(source, linear, in_sample=here)
        if source.bands == self.reference.bands:
            yield raster_rival("source", source, "the source as it is")

    def _linear(self, sample: SceneSample) -> LinearMap | None:
        if self.options.linear is not None:
            return self.options.linear
        if self.options.fitted_on is not None:
            bands = self.options.source_bands, self.options.reference_bands
            return fitted_elsewhere(self.options.fitted_on, bands, self.reference.bands)
        if not sample.paired.size:
            return None
        return LinearMap.fitted(sample.source, sample.paired, "this scene, so in sample")

    def _ranges(self, sample: SceneSample) -> list[float]:
        given, bands = self.options.data_range, self.reference.bands
        if given is None:
            whole = self.reference.original.dtype == "uint8"
            ranges: list[float] = (sample.high - sample.low)[1].tolist()
            return [255.0] * bands if whole else ranges
        found = finite_numbers("data_range", given, bands)
        checked = [number("data_range", each, above=0) for each in found]
        return checked * bands if len(checked) == 1 else checked

    def _key(self) -> ClassKey:
        options = self.options
        if options.palette is not None:
            key = key_of_palette(options.palette, options.tolerance, options.classes)
            _refuse_other_colors(key, self.prediction, self.reference)
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
        return tuple(f"band {place}" for place in range(1, self.reference.bands + 1))

    def _shown(self, cores: Iterable[Core], words: str) -> Iterable[Core]:
        total, quiet = self.lattice.windows, not self.options.progress
        found: Iterable[Core] = tqdm(cores, words, total, disable=quiet, leave=False)
        return found


def _cached_width(raster: RasterReader) -> int:
    """Return the columns of which GDAL should keep the blocks: all only if blocks have all."""
    width: int = raster.grid.width
    return width if raster.dataset.block_shapes[0][1] >= width else min(width, TILED_WIDTH)


def _are_classes(options: EvaluationOptions, made: RasterReader, truth: RasterReader) -> bool:
    """Tell whether two rasters are compared as classes."""
    given = options.classes
    no = isinstance(given, bool | np.bool_) and not given
    if options.palette is not None:
        if no:
            raise InvalidInputError(
                "classes is False but a palette is given; leave one of them out."
            )
        return True
    several = made.bands != 1 or truth.bands != 1
    if no or (given is None and (several or not np.issubdtype(made.dtype, np.integer))):
        return False
    if given is None:
        method = resampling_for("reference", None, [truth.dataset], truth.indexes)
        return method is Resampling.nearest
    if several:
        raise InvalidInputError(
            f"classes is {shown(given)} but {made.name} has {made.bands} bands and {truth.name} "
            f"{truth.bands}; give one band of class numbers, or a palette for maps that show "
            "classes in colors."
        )
    return True


def _refuse_other_colors(key: ClassKey, *readers: AlignedReader) -> None:
    for reader in readers:
        if reader.bands not in (1, len(key.colors[0])):
            raise InvalidInputError(
                f"The palette has colors of {len(key.colors[0])} values but "
                f"{reader.original.name} has {reader.bands} bands; give colors with a value for "
                "each band."
            )


def _refuse_other_source(source: AlignedReader, linear: LinearMap) -> None:
    if source.bands != linear.weights.shape[1]:
        raise InvalidInputError(
            f"The linear map was fitted on {linear.weights.shape[1]} bands but "
            f"{source.original.name} has {source.bands}; give a source with the same bands."
        )
