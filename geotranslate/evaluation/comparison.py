"""Comparison of two rasters window by window, as quantities or as classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from geotranslate.evaluation.baselines import Rival
from geotranslate.evaluation.classcounts import ClassSums, Labeled
from geotranslate.evaluation.displays import JointCounter
from geotranslate.evaluation.errorraster import ErrorRaster
from geotranslate.evaluation.quantities import Compared, Found, QuantitySums
from geotranslate.evaluation.similarity import Array, Mask, similarity_maps
from geotranslate.evaluation.windows import HALO, AlignedReader, Core
from geotranslate.evaluation.zones import Zones


class Tally(Protocol):
    """Sums of windows of one kind, and the measures that follow from them."""

    def sums(self, window: Any, mask: Mask | None = None) -> Array:
        """Return the sums of a window, or of the pixels of a mask."""
        ...

    def measures(self, sums: Array) -> Found:
        """Return the measures of sums `(..., size)`."""
        ...


class Comparison(Protocol):
    """Windows of two rasters, ready to be counted."""

    @property
    def halo(self) -> int:
        """Pixels around a window that its measures depend on."""
        ...

    @property
    def error_names(self) -> tuple[str, ...]:
        """Names of the bands of the error raster."""
        ...

    @property
    def tally(self) -> Tally:
        """Sums of the windows."""
        ...

    def window(self, core: Core) -> Any:
        """Return the counted pixels of a window."""
        ...

    def errors(self, window: Any) -> tuple[Array, Mask]:
        """Return the errors of a window `(bands, rows, cols)` and where there are any."""
        ...


class Counted:
    """Sums by block of ground, of the scene and of every zone."""

    def __init__(self) -> None:
        self._sums: dict[int | None, dict[int, Array]] = {None: {}}

    def add(self, block: int, sums: Array, zone: int | None = None) -> None:
        """Add the sums of a window."""
        if sums.any():
            blocks = self._sums.setdefault(zone, {})
            blocks[block] = blocks[block] + sums if block in blocks else sums

    def blocks(self, zone: int | None = None) -> Array:
        """Return the sums of the blocks with a valid pixel `(blocks, size)`."""
        found = self._sums.get(zone, {})
        return np.stack([found[block] for block in sorted(found)]) if found else np.empty((0, 0))

    @property
    def total(self) -> Array:
        """The sums of the scene."""
        return self.blocks().sum(0)


def count(
    comparison: Comparison,
    cores: Iterable[Core],
    zones: Zones | None,
    raster: ErrorRaster | None,
) -> Counted:
    """Return the sums of all windows, and write their errors."""
    counted, tally = Counted(), comparison.tally
    for core in cores:
        window = comparison.window(core)
        for piece in core.pieces:
            ground = window.cut(piece.rows, piece.cols)
            counted.add(piece.block, tally.sums(ground))
            for part in () if zones is None else zones.parts(piece.of(core.inside)):
                sums = tally.sums(ground.cut(part.rows, part.cols), part.mask)
                counted.add(piece.block, sums, part.zone)
        if raster is not None:
            raster.write(core.inside, *comparison.errors(window))
    return counted


@dataclass(frozen=True)
class QuantityComparison:
    """Comparison of quantities.

    Args:
        prediction: The prediction.
        reference: The reference.
        rivals: The baselines.
        tally: Their sums.
        joint: Joint histogram, to which every window is added.
        error_names: Names of the bands.
    """

    prediction: AlignedReader
    reference: AlignedReader
    rivals: Sequence[Rival]
    tally: QuantitySums
    joint: JointCounter
    error_names: tuple[str, ...]
    halo: int = HALO

    def window(self, core: Core) -> Compared:
        """Return the counted pixels of a window."""
        (ours, known), (theirs, also) = (
            self.prediction.read(core.read),
            self.reference.read(core.read),
        )
        valid = known & also
        ranges: list[float] = self.tally.ranges.tolist()
        # Large parts of many scenes are empty.
        maps = tuple(similarity_maps(ours, theirs, valid, core, ranges)) if valid.any() else ()
        row, col = core.offset
        inside = slice(row, row + int(core.inside.height)), slice(col, col + int(core.inside.width))
        valid = valid[inside]
        truth = np.where(valid, theirs[:, inside[0], inside[1]], 0)
        error = np.where(valid, ours[:, inside[0], inside[1]], 0) - truth
        rivals = {each.name: each.errors(core.inside, truth, valid) for each in self.rivals}
        found = Compared(error, truth, valid, maps, rivals)
        self.joint.add(found)
        return found

    def errors(self, window: Compared) -> tuple[Array, Mask]:
        """Return the errors of a window `(bands, rows, cols)` and where there are any."""
        return window.error, window.valid


@dataclass(frozen=True)
class ClassComparison:
    """Comparison of classes.

    Args:
        prediction: The prediction.
        reference: The reference.
        tally: Their counts.
    """

    prediction: AlignedReader
    reference: AlignedReader
    tally: ClassSums
    error_names: tuple[str, ...] = ("wrong class",)
    halo: int = 0

    def window(self, core: Core) -> Labeled:
        """Return the counted pixels of a window."""
        (ours, known), (theirs, valid) = (
            side.read(core.inside) for side in (self.prediction, self.reference)
        )
        labels: Any = self.tally.key.labels
        return Labeled(labels(ours), labels(theirs), known & valid)

    def errors(self, window: Labeled) -> tuple[Array, Mask]:
        """Return 1 where the class is wrong `(1, rows, cols)`, and where a class is known."""
        wrong = (window.prediction != window.reference).astype(float)
        return wrong[None], window.valid & (window.reference < self.tally.count)
