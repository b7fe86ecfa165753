"""`measure_seams`: artifacts at tile edges, by frequency and by position in the tile."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from geotranslate.errors import GridMismatchError, InvalidInputError
from geotranslate.migration import checks_arguments
from geotranslate.raster.grid import Grid
from geotranslate.raster.opening import RasterLike, limited_cache
from geotranslate.raster.reader import RasterReader
from geotranslate.raster.seams.tile_edges import (
    Pixels,
    Read,
    position_bias,
    seam_index,
    tile_spectrum,
)
from geotranslate.raster.tiling import REPORT_TAG, TILING_TAG, WrittenAxis, written_axes
from geotranslate.schema import anything, optional, parse_json, real, table
from geotranslate.tables import as_html

Spectrum = Mapping[str, tuple[float, ...] | None]


@dataclass(frozen=True, repr=False)
class Seams:
    """Measures of seams in a translated raster.

    The error is the translation minus the target, or without a target the translation itself.
    """

    seam_index: float | None = None
    """Mean absolute difference of the error between neighboring pixels across tile edges, divided
    by its mean between neighboring pixels near the edges: 1 without seams; None if no tiles meet or
    the error is constant."""
    spectrum: Spectrum = field(default_factory=lambda: {"rows": None, "cols": None})
    """Energy of the error at the frequency of the tiles and its harmonics, divided by the energy at
    adjacent frequencies, for tile rows (down the scene) and tile columns: about 1 without
    periodicity; None with fewer than 4 strides."""
    position_bias: float | None = None
    """Root mean square of the mean error by position in the tile, less each tile's own mean and the
    bias expected by chance, in the raster's units; None with fewer than 4 whole tiles."""
    position_chance: float | None = None
    """Bias expected by chance from so many tiles; a much smaller `position_bias` means nothing."""
    mismatch: float | None = None
    """Mean absolute difference of overlapping tiles, from a tag of the file; None if unknown."""
    position_map: NDArray[np.float64] | None = field(default=None, compare=False)
    """Mean error of all bands by position in the tile, `(stride, stride)`."""

    @property
    def peak(self) -> float | None:
        """Largest ratio in the spectrum."""
        return max(
            (ratio for found in self.spectrum.values() for ratio in found or ()), default=None
        )

    @property
    def tile_peak(self) -> float | None:
        """Ratio at the frequency of the tiles, the larger of both directions."""
        return max((found[0] for found in self.spectrum.values() if found), default=None)

    def _facts(self) -> dict[str, str]:
        if self.peak is None or self.tile_peak is None:
            peak = "too few tiles, or no error"
        else:
            peak = f"{self.peak:.3g}, {self.tile_peak:.3g} at the tiles' own frequency"
        facts = {
            "seam index": "no tiles meet, or no error"
            if self.seam_index is None
            else f"{self.seam_index:.3g}",
            "peak of the spectrum": peak,
            "position bias": "too few tiles"
            if self.position_bias is None
            else f"{self.position_bias:.3g}, by chance {self.position_chance:.3g}",
        }
        if self.mismatch is not None:
            facts["tile mismatch"] = f"{self.mismatch:.3g}"
        return facts

    def __repr__(self) -> str:
        return f"Seams({'; '.join(f'{name}: {value}' for name, value in self._facts().items())})"

    def _repr_html_(self) -> str:
        return as_html(self._facts().items())


@checks_arguments
def measure_seams(output: RasterLike, target: RasterLike | None = None) -> Seams:
    """Measure seams between the tiles of a translated raster.

    The raster is read in blocks, several times; memory does not grow with its height.

    Args:
        output: Raster that `predict_raster` or `translate_raster` wrote.
        target: True raster, on the same grid and with the same number of bands. The error is output
            minus target where both are valid; without a target, the output itself is measured.

    Raises:
        RasterFileError: A raster cannot be read.
        GridMismatchError: The target lies on another grid.
        InvalidInputError: The output has no tag that describes its tiles, or the target has another
            number of bands.
    """
    with ExitStack() as stack:
        made = stack.enter_context(RasterReader(output))
        tags = made.dataset.tags()
        rows, cols = _spans(made, tags)
        goal = None if target is None else stack.enter_context(RasterReader(target))
        if goal is not None:
            _refuse_other_grid(made, goal)
        depth = made.depth + (0 if goal is None else goal.depth)
        stack.enter_context(limited_cache(made.grid.width, depth))

        def read(some: range, others: range) -> Pixels:
            window = Window(others.start, some.start, len(others), len(some))
            data, valid = made.read(window, "float64")
            if goal is not None:
                wanted, known = goal.read(window, "float64")
                valid = valid & known
                with np.errstate(invalid="ignore"):
                    data = data - wanted
            return np.where(valid, data, 0), valid

        return measure(read, rows, cols, _mismatch(made, tags))


def measure(
    read: Read, rows: WrittenAxis, cols: WrittenAxis, mismatch: float | None = None
) -> Seams:
    """Measure the error that `read` returns for ranges of rows and columns of two axes."""

    def turned(some: range, others: range) -> Pixels:
        data, valid = read(others, some)
        return data.swapaxes(1, 2), valid.T

    place = position_bias(read, rows, cols)
    return Seams(
        seam_index=seam_index(read, rows, cols),
        spectrum={
            "rows": tile_spectrum(turned, cols, rows),
            "cols": tile_spectrum(read, rows, cols),
        },
        position_bias=None if place is None else place.bias,
        position_chance=None if place is None else place.chance,
        position_map=None if place is None else place.map,
        mismatch=mismatch,
    )


def _spans(made: RasterReader, tags: Mapping[str, str]) -> tuple[WrittenAxis, WrittenAxis]:
    """Return the axes of a written raster, with the tiles along them, from its tags."""
    if TILING_TAG not in tags:
        raise InvalidInputError(
            f"{made.name} has no tag with the places of its tiles: it was not written by "
            "geotranslate, or by an older version. Give a raster that predict_raster or "
            "translate_raster wrote."
        )
    try:
        rows, cols = written_axes(tags[TILING_TAG])
    except InvalidInputError as error:
        raise InvalidInputError(
            f"The tag {TILING_TAG} of {made.name} is damaged, so the places of its tiles are "
            "unknown; translate it again."
        ) from error
    if (len(rows), len(cols)) != (made.grid.height, made.grid.width):
        raise InvalidInputError(
            f"{made.name} has {made.grid.width} x {made.grid.height} px, but was written with "
            f"{len(cols)} x {len(rows)}: it was cut or resampled since then. Give it as it was "
            "written."
        )
    return rows, cols


def _mismatch(made: RasterReader, tags: Mapping[str, str]) -> float | None:
    """Return the mean difference of overlapping tiles from the tags of a raster."""
    try:
        report = table(anything)("report", parse_json(tags.get(REPORT_TAG, "{}")))
        found: float | None = optional(real(least=0))("mismatch", report.get("mismatch"))
        return found
    except InvalidInputError as error:
        raise InvalidInputError(
            f"The tag {REPORT_TAG} of {made.name} is damaged; translate it again."
        ) from error


def _refuse_other_grid(made: RasterReader, goal: RasterReader) -> None:
    if not made.grid.matches(goal.grid):
        raise GridMismatchError(
            f"The target {goal.name} ({_described(goal.grid)}) does not lie on the grid of "
            f"{made.name} ({_described(made.grid)}); give it on that grid, for example by gdalwarp."
        )
    if made.bands != goal.bands:
        raise InvalidInputError(
            f"The target {goal.name} has {goal.bands} band{'s' if goal.bands != 1 else ''} and "
            f"{made.name} has {made.bands}; give a target with as many."
        )


def _described(grid: Grid) -> str:
    corner = f"{grid.transform.c:.9g}, {grid.transform.f:.9g}"
    crs = "without CRS" if grid.crs is None else f"in {grid.crs.to_string()[:40]}"
    return f"{grid.width} x {grid.height} px from {corner} {crs}"
