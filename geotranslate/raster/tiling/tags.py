"""Tags of written rasters, among them one that records how the tiles lie."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geotranslate.raster.tiling.axis import Axis
from geotranslate.raster.tiling.tile_plan import Plan

TILING_TAG = "GEOTRANSLATE_TILING"
"""Tag of an output that records how its tiles lie."""

RECIPE_TAG = "GEOTRANSLATE_RECIPE"
"""Tag of an output, and of its parts, that identifies everything the pixels depend on."""

REPORT_TAG = "GEOTRANSLATE_REPORT"
"""Tag that holds the report of a part in its file, and the summary of all parts in the output."""


@dataclass(frozen=True)
class WrittenAxis:
    """The written pixels of one axis of a scene's output, and the tiles they were made of.

    Pixels are counted from the first one that is written.
    """

    axis: Axis
    """The tiles of the whole scene, in pixels of the output."""
    first: int
    last: int
    """Pixels of the axis from the first to before the last."""

    def __len__(self) -> int:
        return self.last - self.first

    @cached_property
    def edges(self) -> NDArray[np.int64]:
        """First pixels behind a tile edge, ascending: there the set of contributing tiles changes.

        A tile has one edge where it begins to count and one where no earlier tile counts any more.
        For cropped tiles, both are the same place.
        """
        axis = self.axis
        found = {
            start + edge - self.first
            for start, join in zip(axis.starts[1:], axis.joins[1:], strict=True)
            for edge in (join.keep, join.own)
        }
        return np.array(sorted(edge for edge in found if 0 < edge < len(self)), np.int64)

    @cached_property
    def cells(self) -> range:
        """First pixels of the whole cells, as far as tiles lie on the regular stride.

        A cell is one stride long, from where a tile begins to count. Cells include neither a last
        tile that was moved back, nor the pixels that only the first tile covers.
        """
        axis, stride = self.axis, self.axis.stride
        moved = axis.starts[-1] % stride != 0
        regular = len(axis) - moved
        if regular < 2:
            return range(0)
        counts = [start + join.keep for start, join in zip(axis.starts, axis.joins, strict=True)]
        begin = counts[1] - stride
        end = min(counts[regular - 1] + stride, counts[-1] if moved else axis.size, self.last)
        begin += max(-(-(max(self.first, 0) - begin) // stride), 0) * stride
        whole = max(end - begin, 0) // stride
        return range(begin - self.first, begin - self.first + whole * stride, stride)


def tiling_text(plan: Plan) -> str:
    """Return the value of `TILING_TAG` for a plan."""
    region = plan.region
    axes = {
        "rows": WrittenAxis(plan.out_rows, region.top, region.bottom),
        "cols": WrittenAxis(plan.out_cols, region.left, region.right),
    }
    return json.dumps(
        {"scale": str(plan.factor), **{name: asdict(axis) for name, axis in axes.items()}}
    )


def written_axes(text: str) -> tuple[WrittenAxis, WrittenAxis]:
    """Return rows and columns as `tiling_text` recorded them.

    Raises:
        ValueError, KeyError, TypeError: The text is something else.
    """
    values = json.loads(text)
    rows, cols = (
        WrittenAxis(Axis(**given["axis"]), given["first"], given["last"])
        for given in (values["rows"], values["cols"])
    )
    return rows, cols
