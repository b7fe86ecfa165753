"""Options of an evaluation."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from geotranslate.checks import choice, file_path, flag, shown, whole_number
from geotranslate.errors import InvalidInputError
from geotranslate.evaluation.baselines import LinearMap
from geotranslate.evaluation.classcounts import ClassesLike, PaletteLike
from geotranslate.evaluation.errorraster import ErrorKind
from geotranslate.evaluation.windows import STEP
from geotranslate.evaluation.zones import ZonesLike
from geotranslate.raster.reader import RasterLike

LARGEST_WINDOW = 2**14
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
    def error_path(self) -> Path | None:
        """Path of the error raster."""
        return None if self.error is None else file_path("error", self.error)

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
